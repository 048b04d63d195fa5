import type { Bgp } from '../cni/bgp.ts';
import type { ClusterDirectory } from '../cni/directory.ts';
import { realMs, type ConntrackEntry, type NodeControl } from '../node/sim-node.ts';
import { parseCidr } from '../scenario/address.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { Random } from '../scenario/random.ts';
import type { ScenarioTiming } from '../scenario/scenario.ts';
import type { DataPath, Delivery, KubernetesObject, ObjectStore, Packet, SimClock, SimSandbox } from '../types.ts';
import { netexecPorts } from '../programs/listening.ts';
import { holds } from './address-number.ts';
import { createConnections } from './connections.ts';
import { isMasqueraded, type Pools } from './nat.ts';
import { createPolicies } from './policies.ts';
import { createServices, type ServicePort } from './services.ts';
import { createWalker, type Arrival, type Loss } from './walk.ts';

/** A client that no node knows (TEST-NET-2). */
const OUTSIDE = '198.51.100.10';
/** How long unanswered SYNs of a dark window go on hurting, in simulated ms (§0a.23 of the migration facts). */
const STALE_SYN_MS = [60_000, 109_000] as const;
/** Source ports that masquerading draws from: with the 130 or so SYNs of a dark window, one connection in 16 clashes. */
const MASQUERADE_PORTS = 2048;
const MAX_STALE = 1000;
/** What listens on every node besides its hostNetwork pods: ICMP (0), sshd, kubelet, kube-proxy. */
const NODE_PORTS = new Set([0, 22, 10250, 10256]);
const BGP_PORT = 179;
const API_PORT = 6443;
/** IP and TCP with timestamps, without payload: what answers a stream, one for every other segment. */
const ACK_BYTES = 52;

/** A delivery with the port that it has at the receiver: Services and hostPorts lead to another one. */
export interface ModelDelivery extends Delivery {
  port: number;
}

export interface ModelDataPath extends DataPath {
  /** `endpoint`: the pod address that an earlier packet of the same connection was sent on to. */
  send(packet: Packet, endpoint?: string): ModelDelivery;
  /** Nodes came or went. */
  topologyChanged(): void;
  /** Address of a running pod's sandbox. */
  addressOfPod(pod: string): string | undefined;
  stop(): void;
}

export interface DataPathOptions {
  store: ObjectStore;
  clock: SimClock;
  directory: ClusterDirectory;
  bgp?: Bgp;
  faults: FaultRegistry;
  timing: ScenarioTiming;
  random: Random;
  nodes(): NodeControl[];
  node(name: string): NodeControl | undefined;
  /** Whether a program that somebody started in a hostNetwork pod of the node listens there. */
  daemonListens?(node: string, port: number, protocol: string): boolean;
}

/** Who sends: a pod, a node's own stack, or somebody outside. */
interface Origin {
  node: NodeControl | undefined;
  sandbox: SimSandbox | undefined;
}

/** The packet on its way to one address, with the source address that it has there. */
interface Leg {
  arrival: Arrival;
  /** The address that it was sent to. */
  to: string;
  source: string;
}

