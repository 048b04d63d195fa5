import type { NodeState } from '../../node/types.ts';
import { contains, parseCidr } from '../cidr.ts';
import { block, defineCheck, pass, warn } from '../define.ts';
import type { Cni } from '../asker.ts';
import { calico } from '../names.ts';

type Facts = {
  node: string;
  pod: string;
  ip: string;
  podCIDR: string;
  /** Which network the node should have. */
  expected: Cni;
  /** Which network made the pod's sandbox, as leases and routes of the node tell. */
  madeBy: Cni | 'both' | 'unknown';
};

/**
 * The probe pod's address is out of the node's own range, and the network that the node should have made it. A pod that
 * the other network made keeps working for a while, and fails when that network is cleaned away.
 */
export const podIdentity = defineCheck<Facts>({
  id: 'pod-identity',
  layer: 'pod-network',
  title: 'New pods belong to the right network',
  scope: 'node',
  patient: true,
  ask: async ({ party, inspect, nodeObject }, node) => {
    const [own, state, object] = await Promise.all([party(node), inspect(node.name), nodeObject(node.name)]);
    return {
      node: node.name,
      pod: own.pod.name,
      ip: own.pod.ip,
      podCIDR: String(object['spec']?.podCIDR ?? node.fingerprint.podCIDR),
      expected: own.cni,
      madeBy: madeBy(state, own.pod.ip),
    };
  },
  judge: ({ node, pod, ip, podCIDR, expected, madeBy: maker }) => {
    const range = parseCidr(podCIDR);
    const address = parseCidr(ip);
    if (range === undefined || address === undefined || !contains(range, address)) {
      return block(`${pod} on ${node} has the address ${ip}, outside of the node's range ${podCIDR}`, {
        remedy:
          'Flannel nodes have no route to such an address: look at IPAMConfig (strictAffinity must be true) and at the IPAMBlocks of this node',
      });
    }
    if (maker === 'both' || (maker !== 'unknown' && maker !== expected)) {
      return block(
        `${pod} on ${node} (${ip}) was connected by ${maker === 'both' ? 'both networks' : maker}, and the node is on ${expected}`,
        {
          remedy: `delete ${pod}; if the new one is the same, look which conf the runtime has loaded, and for a stale lease in /var/lib/cni/networks/cbr0`,
        },
      );
    }
    if (maker === 'unknown') {
      return warn(
        `${pod} on ${node} has ${ip} out of ${podCIDR}, and neither a lease nor a route tells which network made it`,
        {
          remedy: 'look at the host side of its link: cali… is Calico, a port of cni0 is Flannel',
        },
      );
    }
    return pass(`${pod} on ${node} has ${ip} out of ${podCIDR}, from ${maker}`);
  },
});

/** Flannel's pods have a lease of host-local; Calico's a route of their own to a cali… link. */
function madeBy({ leases, routes }: NodeState, ip: string): Facts['madeBy'] {
  const leased = leases.includes(ip);
  const routed = routes.some(
    (route) => (route.dst === ip || route.dst === `${ip}/32`) && route.dev.startsWith(calico.podLink),
  );
  if (leased) return routed ? 'both' : 'flannel';
  return routed ? 'calico' : 'unknown';
}
