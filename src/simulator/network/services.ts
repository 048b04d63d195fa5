import type { Random } from '../scenario/random.ts';
import type { ScenarioTiming } from '../scenario/scenario.ts';
import type { KubernetesObject, ObjectStore, SimClock } from '../types.ts';

export interface ServicePort {
  /** `namespace/name`. */
  service: string;
  endpoints: readonly { ip: string; port: number; node: string }[];
  /** externalTrafficPolicy or internalTrafficPolicy Local: only endpoints of the node that was asked, and no masquerading. */
  local: boolean;
  /** How long a client is kept with its endpoint after its last connection, simulated ms; 0: not at all. */
  affinityMs: number;
}

/** What the kube-proxies of all nodes have programmed: one picture, as late as their sync makes it. */
export interface ServiceTable {
  clusterIp(ip: string, port: number, protocol: string): ServicePort | undefined;
  nodePort(port: number, protocol: string): ServicePort | undefined;
  /** Whether the address belongs to a Service at all. */
  isService(ip: string): boolean;
  stop(): void;
}

interface Programmed {
  clusterIps: [string, ServicePort][];
  nodePorts: [string, ServicePort][];
  ip: string;
}

const key = (port: number, protocol: string) => `${port}/${protocol.toLowerCase()}`;

export function createServices({
  store,
  clock,
  timing,
  random,
}: {
  store: ObjectStore;
  clock: SimClock;
  timing: ScenarioTiming;
  random: Random;
}): ServiceTable {
  const programmed = new Map<string, Programmed>();
  const clusterIps = new Map<string, ServicePort>();
  const nodePorts = new Map<string, ServicePort>();
  const addresses = new Map<string, number>();
  const pending = new Set<string>();

  function program(service: string) {
    pending.delete(service);
    const before = programmed.get(service);
    before?.clusterIps.forEach(([each]) => clusterIps.delete(each));
    before?.nodePorts.forEach(([each]) => nodePorts.delete(each));
    if (before !== undefined) count(before.ip, -1);
    const [namespace = '', name = ''] = service.split('/');
    const object = store.get('services', namespace, name);
    if (object === undefined) {
      programmed.delete(service);
      return;
    }
    const next = describe(service, object, store.get('endpoints', namespace, name));
    programmed.set(service, next);
    next.clusterIps.forEach(([each, port]) => clusterIps.set(each, port));
    next.nodePorts.forEach(([each, port]) => nodePorts.set(each, port));
    count(next.ip, 1);
  }

  function count(ip: string, by: number) {
    const left = (addresses.get(ip) ?? 0) + by;
    if (left > 0) addresses.set(ip, left);
    else addresses.delete(ip);
  }

  function changed({ object }: { object: KubernetesObject }) {
    const service = `${object.metadata.namespace}/${object.metadata.name}`;
    if (pending.has(service)) return;
    pending.add(service);
    clock.after(random.between(timing.endpointSync), () => program(service));
  }

  for (const { metadata } of store.list('services')) program(`${metadata.namespace}/${metadata.name}`);
  const stops = [store.watch('services', changed), store.watch('endpoints', changed)];
  return {
    clusterIp: (ip, port, protocol) => clusterIps.get(`${ip}:${key(port, protocol)}`),
    nodePort: (port, protocol) => nodePorts.get(key(port, protocol)),
    isService: (ip) => addresses.has(ip),
    stop: () => stops.forEach((stop) => stop()),
  };
}

interface Subset {
  addresses?: { ip: string; nodeName?: string }[];
  ports?: { name?: string; port: number; protocol?: string }[];
}

function describe(service: string, { spec }: KubernetesObject, endpoints: KubernetesObject | undefined): Programmed {
  const ip = String(spec.clusterIP ?? '');
  const result: Programmed = { clusterIps: [], nodePorts: [], ip };
  if (ip === '' || ip === 'None') return result;
  const subsets = (endpoints?.['subsets'] ?? []) as Subset[];
  for (const { name = '', port, protocol = 'TCP', nodePort } of spec.ports ?? []) {
    const targets = subsets.flatMap(({ addresses = [], ports = [] }) => {
      const chosen = ports.find((each) => (each.name ?? '') === name && (each.protocol ?? 'TCP') === protocol);
      return chosen === undefined
        ? []
        : addresses.map((each) => ({ ip: each.ip, port: chosen.port, node: each.nodeName ?? '' }));
    });
    const plain: ServicePort = { service, endpoints: targets, local: false, affinityMs: affinityOf(spec) };
    result.clusterIps.push([
      `${ip}:${key(port, protocol)}`,
      { ...plain, local: spec.internalTrafficPolicy === 'Local' },
    ]);
    if (nodePort)
      result.nodePorts.push([key(nodePort, protocol), { ...plain, local: spec.externalTrafficPolicy === 'Local' }]);
  }
  return result;
}

/** Three hours when the Service does not say, as the API server fills in. */
const affinityOf = (spec: KubernetesObject['spec']): number =>
  spec.sessionAffinity === 'ClientIP' ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800) * 1000 : 0;
