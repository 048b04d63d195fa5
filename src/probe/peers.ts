import { createHash } from 'node:crypto';
import type { PlannedNode } from '../plan/types.ts';

/**
 * The nodes of `candidates` in the order in which `node` should try them as partners of its probes: other zones first,
 * then by a hash of both names. The same every time, and different for every node, so that one partner does not carry
 * the probes of a whole wave.
 */
export function partnerOrder(
  node: Pick<PlannedNode, 'name' | 'zone'>,
  candidates: readonly PlannedNode[],
): PlannedNode[] {
  return candidates
    .filter((candidate) => candidate.name !== node.name)
    .map((candidate) => ({
      candidate,
      near: candidate.zone !== '' && candidate.zone === node.zone ? 1 : 0,
      order: createHash('sha256').update(`${node.name} ${candidate.name}`).digest('hex'),
    }))
    .sort((a, b) => a.near - b.near || (a.order < b.order ? -1 : 1))
    .map(({ candidate }) => candidate);
}

/** At most `most` nodes, one zone after the other, so that every zone is there before one comes twice. */
export function spreadOverZones(nodes: readonly PlannedNode[], most: number): PlannedNode[] {
  const zones = new Map<string, PlannedNode[]>();
  for (const node of nodes) zones.set(node.zone, [...(zones.get(node.zone) ?? []), node]);
  const queues = [...zones.values()];
  const chosen: PlannedNode[] = [];
  for (let round = 0; chosen.length < most && queues.some((queue) => queue.length > round); round++) {
    for (const queue of queues) {
      const node = queue[round];
      if (node !== undefined && chosen.length < most) chosen.push(node);
    }
  }
  return chosen;
}
