import type { NodeState } from '../../node/types.ts';
import { calico, flannel } from '../names.ts';

/** What a CNI left on a node, each as a person would name it: `link flannel.1`, `6 rules (nft, ip)`. */
export function flannelLeftovers(state: NodeState): string[] {
  return [
    ...state.links
      .filter(({ name }) => name === flannel.link || name === flannel.bridge)
      .map(({ name }) => `link ${name}`),
    ...rulesOf(state, 'flannel', 'FLANNEL-*'),
    ...state.nftTables.filter((table) => /\bflannel-ipv[46]\b/.test(table)).map((table) => `nft table ${table}`),
    ...(state.leases.length > 0 ? [`${state.leases.length} leases of ${flannel.network} (${state.leases[0]})`] : []),
    ...state.routes
      .filter((route) => route.dev === flannel.link || route.dev === flannel.bridge)
      .map((route) => `route ${route.dst} dev ${route.dev}`),
  ];
}

/** Files and programs of Flannel, which stay until the end: a rollback needs them. */
export function flannelFiles(state: Omit<NodeState, 'routes'>): string[] {
  return [
    ...state.confs
      .filter(({ name, network }) => name === flannel.conf || network === flannel.network)
      .map(({ name }) => `conf ${name}`),
    ...(Object.keys(state.subnetEnv).length > 0 ? ['/run/flannel/subnet.env'] : []),
    ...(state.flannelBinary ? ['the CNI plugin flannel'] : []),
  ];
}

export function calicoLeftoversOf(state: NodeState): string[] {
  return [
    ...state.links
      .filter(({ name }) => name === calico.link || name.startsWith(calico.podLink))
      .map(({ name }) => `link ${name}`),
    ...state.routes
      .filter((route) => route.proto === calico.routeProtocol || route.dev === calico.link)
      .map((route) => `route ${route.type === 'blackhole' ? 'blackhole ' : ''}${route.dst} proto ${route.proto}`),
    ...rulesOf(state, 'calico', 'cali'),
    ...state.ipsets.filter((name) => /^cali[46]0/.test(name)).map((name) => `ipset ${name}`),
    ...state.nftTables.filter((table) => /\bcalico\b/.test(table)).map((table) => `nft table ${table}`),
    ...state.confs
      .filter(({ name, network }) => name === calico.conf || network === calico.network)
      .map(({ name }) => `conf ${name}`),
  ];
}

const rulesOf = (state: NodeState, cni: 'flannel' | 'calico', name: string): string[] =>
  state.rules
    .filter((rules) => rules[cni] > 0)
    .map((rules) => `${rules[cni]} ${name} rules (${rules.backend}, ${rules.family})`);
