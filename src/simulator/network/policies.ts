import type { KubernetesObject, ObjectStore } from '../types.ts';
import { convert, labelsOf, type Endpoint, type Entity, type FelixPolicy, type FelixRule } from './felix-policies.ts';
import { holds, network } from './address-number.ts';
import { selectorOf } from './felix-selector.ts';

/** What the far end looks like to a policy: the pod that has the source address, if one has. */
export interface PolicyPeer {
  ip: string;
  pod?: KubernetesObject;
}

/** Policies as Calico's Felix enforces them on its own pods; Flannel enforces none. */
export interface PolicyTable {
  readonly isEmpty: boolean;
  /** What of a packet of `subject` is refused, by name; `` when it may pass. */
  refuses(
    direction: 'ingress' | 'egress',
    subject: KubernetesObject,
    peer: PolicyPeer,
    port: number,
    protocol: string,
  ): string;
  stop(): void;
}

const CALICO = 'crd.projectcalico.org';
const RESOURCES = [
  'networkpolicies.networking.k8s.io',
  ...['networkpolicies', 'globalnetworkpolicies', 'networksets', 'globalnetworksets', 'tiers'].map(
    (plural) => `${plural}.${CALICO}`,
  ),
];

/** The tier that holds Kubernetes' policies, when no object says where it stands. */
const DEFAULT_TIER_ORDER = 1e6;

interface Programmed {
  policies: FelixPolicy[];
  sets: { labels: { [key: string]: string }; nets: string[] }[];
  /** Tiers whose end passes instead of dropping. */
  passing: Set<string>;
}

