import { count, defineCheck, pass, some, warn } from '../define.ts';
import { excludeLabel } from '../../kubernetes/marks.ts';
import { imagesOf } from '../../plan/images.ts';

type Facts = {
  /** `MetalLB (metallb-system/speaker)`. */
  own: string[];
  /** Services of type LoadBalancer. */
  services: string[];
  nodePorts: number;
};

/** Load balancers that run on the nodes themselves, by image. */
const implementations: { name: string; image: RegExp }[] = [
  { name: 'MetalLB', image: /metallb\/(speaker|controller)|metallb-speaker/ },
  { name: 'kube-vip', image: /kube-vip/ },
  { name: 'keepalived', image: /keepalived/ },
  { name: 'ServiceLB', image: /klipper-lb/ },
  { name: 'PureLB', image: /purelb/ },
  { name: 'OpenELB', image: /openelb/ },
];

/**
 * Traffic from outside leaves a node before its NodePorts are dark for 5 to 10 s (§0a.14 of the migration facts). Load
 * balancers of clouds look at a label for that; those that run on the nodes may not.
 */
export const loadBalancers = defineCheck<Facts>({
  id: 'load-balancers',
  layer: 'cluster',
  title: 'Traffic from outside leaves a node in time',
  scope: 'cluster',
  ask: async ({ all }) => {
    const [daemonSets, services] = await Promise.all([
      all({ apiVersion: 'apps/v1', kind: 'DaemonSet' }),
      all({ apiVersion: 'v1', kind: 'Service' }),
    ]);
    return {
      own: daemonSets.flatMap((daemonSet) => {
        const match = implementations.find(({ image }) => imagesOf(daemonSet).some((each) => image.test(each)));
        return match === undefined
          ? []
          : [`${match.name} (${daemonSet.metadata.namespace}/${daemonSet.metadata.name})`];
      }),
      services: services
        .filter((service) => service['spec']?.type === 'LoadBalancer')
        .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
      nodePorts: services.filter((service) => service['spec']?.type === 'NodePort').length,
    };
  },
  judge: ({ own, services, nodePorts }) => {
    if (own.length > 0 && services.length > 0) {
      return warn(
        `${some(own)} brings traffic for ${count(services.length, 'Service')} of type LoadBalancer to nodes: ${some(services)}`,
        {
          remedy: `find out whether it leaves nodes with the label ${excludeLabel} alone; else move its addresses off a node before its turn`,
        },
      );
    }
    return pass(
      `${count(services.length, 'Service')} of type LoadBalancer and ${nodePorts} of type NodePort; no load balancer runs on the nodes themselves`,
    );
  },
});
