import { parseCidr, type Cidr } from '../scenario/address.ts';
import type { SimRule } from '../types.ts';
import { holds } from './address-number.ts';

/** One rule that a packet meets on its way out, in the order of the chains. */
export interface MasqueradeRule {
  matches(source: string, destination: string, pools: Pools): boolean;
  target: 'MASQUERADE' | 'RETURN' | 'ACCEPT';
  chain: string;
}

/** Membership of Calico's ipsets. */
export interface Pools {
  all: readonly Cidr[];
  masquerade: readonly Cidr[];
}

export interface HostPortRule {
  protocol: string;
  hostPort: number;
  ip: string;
  port: number;
}

/**
 * The masquerading part of nat/POSTROUTING: chains that are jumped to, in order, each until its RETURN. Rules that match
 * a mark are kube-proxy's and portmap's own, and are decided where those are modelled.
 */
export function masqueradeRules(rules: readonly SimRule[]): MasqueradeRule[] {
  const nat = rules.filter(({ table, family }) => table === 'nat' && family === 'ip');
  const walk = (chain: string, depth: number): MasqueradeRule[] =>
    nat
      .filter((rule) => rule.chain === chain)
      .flatMap(({ text }) => {
        const target = /-j (\S+)/.exec(text)?.[1] ?? '';
        if (/-m mark/.test(text)) return [];
        if (target === 'MASQUERADE' || target === 'RETURN' || target === 'ACCEPT')
          return [{ matches: matcher(text), target, chain } satisfies MasqueradeRule];
        return depth < 4 &&
          nat.some((rule) => rule.chain === target) &&
          !target.startsWith('KUBE-') &&
          !target.startsWith('CNI-')
          ? walk(target, depth + 1)
          : [];
      });
  return walk('POSTROUTING', 0);
}

/** Whether the packet leaves with the node's address. A RETURN ends the chain that it stands in, an ACCEPT all of them. */
export function isMasqueraded(
  rules: readonly MasqueradeRule[],
  source: string,
  destination: string,
  pools: Pools,
): boolean {
  let returned = '';
  for (const { matches, target, chain } of rules) {
    if (chain === returned || !matches(source, destination, pools)) continue;
    if (target !== 'RETURN') return target === 'MASQUERADE';
    returned = chain;
  }
  return false;
}

function matcher(text: string): MasqueradeRule['matches'] {
  const source = addressMatcher(text, 's');
  const destination = addressMatcher(text, 'd');
  const sets = [...text.matchAll(/-m set (! )?--match-set (\S+) (src|dst)/g)].map(([, not, name = '', side]) => ({
    not: not !== undefined,
    name,
    side,
  }));
  return (from, to, pools) =>
    source(from) &&
    destination(to) &&
    sets.every(({ not, name, side }) => {
      const members = name.includes('masq') ? pools.masquerade : pools.all;
      return members.some((cidr) => holds(cidr, side === 'src' ? from : to)) !== not;
    });
}

/** What `-s` or `-d` of a rule asks of an address; a rule without it takes any. */
export function addressMatcher(text: string, flag: 's' | 'd'): (address: string) => boolean {
  const found = new RegExp(`(! )?-${flag} (\\d[\\d./]*)`).exec(text);
  if (found === null) return () => true;
  const cidr: Cidr = parseCidr(found[2]!);
  return found[1] === undefined ? (address) => holds(cidr, address) : (address) => !holds(cidr, address);
}

/** hostPorts as the chains of portmap say, in the order in which a packet meets them: the first that matches wins. */
export function hostPortRules(rules: readonly SimRule[]): HostPortRule[] {
  const nat = rules.filter(({ table, family }) => table === 'nat' && family === 'ip');
  const reached = nat.some(({ chain, text }) => chain === 'PREROUTING' && text.includes('-j CNI-HOSTPORT-DNAT'));
  if (!reached) return [];
  return nat
    .filter(({ chain }) => chain === 'CNI-HOSTPORT-DNAT')
    .flatMap(({ text }) => {
      const chain = /-j (CNI-DN-\S+)/.exec(text)?.[1];
      return nat
        .filter((rule) => rule.chain === chain)
        .flatMap((rule): HostPortRule[] => {
          const found = /-p (\w+) .*--dport (\d+) -j DNAT --to-destination ([\d.]+):(\d+)/.exec(rule.text);
          if (found === null) return [];
          return [{ protocol: found[1]!, hostPort: Number(found[2]), ip: found[3]!, port: Number(found[4]) }];
        });
    });
}
