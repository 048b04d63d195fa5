import { selectorMatcher } from '../api/selectors.ts';
import type { KubernetesObject, ObjectStore } from '../types.ts';
import { holds, network } from './address-number.ts';

/** What the far end looks like to a policy: the pod that has the source address, if one has. */
export interface PolicyPeer {
  ip: string;
  pod?: KubernetesObject;
}

/** NetworkPolicies as Calico enforces them on its own pods; Flannel enforces none. */
export interface PolicyTable {
  readonly isEmpty: boolean;
  /** The name of the policy set that refuses the packet, `` when none does. */
  refuses(
    direction: 'ingress' | 'egress',
    subject: KubernetesObject,
    peer: PolicyPeer,
    port: number,
    protocol: string,
  ): string;
  stop(): void;
}

interface Rule {
  from?: Peer[];
  to?: Peer[];
  ports?: { port?: number | string; endPort?: number; protocol?: string }[];
}

interface Peer {
  podSelector?: Parameters<typeof selectorMatcher>[0];
  namespaceSelector?: Parameters<typeof selectorMatcher>[0];
  ipBlock?: { cidr: string; except?: string[] };
}

const RESOURCE = 'networkpolicies.networking.k8s.io';

export function createPolicies(store: ObjectStore): PolicyTable {
  let byNamespace = read();
  const stop = store.watch(RESOURCE, () => (byNamespace = read()));

  function read(): Map<string, KubernetesObject[]> {
    return Map.groupBy(store.list(RESOURCE), ({ metadata }) => metadata.namespace ?? '');
  }

  function isPeer(peer: Peer, other: PolicyPeer, namespace: string): boolean {
    if (peer.ipBlock !== undefined) {
      const { cidr, except = [] } = peer.ipBlock;
      return holds(network(cidr), other.ip) && !except.some((each) => holds(network(each), other.ip));
    }
    if (other.pod === undefined) return false;
    const from = other.pod.metadata.namespace ?? '';
    if (peer.namespaceSelector === undefined) {
      if (from !== namespace) return false;
    } else {
      const object = store.get('namespaces', undefined, from);
      if (object === undefined || !selectorMatcher(peer.namespaceSelector)(object)) return false;
    }
    return peer.podSelector === undefined || selectorMatcher(peer.podSelector)(other.pod);
  }

  const isPort = (rule: Rule, port: number, protocol: string) =>
    rule.ports === undefined ||
    rule.ports.length === 0 ||
    rule.ports.some(
      (each) =>
        (each.protocol ?? 'TCP').toLowerCase() === protocol &&
        (each.port === undefined ||
          (typeof each.port === 'number' && port >= each.port && port <= (each.endPort ?? each.port))),
    );

  return {
    get isEmpty() {
      return byNamespace.size === 0;
    },
    refuses(direction, subject, peer, port, protocol) {
      const namespace = subject.metadata.namespace ?? '';
      const type = direction === 'ingress' ? 'Ingress' : 'Egress';
      const selecting = (byNamespace.get(namespace) ?? []).filter(
        ({ spec }) =>
          (spec.policyTypes ?? ['Ingress']).includes(type) && selectorMatcher(spec.podSelector ?? {})(subject),
      );
      if (selecting.length === 0) return '';
      const allowed = selecting.some(({ spec }) =>
        ((spec[direction] ?? []) as Rule[]).some((rule) => {
          const peers = direction === 'ingress' ? rule.from : rule.to;
          const isAnybody = peers === undefined || peers.length === 0;
          return isPort(rule, port, protocol) && (isAnybody || peers.some((each) => isPeer(each, peer, namespace)));
        }),
      );
      return allowed ? '' : selecting.map(({ metadata }) => metadata.name).join(', ');
    },
    stop,
  };
}
