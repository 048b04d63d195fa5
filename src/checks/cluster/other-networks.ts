import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { imagesOf } from '../../plan/images.ts';

type Facts = {
  /** `Cilium (kube-system/cilium)`. */
  agents: string[];
  /** Groups of definitions that a network left: `cilium.io (9)`. */
  definitions: string[];
};

/** Networks other than those of the routes, by the images of their agents and the groups of their definitions. */
const networks: { name: string; image: RegExp; group?: string }[] = [
  { name: 'Cilium', image: /(^|\/)cilium\/cilium[:@]/, group: 'cilium.io' },
  { name: 'Weave Net', image: /weave-kube/ },
  { name: 'Antrea', image: /antrea-agent|antrea-ubuntu/, group: 'crd.antrea.io' },
  { name: 'kube-router', image: /kube-router[:@]/ },
  { name: 'OVN-Kubernetes', image: /ovn-kube/, group: 'k8s.ovn.org' },
  { name: 'Kube-OVN', image: /kube-ovn/, group: 'kubeovn.io' },
];

/** One network runs on the cluster, the one that the stage begins with. */
export const otherNetworks = defineCheck<Facts>({
  id: 'other-networks',
  layer: 'cluster',
  title: 'No third network is on the cluster',
  scope: 'cluster',
  ask: async ({ all }) => {
    const [daemonSets, definitions] = await Promise.all([
      all({ apiVersion: 'apps/v1', kind: 'DaemonSet' }),
      all({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' }),
    ]);
    return {
      agents: daemonSets.flatMap((daemonSet) => {
        const match = networks.find(({ image }) => imagesOf(daemonSet).some((each) => image.test(each)));
        return match === undefined
          ? []
          : [`${match.name} (${daemonSet.metadata.namespace}/${daemonSet.metadata.name})`];
      }),
      definitions: networks.flatMap(({ group }) => {
        const own =
          group === undefined ? 0 : definitions.filter(({ metadata }) => metadata.name.endsWith(`.${group}`)).length;
        return own === 0 ? [] : [`${group} (${own})`];
      }),
    };
  },
  judge: ({ agents, definitions }) => {
    if (agents.length > 0) {
      return block(
        `${count(agents.length, 'agent')} of another network ${agents.length === 1 ? 'runs' : 'run'} on the cluster: ${some(agents)}`,
        {
          remedy: 'find out which pods use it; this route knows Flannel and Calico only',
        },
      );
    }
    if (definitions.length > 0) {
      return warn(`definitions of a network that does not run are left: ${some(definitions)}`, {
        remedy: 'see that nobody needs them (policies may live in them), then delete them',
      });
    }
    return pass('no agent or definition of a third network exists');
  },
});
