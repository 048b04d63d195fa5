import { realMs } from '../node/sim-node.ts';
import type { SimClock, SimConnection, SimNode } from '../types.ts';

/** How long a kernel remembers a connection that has ended (`nf_conntrack_tcp_timeout_time_wait`, `…_udp_timeout_stream`), simulated ms. */
const REMEMBERED_MS = 120_000;
/** A kernel holds hundreds of thousands; what is asked of it is who talks with whom. */
const MOST = 4_000;

/** What conntrack of the nodes remembers of connections that were answered. */
export function createConnections(clock: SimClock) {
  return {
    seen(node: SimNode, { protocol, src, dst, dport, realDst, realPort }: Omit<SimConnection, 'expiresAt'>): void {
      // Without time nothing is ever forgotten, so nothing is remembered.
      const lifetime = realMs(clock, REMEMBERED_MS);
      if (lifetime === 0) return;
      const key = `${protocol} ${src} ${dst}:${dport} ${realDst}:${realPort}`;
      const expiresAt = clock.now() + lifetime;
      const known = node.connections.get(key);
      if (known !== undefined) {
        known.expiresAt = expiresAt;
        return;
      }
      if (node.connections.size >= MOST) forget(node, clock.now());
      if (node.connections.size >= MOST) return;
      node.connections.set(key, { protocol, src, dst, dport, realDst, realPort, expiresAt });
    },
  };
}

function forget({ connections }: SimNode, now: number): void {
  for (const [key, { expiresAt }] of connections) if (expiresAt <= now) connections.delete(key);
}
