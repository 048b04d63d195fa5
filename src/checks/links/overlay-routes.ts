import type { NodeState } from '../../node/types.ts';
import type { PlannedNode } from '../../plan/types.ts';
import type { Asker } from '../asker.ts';
import { contains, merge, parseCidr, uncovered } from '../cidr.ts';
import type { Range } from '../cidr.ts';

export type RouteFacts = {
  node: string;
  link: string;
  /** Other nodes that there have to be routes to. */
  peers: number;
  /** Nodes that packets would not reach: `worker-2 10.244.3.0/24 (64 of 256 addresses)`. */
  missing: string[];
  /** Routes into another node's range that lead elsewhere: `10.244.3.0/26 dev flannel.1`. */
  astray: string[];
  /** Blackholes inside the node's own range, by destination. */
  blackholes: string[];
};

/**
 * Looks at the routes of one node. The plan knows every other node and its range; the cluster is asked only when a route
 * is missing, for a node may have been removed since, and then only for names.
 */
export async function askRoutes(context: Asker, { name, fingerprint }: PlannedNode, link: string): Promise<RouteFacts> {
  const state = await context.inspect(name);
  const own = { name, podCIDR: fingerprint.podCIDR };
  const peers = context.planned
    .filter((node) => node.name !== name)
    .map((node) => ({ name: node.name, podCIDR: node.fingerprint.podCIDR }));
  const facts = overlayRoutes(state, own, peers, link);
  if (facts.missing.length === 0) return facts;

  const alive = new Set(await context.nodeNames());
  return overlayRoutes(
    state,
    own,
    peers.filter((peer) => alive.has(peer.name)),
    link,
  );
}

type Peer = { name: string; podCIDR: string };

/**
 * Whether the routes of a node lead to every other node's pod range through `link`, as one route or as blocks.
 * Fewer than some hundred nodes or five thousand: routes are sorted once and searched.
 */
export function overlayRoutes(
  state: Pick<NodeState, 'routes'>,
  own: Peer,
  peers: readonly Peer[],
  link: string,
): RouteFacts {
  const routes = state.routes.flatMap((route) => {
    const range = parseCidr(route.dst);
    return range === undefined ? [] : [{ ...route, range }];
  });
  const through = merge(
    routes.filter((route) => route.dev === link && route.type !== 'blackhole').map((route) => route.range),
  );
  const elsewhere = routes.filter((route) => route.dev !== link);

  const missing: string[] = [];
  const astray: string[] = [];
  for (const peer of peers) {
    const range = parseCidr(peer.podCIDR);
    if (range === undefined) {
      missing.push(`${peer.name} (its pod range is not known)`);
      continue;
    }
    const lost = uncovered(range, through);
    if (lost > 0) missing.push(`${peer.name} ${peer.podCIDR} (${lost} of ${range.end - range.start + 1} addresses)`);
    astray.push(...elsewhere.filter((route) => contains(range, route.range)).map(routeText));
  }
  return {
    node: own.name,
    link,
    peers: peers.length,
    missing,
    astray,
    blackholes: blackholesIn(parseCidr(own.podCIDR), routes),
  };
}

type ParsedRoute = NodeState['routes'][number] & { range: Range };

const blackholesIn = (own: Range | undefined, routes: readonly ParsedRoute[]): string[] =>
  own === undefined
    ? []
    : routes.filter((route) => route.type === 'blackhole' && contains(own, route.range)).map((route) => route.dst);

const routeText = (route: ParsedRoute): string =>
  route.type === 'blackhole' ? `blackhole ${route.dst} proto ${route.proto}` : `${route.dst} dev ${route.dev}`;
