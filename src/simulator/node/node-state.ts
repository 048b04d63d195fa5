import { createHash } from 'node:crypto';

import type { NodeState } from '../../node/types.ts';
import { seenToken } from '../ssh/verbs/token.ts';
import type { SimNode, SimRule } from '../types.ts';

const CONF_DIR = '/etc/cni/net.d/';
const LEASES = '/var/lib/cni/networks/cbr0/';
const OWN_FILES = '/var/lib/cutover/';

/** What `inspect` reads, derived from the node's state: files, links, routes, rules, sandboxes, timers. */
export function nodeState(node: SimNode): NodeState {
  const { files } = node;
  const paths = [...files.keys()];
  const token = seenToken(node);
  const timers = [...node.timers].filter(([unit]) => unit.startsWith('cutover-revert'));
  return {
    hostname: node.name,
    kernel: node.kernel,
    kubeletActive: node.kubelet.active,
    confs: confPaths(node).map((path) => describeConf(path.slice(CONF_DIR.length), files.get(path)!)),
    loadedNetworks: [...node.loadedNetworks],
    links: [...node.links.values()].map(({ name, kind, mac, mtu, up, vni = 0, dstPort = 0, master = '' }) => ({
      name,
      kind,
      mac,
      mtu,
      up,
      vni,
      dstPort,
      master,
    })),
    routes: node.routes.map(({ dst, via = '', dev = '', proto, type }) => ({ dst, via, dev, proto, type })),
    rules: countRules(node.rules),
    legacyTables: distinct(node.rules.filter(({ backend }) => backend === 'legacy').map(({ table }) => table)),
    nftTables: distinct(
      node.rules.filter(({ backend }) => backend === 'nft').map(({ family, table }) => `${family} ${table}`),
    ),
    ipsets: [...node.ipsets].sort(),
    leases: paths
      .filter((path) => path.startsWith(LEASES))
      .map((path) => path.slice(LEASES.length))
      .filter((file) => /^\d/.test(file)),
    sandboxes: [...node.sandboxes.values()].map(({ id, pod, network, running }) => ({
      id,
      name: pod.name,
      namespace: pod.namespace,
      network,
      ready: running,
    })),
    subnetEnv: parseEnv(files.get('/run/flannel/subnet.env') ?? ''),
    flannelBinary: files.has('/opt/cni/bin/flannel'),
    revertArmed: timers.some(([, { fired }]) => !fired),
    revertFired: timers.some(([, { fired }]) => fired),
    snapshot: paths.some((path) => path.startsWith(OWN_FILES) && path.includes('/snapshot/')),
    token: token.seen,
    installation: token.owner,
    tokenProblem: token.problem,
    // The models of the verbs call no programs: a simulated node lacks none.
    missingTools: [],
    addresses: [...node.links.values()].filter(({ name }) => name !== 'lo').flatMap(({ addresses }) => addresses),
    conntrackDrops: node.host.conntrackDrops,
  };
}

/** Conf files that a runtime would consider, in the order in which it does. */
export function confPaths(node: SimNode): string[] {
  return [...node.files.keys()]
    .filter((path) => path.startsWith(CONF_DIR) && /\.(conf|conflist|json)$/.test(path))
    .filter((path) => !path.slice(CONF_DIR.length).includes('/'))
    .sort();
}

function describeConf(name: string, content: string) {
  const sha256 = createHash('sha256').update(content).digest('hex');
  try {
    const conf = JSON.parse(content) as { name?: string; type?: string; plugins?: { type?: string }[] };
    return { name, sha256, network: conf.name ?? '', firstPlugin: conf.plugins?.[0]?.type ?? conf.type ?? '' };
  } catch {
    return { name, sha256, network: '', firstPlugin: '' };
  }
}

const marks = { flannel: /FLANNEL-/, calico: /cali[-:]/, hostport: /CNI-(HOSTPORT|DN)/ };

/** Lines of `iptables-save` that name a CNI: its rules, and the declarations of its chains. */
export function countRules(rules: readonly SimRule[]): NodeState['rules'] {
  const kinds = [
    ['nft', 'ip'],
    ['nft', 'ip6'],
    ['legacy', 'ip'],
    ['legacy', 'ip6'],
  ] as const;
  return kinds.map(([backend, family]) => {
    const own = rules.filter((rule) => rule.backend === backend && rule.family === family);
    const chains = distinct(own.map(({ table, chain }) => `${table} ${chain}`));
    const count = (mark: RegExp) =>
      own.filter(({ chain, text }) => mark.test(chain) || mark.test(text)).length +
      chains.filter((chain) => mark.test(chain)).length;
    return {
      backend,
      family,
      flannel: count(marks.flannel),
      calico: count(marks.calico),
      hostport: count(marks.hostport),
    };
  });
}

function parseEnv(text: string): { [key: string]: string } {
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

const distinct = <T>(values: T[]): T[] => [...new Set(values)];