/** Felix's picture of the datastore: every kind in one form, in the order of its chains. Built anew when something changed. */
export function createPolicies(store: ObjectStore): PolicyTable {
  let programmed: Programmed | undefined;
  let isEmpty = RESOURCES.every((resource) => store.list(resource).length === 0);
  const stops = RESOURCES.map((resource) =>
    store.watch(resource, () => {
      programmed = undefined;
      isEmpty = RESOURCES.every((each) => store.list(each).length === 0);
    }),
  );

  function program(): Programmed {
    const tiers = store.list(`tiers.${CALICO}`);
    const orders = new Map(tiers.map(({ metadata, spec }) => [metadata.name, spec.order ?? Infinity]));
    const orderOf = (tier: string): number => orders.get(tier) ?? (tier === 'default' ? DEFAULT_TIER_ORDER : Infinity);
    const rank = (a: number | string, b: number | string) => (a < b ? -1 : a > b ? 1 : 0);
    return {
      policies: RESOURCES.slice(0, 3)
        .flatMap((resource) => store.list(resource))
        .flatMap(convert)
        .sort(
          (a, b) =>
            rank(orderOf(a.tier), orderOf(b.tier)) ||
            rank(a.tier, b.tier) ||
            rank(a.order, b.order) ||
            rank(a.key, b.key),
        ),
      sets: RESOURCES.slice(3, 5)
        .flatMap((resource) => store.list(resource))
        .map(({ metadata, spec }) => ({
          labels: {
            ...metadata.labels,
            ...(metadata.namespace === undefined ? {} : { 'projectcalico.org/namespace': metadata.namespace }),
          },
          nets: spec?.nets ?? [],
        })),
      passing: new Set(tiers.filter(({ spec }) => spec.defaultAction === 'Pass').map(({ metadata }) => metadata.name)),
    };
  }

  const picture = (): Programmed => (programmed ??= program());

  const labelled = (pod: KubernetesObject) =>
    labelsOf(
      pod,
      store.get('namespaces', undefined, pod.metadata.namespace ?? '')?.metadata.labels,
      store.get('serviceaccounts', pod.metadata.namespace, pod['spec'].serviceAccountName ?? 'default')?.metadata
        .labels,
    );

  function endpoint(ip: string, pod: KubernetesObject | undefined): Endpoint {
    const ofSets = picture()
      .sets.filter(({ nets }) => nets.some((net) => inside(net, ip)))
      .map(({ labels }) => labels);
    return { ip, pod, labels: pod === undefined ? ofSets : [labelled(pod), ...ofSets] };
  }

  function hasBackend({ name, namespace }: { name: string; namespace: string }, ip: string, port?: number): boolean {
    const subsets = (store.get('endpoints', namespace, name)?.['subsets'] ?? []) as {
      addresses?: { ip: string }[];
      ports?: { port: number }[];
    }[];
    return subsets.some(
      ({ addresses = [], ports = [] }) =>
        addresses.some((each) => each.ip === ip) && (port === undefined || ports.some((each) => each.port === port)),
    );
  }

  function isEntity(entity: Entity, end: Endpoint, port: number | undefined): boolean {
    if (entity.selector !== '' && !end.labels.some(selectorOf(entity.selector))) return false;
    if (entity.notSelector !== '' && end.labels.some(selectorOf(entity.notSelector))) return false;
    if (entity.nets !== undefined && !entity.nets.some((net) => inside(net, end.ip))) return false;
    if (entity.notNets.some((net) => inside(net, end.ip))) return false;
    return entity.service === undefined || hasBackend(entity.service, end.ip, port);
  }

  function matches(rule: FelixRule, source: Endpoint, destination: Endpoint, port: number, protocol: string): boolean {
    if (rule.protocol !== '' && rule.protocol !== protocol) return false;
    if (rule.notProtocol === protocol) return false;
    if (!isEntity(rule.source, source, undefined) || !isEntity(rule.destination, destination, port)) return false;
    const isPort = (written: number | string) => portHolds(written, destination.pod, port, protocol);
    if (rule.destination.ports.length > 0 && !rule.destination.ports.some(isPort)) return false;
    // Clients' ports are ephemeral ones: a rule that names others never sees them.
    return !rule.destination.notPorts.some(isPort) && rule.source.ports.length === 0;
  }

  /** The chain of one endpoint and direction: what Felix renders, walked. */
  function walk(chain: readonly FelixPolicy[], direction: 'ingress' | 'egress', test: (rule: FelixRule) => boolean) {
    let tier = '';
    let passed = false;
    let governed: string[] = [];
    const endOfTier = (): string =>
      governed.length > 0 && !passed && !picture().passing.has(tier) ? governed.join(', ') : '';
    for (const policy of chain) {
      if (policy.tier !== tier) {
        const dropped = endOfTier();
        if (dropped !== '') return dropped;
        [tier, passed, governed] = [policy.tier, false, []];
      }
      if (passed) continue;
      governed.push(policy.name);
      for (const rule of policy[direction] ?? []) {
        if (rule.action === 'log' || !test(rule)) continue;
        if (rule.action === 'allow') return '';
        if (rule.action === 'deny') return policy.name;
        passed = true;
        break;
      }
    }
    return endOfTier();
  }

  return {
    get isEmpty() {
      return isEmpty;
    },
    refuses(direction, subject, peer, port, protocol) {
      const labels = labelled(subject);
      const chain = picture().policies.filter(
        (policy) => policy[direction] !== undefined && selectorOf(policy.selector)(labels),
      );
      if (chain.length === 0) return '';
      const own = endpoint(subject['status']?.podIP ?? '', subject);
      const other = endpoint(peer.ip, peer.pod);
      const [source, destination] = direction === 'ingress' ? [other, own] : [own, other];
      return walk(chain, direction, (rule) => matches(rule, source, destination, port, protocol));
    },
    stop: () => stops.forEach((stop) => stop()),
  };
}

const inside = (net: string, ip: string): boolean =>
  !net.includes(':') && ip !== '' && holds(network(net.includes('/') ? net : `${net}/32`), ip);

/** A number, `8000:8010`, or the name of a container port of the destination. */
function portHolds(
  written: number | string,
  pod: KubernetesObject | undefined,
  port: number,
  protocol: string,
): boolean {
  const [low, high] = String(written).split(':');
  if (/^\d+$/.test(low!)) return port >= Number(low) && port <= Number(high ?? low);
  const containers = (pod?.['spec'].containers ?? []) as {
    ports?: { name?: string; containerPort: number; protocol?: string }[];
  }[];
  return containers
    .flatMap(({ ports = [] }) => ports)
    .some(
      (each) =>
        each.name === written && each.containerPort === port && (each.protocol ?? 'TCP').toLowerCase() === protocol,
    );
}
