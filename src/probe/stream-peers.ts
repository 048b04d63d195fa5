import { readFileSync } from 'node:fs';
import type { PlannedNode } from '../plan/types.ts';

type StreamNode = Pick<PlannedNode, 'name' | 'zone' | 'fingerprint'>;

/** The program of the continuous probe, as it goes into the ConfigMap. */
export const streamProgram = (): string => readFileSync(new URL('./stream.sh', import.meta.url), 'utf8');

/**
 * To whom each node sends all the time: its neighbour within the zone, and one node of another zone. Two, whatever the size of
 * the cluster: traffic that nobody asked for grows with the nodes and not with their square. The nodes of a zone take
 * the other zones in turn, so that every pair of zones has its streams as long as there are nodes enough.
 */
export function streamPeers(nodes: readonly StreamNode[]): Map<string, StreamNode[]> {
  const zones = new Map<string, StreamNode[]>();
  for (const node of nodes) zones.set(node.zone, [...(zones.get(node.zone) ?? []), node]);
  const names = [...zones.keys()].toSorted();
  const peers = new Map<string, StreamNode[]>();
  for (const [at, zone] of names.entries()) {
    const own = zones.get(zone)!;
    // The other zones, starting with the next one.
    const others = [...names.slice(at + 1), ...names.slice(0, at)];
    for (const [index, node] of own.entries()) {
      const next = own[(index + 1) % own.length]!;
      const other = others.length === 0 ? own : zones.get(others[index % others.length]!)!;
      const far = other[(others.length === 0 ? index + 2 : index) % other.length]!;
      peers.set(
        node.name,
        [...new Set([next, far])].filter(({ name }) => name !== node.name),
      );
    }
  }
  return peers;
}

/** Lines of node, peer and the peer's node address, for the program to find its own. */
export function peersFile(nodes: readonly StreamNode[]): string {
  return [...streamPeers(nodes)]
    .flatMap(([node, peers]) => peers.map((peer) => `${node} ${peer.name} ${peer.fingerprint.internalIP}\n`))
    .join('');
}
