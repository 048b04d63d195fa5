import { ruleHash } from '../node/identity.ts';
import type { SimRule } from '../types.ts';

type Backend = SimRule['backend'];

const ip = (backend: Backend, table: SimRule['table'], chain: string, text: string): SimRule => ({
  backend,
  family: 'ip',
  table,
  chain,
  text,
});

/** What flanneld 0.28 keeps in iptables (flannel: pkg/trafficmngr/iptables). It stays when flanneld stops. */
export function flannelRules(backend: Backend, network: string, subnet: string): SimRule[] {
  const masq = '-m comment --comment "flanneld masq"';
  const forward = '-m comment --comment "flanneld forward"';
  const post = (text: string) => ip(backend, 'nat', 'FLANNEL-POSTRTG', text);
  return [
    ip(backend, 'nat', 'POSTROUTING', `${masq} -j FLANNEL-POSTRTG`),
    post(`-m mark --mark 0x4000/0x4000 ${masq} -j RETURN`),
    post(`-s ${subnet} -d ${network} ${masq} -j RETURN`),
    post(`-s ${network} -d ${subnet} ${masq} -j RETURN`),
    post(`! -s ${network} -d ${subnet} ${masq} -j RETURN`),
    post(`-s ${network} ! -d 224.0.0.0/4 ${masq} -j MASQUERADE --random-fully`),
    post(`! -s ${network} -d ${network} ${masq} -j MASQUERADE --random-fully`),
    ip(backend, 'filter', 'FORWARD', `${forward} -j FLANNEL-FWD`),
    ip(backend, 'filter', 'FLANNEL-FWD', `-s ${network} ${forward} -j ACCEPT`),
    ip(backend, 'filter', 'FLANNEL-FWD', `-d ${network} ${forward} -j ACCEPT`),
  ];
}

/** Felix's rules, in the shape of a node without policies. Felix inserts its jumps in front of everybody else's. */
export function felixRules(
  backend: Backend,
  natOutgoing: boolean,
  vxlanPort: number,
): { front: SimRule[]; back: SimRule[] } {
  const marked = (table: SimRule['table'], chain: string, text: string) =>
    ip(backend, table, chain, `-m comment --comment "cali:${ruleHash(`${table} ${chain} ${text}`)}" ${text}`);
  const front = [
    marked('raw', 'PREROUTING', '-j cali-PREROUTING'),
    marked('raw', 'OUTPUT', '-j cali-OUTPUT'),
    marked('mangle', 'PREROUTING', '-j cali-PREROUTING'),
    marked('mangle', 'POSTROUTING', '-j cali-POSTROUTING'),
    marked('filter', 'INPUT', '-j cali-INPUT'),
    marked('filter', 'FORWARD', '-j cali-FORWARD'),
    marked('filter', 'OUTPUT', '-j cali-OUTPUT'),
    marked('nat', 'PREROUTING', '-j cali-PREROUTING'),
    marked('nat', 'OUTPUT', '-j cali-OUTPUT'),
    marked('nat', 'POSTROUTING', '-j cali-POSTROUTING'),
  ];
  const back = [
    // These two name no cali chain: only the comment tells whose they are (§0a.3 of the migration facts).
    marked('filter', 'FORWARD', '-m mark --mark 0x10000/0x10000 -j ACCEPT'),
    marked('filter', 'FORWARD', '-j MARK --set-xmark 0x10000/0x10000'),
    marked(
      'filter',
      'cali-INPUT',
      `-p udp -m udp --dport ${vxlanPort} -m set --match-set cali40all-vxlan-net src -m addrtype --dst-type LOCAL -j ACCEPT`,
    ),
    marked('filter', 'cali-INPUT', '-i cali+ -g cali-wl-to-host'),
    marked('filter', 'cali-FORWARD', '-i cali+ -j cali-from-wl-dispatch'),
    marked('filter', 'cali-FORWARD', '-o cali+ -j cali-to-wl-dispatch'),
    marked('filter', 'cali-from-wl-dispatch', '-m comment --comment "Unknown interface" -j DROP'),
    marked('filter', 'cali-to-wl-dispatch', '-m comment --comment "Unknown interface" -j DROP'),
    marked('filter', 'cali-wl-to-host', '-m comment --comment "Configured DefaultEndpointToHostAction" -j ACCEPT'),
    marked('raw', 'cali-PREROUTING', '-j MARK --set-xmark 0x0/0xf0000'),
    marked('nat', 'cali-POSTROUTING', '-j cali-fip-snat'),
    marked('nat', 'cali-POSTROUTING', '-j cali-nat-outgoing'),
    ...(natOutgoing
      ? [
          marked(
            'nat',
            'cali-nat-outgoing',
            '-m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst -j MASQUERADE --random-fully',
          ),
        ]
      : []),
  ];
  return { front, back };
}

export const felixIpsets = [
  'cali40all-ipam-pools',
  'cali40masq-ipam-pools',
  'cali40all-vxlan-net',
  'cali40all-hosts-net',
  'cali40this-host',
];

const same = (a: SimRule, b: SimRule) =>
  a.chain === b.chain && a.text === b.text && a.table === b.table && a.backend === b.backend && a.family === b.family;

/** The rules with what is missing put in: at the front or at the end. The same array when nothing is missing. */
export function withRules(rules: SimRule[], front: SimRule[], back: SimRule[]): SimRule[] {
  const absent = (rule: SimRule) => !rules.some((each) => same(each, rule));
  const before = front.filter(absent);
  const after = back.filter(absent);
  return before.length + after.length === 0 ? rules : [...before, ...rules, ...after];
}