/** Decides from the state of nodes and store alone whether a packet and its answer arrive. */
export function createDataPath(options: DataPathOptions): ModelDataPath {
  const { store, clock, directory, faults, random } = options;
  const services = createServices(options);
  const policies = createPolicies(store);
  const connections = createConnections(clock);
  const pods = new Map<string, KubernetesObject>();
  /** Ports of hostNetwork pods, by node: `8080/tcp`. */
  const hostSockets = new Map<string, Set<string>>();
  const walker = createWalker({
    nodes: options.nodes,
    faults,
    isPodAddress,
    routerKnows: (address) => options.node(options.bgp?.routerKnows(address) ?? ''),
  });
  /** Clients of Services with ClientIP affinity, by kube-proxy, Service and address; `until` is simulated ms. */
  const bound = new Map<string, { ip: string; until: number }>();
  let pools: Pools | undefined;
  /** How many packets the one that is followed stands for. */
  let stream = 1;

  const keyOf = ({ metadata }: KubernetesObject) => `${metadata.namespace}/${metadata.name}`;
  for (const pod of store.list('pods')) pods.set(keyOf(pod), pod);

  function listensOnHost({ name }: NodeControl, port: number, protocol: string): boolean {
    if (NODE_PORTS.has(port)) return true;
    if (port === BGP_PORT) return (options.bgp?.listener(name) ?? '') !== '';
    let sockets = hostSockets.get(name);
    if (sockets === undefined) {
      const own = store
        .list('pods', { fieldSelector: `spec.nodeName=${name}` })
        .filter(({ spec }) => spec.hostNetwork === true);
      hostSockets.set(name, (sockets = new Set(own.flatMap(portsOf))));
    }
    if (sockets.has(`${port}/${protocol}`) || options.daemonListens?.(name, port, protocol)) return true;
    return (
      port === API_PORT &&
      store.get('nodes', undefined, name)?.metadata.labels?.['node-role.kubernetes.io/control-plane'] !== undefined
    );
  }

  const stops = [
    store.watch('pods', ({ type, object }) => {
      if (object['spec'].hostNetwork === true) hostSockets.delete(object['spec'].nodeName ?? '');
      if (type === 'DELETED') pods.delete(keyOf(object));
      else pods.set(keyOf(object), object);
    }),
    directory.onCalicoChange(() => (pools = undefined)),
    services.stop,
    policies.stop,
  ];

  function isPodAddress(address: string): boolean {
    if (calicoPools().all.some((cidr) => holds(cidr, address))) return true;
    for (const { cidr } of directory.flannelPeers.values()) if (holds(cidr, address)) return true;
    return false;
  }

  const calicoPools = (): Pools =>
    (pools ??= {
      all: directory.pools().map(({ cidr }) => parseCidr(cidr)),
      masquerade: directory.pools().flatMap(({ natOutgoing, cidr }) => (natOutgoing ? [parseCidr(cidr)] : [])),
    });

  /** @returns why that sender cannot send, or who it is */
  function originOf(from: string): Origin | string {
    if (from === 'external') return { node: undefined, sandbox: undefined };
    if (from.startsWith('node:')) {
      const node = options.node(from.slice('node:'.length));
      if (node === undefined || !node.powered) return `${from.slice('node:'.length)}: the node is down`;
      return { node, sandbox: undefined };
    }
    const pod = pods.get(from);
    const node = options.node(pod?.['spec'].nodeName ?? '');
    if (pod === undefined || node === undefined) return `${from}: no such pod on a node`;
    const sandbox = walker.view(node).sandboxByUid(pod.metadata.uid!);
    if (sandbox === undefined || !sandbox.running) return `${node.name}: pod ${from} has no running sandbox`;
    return { node, sandbox: sandbox.network === 'POD' ? sandbox : undefined };
  }

  /** Source address that a host gives its packet: that of the device it leaves by. */
  function addressOf(node: NodeControl, device: string): string {
    const address = walker.view(node).links.get(device)?.addresses[0];
    return address === undefined ? node.ip : address.slice(0, address.indexOf('/'));
  }

  /** One way to an address, without Services. `masquerade` forces the node's address on it. */
  function travel(origin: Origin, to: string, bytes: number, masquerade = false): Leg | Loss {
    const { node, sandbox } = origin;
    if (node === undefined) {
      const arrival = walker.toNodeAddress(to, bytes);
      return arrival.lost === undefined ? { arrival, to, source: OUTSIDE } : arrival;
    }
    const arrival = sandbox === undefined ? walker.fromHost(node, to, bytes) : walker.fromPod(node, sandbox, to, bytes);
    if (arrival.lost !== undefined) return arrival;
    const own = sandbox?.ip ?? addressOf(node, arrival.device);
    if (arrival.device === '') return { arrival, to, source: sandbox?.ip ?? to };
    const hidden =
      masquerade || (arrival.node !== node && isMasqueraded(walker.view(node).masquerade, own, to, calicoPools()));
    return { arrival, to, source: hidden ? addressOf(node, arrival.device) : own };
  }

  /** The way back of an answer. @returns the loss, or undefined when it arrives */
  function answer(leg: Leg, client: Origin, bytes: number): Loss | undefined {
    if (stream === 1) return wayBack(leg, client, bytes);
    walker.countAs(Math.ceil(stream / 2), ACK_BYTES);
    const loss = wayBack(leg, client, bytes);
    walker.countAs(stream);
    return loss;
  }

  function wayBack({ arrival, source }: Leg, client: Origin, bytes: number): Loss | undefined {
    if (arrival.node === undefined) {
      const hidden = client.sandbox === undefined || source !== client.sandbox.ip;
      return hidden ? undefined : { lost: `outside: no route back to pod address ${source}` };
    }
    if (client.node === undefined) return undefined;
    const back: Arrival | Loss =
      arrival.sandbox === undefined
        ? walker.fromHost(arrival.node, source, bytes)
        : walker.fromPod(arrival.node, arrival.sandbox, source, bytes);
    if (back.lost !== undefined) return { lost: `answer lost at ${back.lost}` };
    if (client.sandbox === undefined || source !== client.sandbox.ip) {
      if (back.node !== client.node) return { lost: `answer lost: ${source} is not an address of ${client.node.name}` };
      if (client.sandbox === undefined) return undefined;
      // Conntrack of the client's node puts the pod's address back in.
      const home = walker.fromHost(client.node, client.sandbox.ip, bytes);
      return home.lost === undefined ? undefined : { lost: `answer lost at ${home.lost}` };
    }
    return back.sandbox?.id === client.sandbox.id
      ? undefined
      : { lost: `answer lost: ${source} belongs to somebody else` };
  }

  function roundTrip(client: Origin, to: string, bytes: number, masquerade: boolean): Leg | Loss {
    const leg = travel(client, to, bytes, masquerade);
    if ('lost' in leg) return leg;
    return answer(leg, client, bytes) ?? leg;
  }

  const podOf = (sandbox: SimSandbox | undefined) =>
    sandbox && pods.get(`${sandbox.pod.namespace}/${sandbox.pod.name}`);

  /** Calico judges what enters and leaves its own pods; the node's own host may always reach them. */
  function refusal(client: Origin, { arrival, to, source }: Leg, port: number, protocol: string): string {
    if (policies.isEmpty) return '';
    const judged = (sandbox: SimSandbox | undefined) =>
      sandbox?.cni === 'k8s-pod-network' ? podOf(sandbox) : undefined;
    const sender = judged(client.sandbox);
    if (sender !== undefined) {
      const target = podOf(arrival.sandbox);
      const name = policies.refuses('egress', sender, { ip: to, ...(target ? { pod: target } : {}) }, port, protocol);
      if (name !== '') return `${client.node?.name}: egress of ${keyOf(sender)} is refused by policy ${name}`;
    }
    const receiver = judged(arrival.sandbox);
    const isLocal = client.node === arrival.node;
    if (receiver === undefined || (client.sandbox === undefined && isLocal)) return '';
    // Masquerading is the last thing that happens to a packet on its way out: within a node the filter sees who sent it.
    const seen = isLocal && client.sandbox !== undefined ? client.sandbox.ip : source;
    const from = seen === client.sandbox?.ip ? podOf(client.sandbox) : undefined;
    const name = policies.refuses('ingress', receiver, { ip: seen, ...(from ? { pod: from } : {}) }, port, protocol);
    return name === '' ? '' : `${arrival.node?.name}: ingress of ${keyOf(receiver)} is refused by policy ${name}`;
  }

  function delivery(client: Origin, leg: Leg | Loss, port: number, protocol: string): ModelDelivery {
    if ('lost' in leg) return failed(leg.lost);
    const { arrival, source } = leg;
    const refused = refusal(client, leg, port, protocol);
    if (refused !== '') return failed(refused);
    const { sandbox, node } = arrival;
    const answeredBy =
      sandbox !== undefined
        ? `${sandbox.pod.namespace}/${sandbox.pod.name}`
        : node === undefined
          ? 'external'
          : `node:${node.name}`;
    return { delivered: true, answeredBy, source, reason: '', encapsulated: arrival.encapsulated, port };
  }

  /** The endpoint that a client of a Service with ClientIP affinity had last through this kube-proxy, which remembers for itself. */
  function boundTo(client: Origin, proxy: NodeControl, { service, affinityMs }: ServicePort) {
    const key = `${proxy.name} ${service} ${client.sandbox?.ip ?? client.node?.ip ?? ''}`;
    const last = affinityMs > 0 ? bound.get(key) : undefined;
    return {
      ip: last !== undefined && last.until > clock.now() ? last.ip : undefined,
      bind: (ip: string) => void (affinityMs > 0 && bound.set(key, { ip, until: clock.now() + affinityMs })),
    };
  }

  /** kube-proxy on `proxy` sends the packet on to one endpoint: at random, or where the client was before. */
  function throughService(
    client: Origin,
    proxy: NodeControl,
    service: ServicePort,
    packet: Packet,
    masquerade: boolean,
    pinned?: string,
  ): ModelDelivery {
    const endpoints = service.local ? service.endpoints.filter(({ node }) => node === proxy.name) : service.endpoints;
    const affinity = boundTo(client, proxy, service);
    const wanted = pinned ?? affinity.ip;
    const kept = wanted === undefined ? undefined : endpoints.find(({ ip }) => ip === wanted);
    const chosen = kept ?? endpoints[Math.floor(random.next() * endpoints.length)];
    if (chosen === undefined) {
      const loss = { lost: `${proxy.name}: connection refused: service ${service.service} has no ready endpoint` };
      return delivery(client, loss, packet.port, packet.protocol);
    }
    affinity.bind(chosen.ip);
    const isProxy = client.node === proxy;
    const hairpin = client.sandbox?.ip === chosen.ip;
    // From elsewhere the packet starts anew at the proxy's stack; from a pod of its own it is still the pod's.
    const sender: Origin = isProxy ? client : { node: proxy, sandbox: undefined };
    const leg = roundTrip(sender, chosen.ip, packet.bytes, masquerade || hairpin);
    return delivery(isProxy ? client : sender, leg, chosen.port, packet.protocol);
  }

  function throughNodePort(
    client: Origin,
    { arrival }: Leg,
    service: ServicePort,
    packet: Packet,
    pinned?: string,
  ): ModelDelivery {
    const proxy = arrival.node!;
    const sport = Math.floor(random.next() * MASQUERADE_PORTS);
    const stale =
      pinned === undefined &&
      (proxy.conntrack as ConntrackEntry[]).some(
        (entry) =>
          entry.state === 'SYN_SENT' &&
          entry.protocol === packet.protocol &&
          entry.dport === packet.port &&
          (entry.sport ?? -1) === sport,
      );
    if (stale) {
      const loss = {
        lost: `${proxy.name}: a stale SYN_SENT conntrack entry for port ${packet.port} swallows the connection`,
      };
      return delivery(client, loss, packet.port, packet.protocol);
    }
    const result = throughService(client, proxy, service, packet, !service.local, pinned);
    const isDark =
      !result.delivered && result.reason.startsWith(`${proxy.name}:`) && !result.reason.includes('refused');
    if (isDark && packet.protocol === 'tcp') keepUnanswered(proxy, packet, sport);
    return result;
  }

  /** An unanswered SYN, masqueraded to the node's address, that conntrack remembers. */
  function keepUnanswered(node: NodeControl, { protocol, port }: Packet, sport: number) {
    const entries = node.conntrack as ConntrackEntry[];
    const lifetime = realMs(clock, random.between(STALE_SYN_MS));
    if (entries.length >= MAX_STALE || lifetime === 0) return;
    entries.push({ protocol, state: 'SYN_SENT', dst: node.ip, dport: port, sport, expiresAt: clock.now() + lifetime });
  }

  /** What the packet filter of a node says to a packet that sets out there, or arrives at the node's own address. */
  function filtered(node: NodeControl, isOwn: boolean, source: string, { to, ...packet }: Packet): string {
    return walker.filtered(node, isOwn ? 'OUTPUT' : 'PREROUTING', { ...packet, source, destination: to })?.lost ?? '';
  }

  function send(packet: Packet, pinned?: string): ModelDelivery {
    const { times = 1 } = packet;
    if (times === 1) return follow(packet, pinned);
    walker.countAs((stream = times));
    try {
      return follow(packet, pinned);
    } finally {
      walker.countAs((stream = 1));
    }
  }

  function follow(packet: Packet, pinned?: string): ModelDelivery {
    const client = originOf(packet.from);
    if (typeof client === 'string') return failed(client);
    const result = carry(client, packet, pinned);
    if (result.delivered) remember(client, packet, result);
    return result;
  }

  /** Conntrack of the client's node and of the pod that answered. */
  function remember(
    client: Origin,
    { to, port, protocol }: Packet,
    { answeredBy, source, port: realPort }: ModelDelivery,
  ) {
    const server = pods.get(answeredBy);
    const serverNode = options.node(server?.['spec'].nodeName ?? '');
    const realDst = server === undefined ? to : String(server['status']?.podIP ?? to);
    const about = { protocol, dst: to, dport: port, realDst, realPort };
    if (client.node !== undefined)
      connections.seen(client.node, { ...about, src: client.sandbox?.ip ?? client.node.ip });
    if (serverNode !== undefined && serverNode !== client.node) connections.seen(serverNode, { ...about, src: source });
  }

  function carry(client: Origin, packet: Packet, pinned?: string): ModelDelivery {
    const { to, port, protocol, bytes } = packet;
    if (client.node !== undefined) {
      const { node, sandbox } = client;
      const dropped = filtered(node, sandbox === undefined, sandbox?.ip ?? node.ip, packet);
      if (dropped !== '') return failed(dropped);
    }
    const virtual = services.clusterIp(to, port, protocol);
    if (virtual !== undefined || services.isService(to)) {
      if (client.node === undefined) return failed(`outside: no route to the cluster IP ${to}`);
      if (virtual === undefined)
        return failed(`${client.node.name}: no port ${port}/${protocol} on the cluster IP ${to}`);
      // Host connections come from no pod address: kube-proxy masquerades them.
      return throughService(client, client.node, virtual, packet, client.sandbox === undefined, pinned);
    }
    const leg = travel(client, to, bytes);
    if ('lost' in leg) return failed(leg.lost);
    const host = leg.arrival.sandbox === undefined ? leg.arrival.node : undefined;
    if (host !== undefined && host !== client.node) {
      const dropped = filtered(host, false, leg.source, packet);
      if (dropped !== '') return failed(dropped);
    }
    if (host !== undefined && host.ip === to) {
      const nodePort = services.nodePort(port, protocol);
      if (nodePort !== undefined)
        return withWayBack(client, leg, packet, throughNodePort(client, leg, nodePort, packet, pinned));
      const hostPort = walker.view(host).hostPorts.find((each) => each.protocol === protocol && each.hostPort === port);
      if (hostPort !== undefined) {
        const onward = roundTrip({ node: host, sandbox: undefined }, hostPort.ip, bytes, false);
        // portmap masquerades only what comes from the pod itself: others are seen with their own address.
        const seen = 'lost' in onward || client.node === host ? onward : { ...onward, source: leg.source };
        return withWayBack(
          client,
          leg,
          packet,
          delivery(client.node === host ? client : { node: host, sandbox: undefined }, seen, hostPort.port, protocol),
        );
      }
    }
    if (host !== undefined && !listensOnHost(host, port, protocol))
      return failed(`${host.name}: connection refused: nothing listens on port ${port}/${protocol}`);
    const loss = answer(leg, client, bytes);
    return loss === undefined ? delivery(client, leg, port, protocol) : failed(loss.lost);
  }

  /** What a proxy node got back it still has to hand to the client. */
  function withWayBack(client: Origin, leg: Leg, { bytes }: Packet, result: ModelDelivery): ModelDelivery {
    if (!result.delivered || client.node === leg.arrival.node) return result;
    const loss = answer(leg, client, bytes);
    return loss === undefined ? result : { ...result, delivered: false, answeredBy: '', source: '', reason: loss.lost };
  }

  return {
    send,
    topologyChanged: walker.topologyChanged,
    addressOfPod(name) {
      const pod = pods.get(name);
      const node = options.node(pod?.['spec'].nodeName ?? '');
      return node && pod && walker.view(node).sandboxByUid(pod.metadata.uid!)?.ip;
    },
    stop: () => stops.forEach((stop) => stop()),
  };
}

const failed = (reason: string): ModelDelivery => ({
  delivered: false,
  answeredBy: '',
  source: '',
  reason,
  encapsulated: false,
  port: 0,
});

/** A pod's declared ports; agnhost's netexec listens on those of its arguments. */
function portsOf(pod: KubernetesObject): string[] {
  const { tcp, udp } = netexecPorts(pod);
  const containers = pod['spec'].containers as { ports?: { containerPort: number; protocol?: string }[] }[];
  const declared = containers
    .flatMap(({ ports = [] }) => ports)
    .map(({ containerPort, protocol = 'TCP' }) => `${containerPort}/${protocol.toLowerCase()}`);
  return [...declared, ...tcp.map((port) => `${port}/tcp`), ...udp.map((port) => `${port}/udp`)];
}
