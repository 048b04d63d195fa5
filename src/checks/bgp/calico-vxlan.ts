import { kinds } from '../../kubernetes/kinds.ts';
import { isReady } from '../../probe/pods.ts';
import { overlaps, parseCidr } from '../cidr.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';
import { calico } from '../names.ts';
import { calicoPools } from './calico-state.ts';

type Facts = {
  nodes: number;
  /** `` when there is none. */
  daemonSet: string;
  backend: string;
  noAgent: string[];
  /** `default-ipv4-ippool 10.244.0.0/16 Always`. */
  pools: string[];
  /** Pools with IP-in-IP. */
  ipip: string[];
  /** Who owns the installation, when it is the operator of Tigera. */
  operator: string;
  /** FelixConfiguration says so itself: no change of a pool would count. */
  pinned: boolean;
  /** Pools with addresses of `bgp.newPool`. */
  taken: string[];
};

/** Calico runs on every node from plain manifests, with VXLAN: what this route begins on, and what the first stage leaves. */
export const calicoVxlan = defineCheck<Facts>({
  id: 'calico-vxlan',
  layer: 'bgp',
  title: 'Calico runs with VXLAN, from plain manifests',
  scope: 'cluster',
  ask: async (context) => {
    const { kubernetes } = context;
    const [names, daemonSet, config, agents, pools, objects, felix] = await Promise.all([
      context.nodeNames(),
      kubernetes.get({ ...kinds.daemonSet, namespace: calico.namespace, name: calico.daemonSet }),
      kubernetes.get({ ...kinds.configMap, namespace: calico.namespace, name: calico.configMap }),
      kubernetes.list(kinds.pod, { namespace: calico.namespace, labelSelector: calico.podSelector }),
      calicoPools(context),
      kubernetes.list(kinds.ipPool),
      kubernetes.get({ ...kinds.felixConfiguration, name: 'default' }),
    ]);
    const withAgent = new Set(agents.filter(isReady).map((pod) => String(pod['spec']?.nodeName)));
    const wanted = parseCidr(context.stage.bgp?.newPool?.cidr ?? '');
    const owner = [daemonSet, ...objects].flatMap((object) => object?.metadata.ownerReferences ?? []);
    return {
      nodes: names.length,
      daemonSet: daemonSet === undefined ? '' : `${calico.namespace}/${calico.daemonSet}`,
      backend: String(config?.['data']?.calico_backend ?? ''),
      noAgent: names.filter((name) => !withAgent.has(name)),
      pools: pools.map(({ name, cidr, mode }) => `${name} ${cidr} ${mode}`),
      ipip: objects.filter(({ spec }) => (spec?.ipipMode ?? 'Never') !== 'Never').map(({ metadata }) => metadata.name),
      operator: owner.find(({ apiVersion }) => apiVersion.startsWith('operator.tigera.io'))?.kind ?? '',
      taken: objects
        .filter(({ spec }) => {
          const range = parseCidr(String(spec?.cidr));
          return wanted !== undefined && range !== undefined && overlaps(wanted, range);
        })
        .map(({ metadata, spec }) => `${metadata.name} ${spec?.cidr}`),
      pinned: felix?.['spec']?.vxlanEnabled !== undefined && felix['spec'].vxlanEnabled !== null,
    };
  },
  judge: ({ nodes, daemonSet, backend, noAgent, pools, ipip, operator, pinned, taken }) => {
    if (daemonSet === '')
      return block(
        `there is no DaemonSet ${calico.namespace}/${calico.daemonSet}: Calico does not run from plain manifests`,
        {
          remedy: 'migrate to Calico first (route flannel-to-calico); an installation of the operator is not made for',
        },
      );
    if (operator !== '')
      return block(`the operator of Tigera owns this Calico (${operator}): what is changed here it changes back`, {
        remedy: 'change spec.calicoNetwork of its Installation instead',
      });
    if (noAgent.length > 0)
      return block(
        `${noAgent.length} of ${count(nodes, 'node')} ${noAgent.length === 1 ? 'has' : 'have'} no Ready calico-node pod: ${some(noAgent)}`,
        {
          remedy: `look at \`kubectl -n ${calico.namespace} get pods -l ${calico.podSelector} -o wide\``,
        },
      );
    if (backend === '')
      return block(`ConfigMap ${calico.namespace}/${calico.configMap} has no calico_backend`, {
        remedy: "use the manifests of Calico's own release, or those beside the plan",
      });
    if (ipip.length > 0)
      return block(`pools use IP-in-IP: ${some(ipip)}`, {
        remedy: 'this route begins on VXLAN: change these pools first',
      });
    if (pools.length === 0)
      return block('Calico has no IP pool in use', { remedy: 'look at `kubectl get ippools.crd.projectcalico.org`' });
    if (taken.length > 0)
      return block(`the range of the new pool is not free: ${some(taken)}`, {
        remedy: 'plan again with a range that nothing uses',
      });
    if (pinned)
      return block('FelixConfiguration default sets vxlanEnabled itself, so that no pool decides', {
        remedy: 'remove vxlanEnabled from it: Felix then follows the pools',
      });
    return pass(`Calico runs on all ${nodes} nodes (backend ${backend}): ${some(pools)}`);
  },
});
