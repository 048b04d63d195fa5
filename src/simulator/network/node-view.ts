import type { NodeControl } from '../node/sim-node.ts';
import type { SimLink, SimRoute, SimSandbox } from '../types.ts';
import { addressNumber, network } from './address-number.ts';
import { dropRules, type DropRule } from './firewall.ts';
import { hostPortRules, masqueradeRules, type HostPortRule, type MasqueradeRule } from './nat.ts';

/** What the kernel of one node would answer, prepared for speed from its state of one moment. */
export interface NodeView {
  generation: number;
  /** Plain copies: reading through the watched originals costs several times as much. */
  links: ReadonlyMap<string, SimLink>;
  vxlan: readonly SimLink[];
  /** Addresses of its own links. */
  isLocal(address: string): boolean;
  /** The most specific route. */
  lookUp(address: string): SimRoute | undefined;
  sandboxByUid(uid: string): SimSandbox | undefined;
  /** The sandbox that has the address and hangs on that link, or (for a bridge) on a port of it. */
  sandboxOn(link: string, address: string): SimSandbox | undefined;
  masquerade: readonly MasqueradeRule[];
  hostPorts: readonly HostPortRule[];
  drops: readonly DropRule[];
}

export function viewNode(node: NodeControl): NodeView {
  const links = new Map([...node.links].map(([name, link]) => [name, { ...link }]));
  const local = new Set<string>();
  for (const link of links.values()) for (const each of link.addresses) local.add(each.slice(0, each.indexOf('/')));
  const tables = new Map<number, Map<number, SimRoute>>();
  for (const route of node.routes) {
    const { base, length } = route.dst === 'default' ? { base: 0, length: 0 } : network(route.dst);
    let table = tables.get(length);
    if (table === undefined) tables.set(length, (table = new Map()));
    if (!table.has(base)) table.set(base, route);
  }
  const sorted = [...tables]
    .sort(([a], [b]) => b - a)
    .map(([length, table]) => ({ mask: length === 0 ? 0 : (~0 << (32 - length)) >>> 0, table }));
  const byUid = new Map<string, SimSandbox>();
  const byIp = new Map<string, SimSandbox[]>();
  for (const watched of node.sandboxes.values()) {
    if (watched.stopped) continue;
    const sandbox = { ...watched };
    byUid.set(sandbox.pod.uid, sandbox);
    if (sandbox.network === 'POD') byIp.set(sandbox.ip, [...(byIp.get(sandbox.ip) ?? []), sandbox]);
  }
  return {
    generation: node.generation,
    links,
    vxlan: [...links.values()].filter(({ kind, up }) => kind === 'vxlan' && up),
    isLocal: (address) => local.has(address),
    lookUp(address) {
      const value = addressNumber(address);
      for (const { mask, table } of sorted) {
        const found = table.get((value & mask) >>> 0);
        if (found !== undefined) return found;
      }
      return undefined;
    },
    sandboxByUid: (uid) => byUid.get(uid),
    sandboxOn: (name, address) =>
      byIp.get(address)?.find(({ link }) => {
        const veth = links.get(link);
        return veth?.up === true && (link === name || veth.master === name);
      }),
    masquerade: masqueradeRules(node.rules),
    hostPorts: hostPortRules(node.rules),
    drops: dropRules(node.rules),
  };
}
