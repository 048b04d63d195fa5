import { mapLimit } from '../asker.ts';
import type { Asker } from '../asker.ts';
import { contains, parseCidr } from '../cidr.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';
import { calico } from '../names.ts';
import type { NodeState } from '../../node/types.ts';
import { calicoBlocks, calicoNodes, calicoPools, poolOf, sameSubnet } from './calico-state.ts';
import type { CalicoNode, Pool } from './calico-state.ts';

type Route = NodeState['routes'][number];

/** How packets for a block of another node have to leave: through the tunnel, or plainly to that node or to a router. */
export interface ExpectedRoute {
  dst: string;
  node: string;
  way: 'tunnel' | 'next-hop' | 'router';
  /** Next hop; `` where any router will do. */
  via: string;
  /** Who has to have written it, as `ip route` names the protocol; `` where that tells nothing. */
  proto: string;
}

/** Whom BIRD's routes carry as their protocol; the number where the node has no name for it. */
const birdProtocols = ['bird', '12'];

/** What has to be in the routing table of a node, from blocks, addresses and modes. Pure. */
export function expectedRoutes(
  from: CalicoNode,
  nodes: readonly CalicoNode[],
  pools: readonly Pool[],
  blocks: readonly { cidr: string; node: string }[],
): ExpectedRoute[] {
  return blocks.flatMap(({ cidr, node }): ExpectedRoute[] => {
    const to = nodes.find(({ name }) => name === node);
    const pool = poolOf(pools, cidr);
    if (node === from.name || to === undefined || to.ip === '' || pool === undefined) return [];
    const near = sameSubnet(from, to);
    if (pool.mode === 'Never')
      return [{ dst: cidr, node, way: near ? 'next-hop' : 'router', via: near ? to.ip : '', proto: 'bird' }];
    if (pool.mode === 'CrossSubnet' && near)
      return [{ dst: cidr, node, way: 'next-hop', via: to.ip, proto: calico.routeProtocol }];
    // Felix leaves these to the kernel's own protocol, "boot" (measured: 3.28.5); the device says whose they are.
    return [{ dst: cidr, node, way: 'tunnel', via: to.vtep, proto: '' }];
  });
}

export type RouteFaults = { missing: string[]; wrong: string[] };

/** What differs between the table of a node and what is expected. Pure. */
export function compareRoutes(node: string, expected: readonly ExpectedRoute[], routes: readonly Route[]): RouteFaults {
  const unicast = routes.filter(({ type }) => type === 'unicast');
  const byDst = Map.groupBy(unicast, ({ dst }) => dst);
  const missing: string[] = [];
  const wrong: string[] = [];
  for (const want of expected) {
    const found = byDst.get(want.dst) ?? [];
    if (found.length === 0) {
      missing.push(`${node}: ${want.dst} of ${want.node}`);
      continue;
    }
    const fault = found.map((route) => faultOf(want, route)).find((each) => each !== '');
    if (fault !== undefined) wrong.push(`${node}: ${fault}`);
    const range = parseCidr(want.dst);
    // A more specific route of somebody else inside the block leads a part of its pods astray; /32 are borrowed addresses.
    for (const other of unicast) {
      const inner = parseCidr(other.dst);
      if (other.dst === want.dst || range === undefined || inner === undefined || inner.bits === 32) continue;
      if (contains(range, inner)) wrong.push(`${node}: ${textOf(other)} inside ${want.dst} of ${want.node}`);
    }
  }
  return { missing, wrong };
}

function faultOf({ way, via, proto }: ExpectedRoute, route: Route): string {
  const tunnelled = route.dev === calico.link;
  if (tunnelled !== (way === 'tunnel'))
    return `${textOf(route)}, expected ${way === 'tunnel' ? `dev ${calico.link}` : 'a plain route'}`;
  if (via !== '' && route.via !== via) return `${textOf(route)}, expected via ${via}`;
  const protocols = proto === 'bird' ? birdProtocols : [proto];
  if (proto !== '' && !protocols.includes(route.proto))
    return `${textOf(route)} proto ${route.proto}, expected proto ${proto}`;
  return '';
}

const textOf = ({ dst, via, dev }: Route): string => `${dst}${via === '' ? '' : ` via ${via}`} dev ${dev}`;

type Facts = {
  nodes: number;
  /** Of all nodes together. */
  routes: number;
  modes: string[];
  missing: string[];
  wrong: string[];
  unreachable: string[];
};

/** Asks the given nodes. */
export async function askRoutes(context: Asker, names: readonly string[]): Promise<Facts> {
  const [objects, pools, blocks] = await Promise.all([
    context.nodeObjects(),
    calicoPools(context),
    calicoBlocks(context),
  ]);
  const nodes = calicoNodes(objects);
  const facts: Facts = {
    nodes: names.length,
    routes: 0,
    modes: pools.map(({ name, mode }) => `${name} ${mode}`),
    missing: [],
    wrong: [],
    unreachable: [],
  };
  await mapLimit(names, 20, async (name) => {
    const from = nodes.find((node) => node.name === name);
    if (from === undefined) return;
    const expected = expectedRoutes(from, nodes, pools, blocks);
    facts.routes += expected.length;
    try {
      const { missing, wrong } = compareRoutes(name, expected, (await context.inspect(name)).routes);
      facts.missing.push(...missing);
      facts.wrong.push(...wrong);
    } catch (error) {
      context.signal.throwIfAborted();
      facts.unreachable.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
  for (const list of [facts.missing, facts.wrong, facts.unreachable]) list.sort();
  return facts;
}

export function judgeRoutes({ nodes, routes, modes, missing, wrong, unreachable }: Facts) {
  if (unreachable.length > 0)
    return block(`the routes of ${count(unreachable.length, 'node')} cannot be read: ${some(unreachable)}`, {
      remedy: 'bring these nodes back within reach of SSH, then try again',
    });
  if (missing.length > 0)
    return block(`${missing.length} of ${routes} routes are missing: ${some(missing)}`, {
      remedy: 'restart calico-node on these nodes, or set the former encapsulation back (calico #4022, #3672)',
    });
  if (wrong.length > 0)
    return block(
      `${count(wrong.length, 'route')} of ${routes} ${wrong.length === 1 ? 'is' : 'are'} not as expected: ${some(wrong)}`,
      {
        remedy:
          'look at the node addresses (a prefix of /32 makes every node remote), then at the log of calico-node there',
      },
    );
  return pass(
    `all ${routes} routes to blocks of other nodes are as expected on ${count(nodes, 'node')} (${modes.join(', ')})`,
  );
}

/** The routes on every node are those that blocks, node addresses and the mode ask for: some nodes missed theirs after a change (calico #4022). */
export const routesExpected = defineCheck<Facts>({
  id: 'routes-expected',
  layer: 'bgp',
  title: 'Every node has the routes that the encapsulation asks for',
  scope: 'cluster',
  patient: true,
  ask: async (context) => askRoutes(context, await context.nodeNames()),
  judge: judgeRoutes,
});

/** The same of one node. */
export const nodeRoutesExpected = defineCheck<Facts>({
  id: 'node-routes-expected',
  layer: 'bgp',
  title: 'The node has the routes that the encapsulation asks for',
  scope: 'node',
  patient: true,
  ask: (context, { name }) => askRoutes(context, [name]),
  judge: judgeRoutes,
});
