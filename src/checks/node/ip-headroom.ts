import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { parseCidr } from '../cidr.ts';
import { hasEnded, specOf } from '../workloads/pods.ts';

type Facts = {
  nodes: number;
  /** Nodes above the limit: `worker-1: 210 of 253`. */
  full: string[];
  /** Leases of pods that are gone: `worker-1: 12`. */
  leaked: string[];
  /** The fullest node, in percent. */
  highest: number;
};

const fullAbove = 0.8;
/** Network address, broadcast, and the gateway on cni0. */
const reserved = 3;
/** Fewer are pods that come or go while we look. */
const leakedAbove = 3;

/**
 * Each node has addresses to spare: Calico gets exactly the range that Flannel had, and while a node migrates its pods want
 * new ones there before the old are free everywhere.
 */
export const ipHeadroom = defineCheck<Facts>({
  id: 'ip-headroom',
  layer: 'node',
  title: 'No node is short of pod addresses',
  scope: 'cluster',
  ask: async ({ all, inspectAll, planned }) => {
    const [pods, states] = await Promise.all([all({ apiVersion: 'v1', kind: 'Pod' }), inspectAll(planned)]);
    const byNode = Map.groupBy(
      pods.filter((pod) => specOf(pod).hostNetwork !== true && !hasEnded(pod)),
      (pod) => specOf(pod).nodeName ?? '',
    );
    const facts: Facts = { nodes: planned.length, full: [], leaked: [], highest: 0 };
    for (const { node, state } of states) {
      const range = parseCidr(node.fingerprint.podCIDR);
      if (range === undefined) continue;
      const capacity = Math.max(1, range.end - range.start + 1 - reserved);
      const living = byNode.get(node.name)?.length ?? 0;
      const leases = state?.leases.length ?? 0;
      const used = Math.max(living, leases);
      facts.highest = Math.max(facts.highest, Math.round((used / capacity) * 100));
      if (used / capacity > fullAbove) facts.full.push(`${node.name}: ${used} of ${capacity}`);
      if (leases - living > leakedAbove) facts.leaked.push(`${node.name}: ${leases - living}`);
    }
    return facts;
  },
  judge: ({ nodes, full, leaked, highest }) => {
    if (highest >= 100) {
      return block(`pod addresses are used up on ${count(full.length, 'node')} of ${nodes}: ${some(full)}`, {
        remedy: 'move pods away from these nodes, or remove leases of pods that are gone (/var/lib/cni/networks/cbr0)',
      });
    }
    if (full.length > 0) {
      return warn(
        `more than ${fullAbove * 100} % of the pod addresses are in use on ${count(full.length, 'node')} of ${nodes}: ${some(full)}`,
        {
          remedy: 'move pods away from these nodes before their turn',
        },
      );
    }
    if (leaked.length > 0) {
      return warn(
        `leases of pods that are gone are left on ${count(leaked.length, 'node')} of ${nodes}: ${some(leaked)}`,
        {
          remedy:
            'compare /var/lib/cni/networks/cbr0 with the pods of the node and remove what belongs to none; the migration clears it, too',
        },
      );
    }
    return pass(`at most ${highest} % of the pod addresses of a node are in use`);
  },
});
