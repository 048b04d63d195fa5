import { mapLimit } from '../checks/asker.ts';
import { parseCidr } from '../checks/cidr.ts';
import type { NodeAccess } from '../node/types.ts';
import type { ObservedFlow, PolicyCluster } from './types.ts';

const nodesAtOnce = 20;
const timeoutMs = 20_000;
/** Of one node, the most frequent first: a flow that somebody depends on is there more than once, and on two nodes. */
const flowsOfNode = 2000;

/** What conntrack of the nodes has seen of pods. A node that cannot be asked is a gap, not an error. */
export async function observeFlows(
  cluster: PolicyCluster,
  { nodes, names, token, signal }: { nodes: NodeAccess; names: readonly string[]; token: number; signal: AbortSignal },
): Promise<{ observed: ObservedFlow[]; gaps: string[] }> {
  const ranges = cluster.nodes.map(({ podCidr }) => parseCidr(podCidr)).filter((range) => range !== undefined);
  if (ranges.length === 0) return { observed: [], gaps: ['no node has a range of pods: conntrack was not asked'] };
  const first = written(Math.min(...ranges.map(({ start }) => start)));
  const last = written(Math.max(...ranges.map(({ end }) => end)));

  const gaps: string[] = [];
  const asked = await mapLimit(names, nodesAtOnce, async (node): Promise<ObservedFlow[]> => {
    try {
      const { from, total, flows } = await nodes.run(
        node,
        'flows',
        { first, last, limit: flowsOfNode },
        { token, timeoutMs, signal },
      );
      if (from === 'none') gaps.push(`${node} has no conntrack to read: what works there is not known`);
      if (total > flows.length)
        gaps.push(`${node} has seen ${total} flows, and the ${flows.length} most frequent were judged`);
      return flows.map((flow) => ({ node, ...flow }));
    } catch (error) {
      signal.throwIfAborted();
      gaps.push(`${node} could not be asked for its flows: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
  });
  return { observed: asked.flat(), gaps: gaps.toSorted((a, b) => (a < b ? -1 : 1)) };
}

const written = (address: number): string =>
  [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join('.');
