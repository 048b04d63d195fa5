import type { Scenario, ScenarioStream } from '../scenario/scenario.ts';
import type { KubernetesObject, ObjectStore, Packet, TrafficReport } from '../types.ts';
import { isActive, isReady } from '../controllers/pods.ts';

export type StreamKind = TrafficReport['streams'][number]['kind'];

/** One end of a stream that is a pod: which workload it belongs to, and which pod of it stands for it now. */
export interface PodEnd {
  namespace: string;
  app: string;
  pod: KubernetesObject | undefined;
}

/** A stream of packets from one place to another, at a steady rate of simulated time. */
export interface Stream {
  name: string;
  kind: StreamKind;
  perSecond: number;
  ends: PodEnd[];
  /** The packet to send now; undefined when there is nobody to send it. */
  packet(): Packet | undefined;
  /** Who has to answer (`namespace/pod`): an address may have gone to another pod meanwhile. */
  answeredBy?(): string | undefined;
}

const HTTP = 80;
const DNS = 53;

/** The streams of a scenario, chosen from the pods there are: across nodes, each pod about as often as another. */
export function planStreams(scenario: Scenario, store: ObjectStore): Stream[] {
  return scenario.traffic.flatMap((entry) => plan(entry, scenario, store));
}

function plan(entry: ScenarioStream, scenario: Scenario, store: ObjectStore): Stream[] {
  if (entry.kind === 'pod-to-pod') return podPairs(entry, store);
  if (entry.kind === 'node-port') return nodePorts(entry, scenario, store);
  if (entry.kind === 'cluster-ip')
    return fromPods(entry, store, () => serviceTarget(store, entry.service), entry.service);
  return fromPods(entry, store, () => dnsTarget(store), 'dns');
}

function podPairs(entry: Extract<ScenarioStream, { kind: 'pod-to-pod' }>, store: ObjectStore): Stream[] {
  const sources = podsOf(store, entry.from);
  const targets = podsOf(store, entry.to);
  const pairs: [KubernetesObject, KubernetesObject][] = [];
  // Round by round, so that a limit cuts the last round and not some pods.
  for (let shift = 0; shift < targets.length && pairs.length < entry.limit; shift++) {
    for (const [at, from] of sources.entries()) {
      const to = targets[(at + shift) % targets.length]!;
      if (from.spec.nodeName === to.spec.nodeName || pairs.length >= entry.limit) continue;
      pairs.push([from, to]);
    }
  }
  return pairs.map(([fromPod, toPod], at) => {
    const from: PodEnd = { ...split(entry.from), pod: fromPod };
    const to: PodEnd = { ...split(entry.to), pod: toPod };
    const port = containerPort(toPod);
    return {
      name: `${entry.name ?? `${from.app}-to-${to.app}`}-${at + 1}`,
      kind: entry.kind,
      perSecond: entry.perSecond,
      ends: [from, to],
      packet: () =>
        from.pod && to.pod?.status?.podIP
          ? { from: nameOf(from.pod), to: to.pod.status.podIP, port, protocol: entry.protocol, bytes: entry.bytes }
          : undefined,
      answeredBy: () => to.pod && nameOf(to.pod),
    };
  });
}

type Target = Pick<Packet, 'to' | 'port' | 'protocol'>;

function fromPods(
  entry: Extract<ScenarioStream, { kind: 'cluster-ip' | 'dns' }>,
  store: ObjectStore,
  target: () => Target | undefined,
  label: string,
): Stream[] {
  return podsOf(store, entry.from)
    .slice(0, entry.limit)
    .map((pod, at) => {
      const from: PodEnd = { ...split(entry.from), pod };
      return {
        name: `${entry.name ?? `${from.app}-at-${label}`}-${at + 1}`,
        kind: entry.kind,
        perSecond: entry.perSecond,
        ends: [from],
        packet() {
          const to = target();
          return from.pod && to ? { from: nameOf(from.pod), ...to, bytes: entry.bytes } : undefined;
        },
      };
    });
}

function nodePorts(
  entry: Extract<ScenarioStream, { kind: 'node-port' }>,
  { nodes }: Scenario,
  store: ObjectStore,
): Stream[] {
  return nodes.slice(0, entry.limit).map(({ name, ip }) => ({
    name: `${entry.name ?? entry.service}-via-${name}`,
    kind: entry.kind,
    perSecond: entry.perSecond,
    ends: [],
    packet() {
      const { namespace, app } = split(entry.service);
      const port = store.get('services', namespace, app)?.spec.ports?.[0]?.nodePort;
      return port === undefined ? undefined : { from: 'external', to: ip, port, protocol: 'tcp', bytes: entry.bytes };
    },
  }));
}

function serviceTarget(store: ObjectStore, service: string): Target | undefined {
  const { namespace, app } = split(service);
  const spec = store.get('services', namespace, app)?.spec;
  return spec && { to: spec.clusterIP, port: spec.ports?.[0]?.port ?? HTTP, protocol: 'tcp' };
}

function dnsTarget(store: ObjectStore): Target | undefined {
  const ip: string | undefined = store.get('services', 'kube-system', 'kube-dns')?.spec.clusterIP;
  return ip === undefined ? undefined : { to: ip, port: DNS, protocol: 'udp' };
}

/** `namespace/app`, or `app` of the namespace `default`. */
function split(text: string): { namespace: string; app: string } {
  const [first = '', second] = text.split('/');
  return second === undefined ? { namespace: 'default', app: first } : { namespace: first, app: second };
}

export function podsOf(store: ObjectStore, text: string): KubernetesObject[] {
  const { namespace, app } = split(text);
  return store
    .list('pods', { namespace, labelSelector: `app=${app}` })
    .filter((pod) => isActive(pod) && isReady(pod) && pod.status?.podIP)
    .sort((left, right) => left.metadata.name.localeCompare(right.metadata.name));
}

const nameOf = ({ metadata }: KubernetesObject) => `${metadata.namespace}/${metadata.name}`;
const containerPort = ({ spec }: KubernetesObject): number => spec.containers?.[0]?.ports?.[0]?.containerPort ?? 8080;
