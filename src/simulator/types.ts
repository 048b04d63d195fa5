import type { KubernetesObject } from '../kubernetes/types.ts';
import type { NodeState, NodeSurvey } from '../node/types.ts';

/**
 * The seams inside the simulator. `api/` is the Kubernetes API over HTTP, `controllers/` what a control plane does,
 * `node/` what runs on each node, `network/` whether a packet arrives. They meet in the ObjectStore and in SimNode.
 */

export type { KubernetesObject };

/** Thrown by the store and answered by the API as a `Status` object. */
export interface StatusError extends Error {
  code: number;
  reason: string;
  details?: unknown;
}

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubernetesObject;
  resourceVersion: number;
}

/**
 * The registry: what etcd and the API server's storage layer are together. `resource` is `pods`, `nodes`,
 * `daemonsets.apps`, `ippools.crd.projectcalico.org`. Synchronous; objects that come out must not be changed in place.
 */
export interface ObjectStore {
  readonly resourceVersion: number;
  get(resource: string, namespace: string | undefined, name: string): KubernetesObject | undefined;
  list(
    resource: string,
    options?: { namespace?: string; labelSelector?: string; fieldSelector?: string },
  ): KubernetesObject[];
  create(resource: string, object: KubernetesObject): KubernetesObject;
  /** 409 when `metadata.resourceVersion` is given and stale. `status` touches only the status, else the status is kept. */
  update(resource: string, object: KubernetesObject, options?: { subresource?: 'status' }): KubernetesObject;
  /** For controllers and kubelets: read, change a copy, write; spec, status and metadata alike. No-op when nothing changed. */
  mutate(
    resource: string,
    namespace: string | undefined,
    name: string,
    change: (object: KubernetesObject) => void,
  ): KubernetesObject | undefined;
  /**
   * What DELETE does: finalizers and a pod's grace period leave the object with a deletionTimestamp (a pod bound to a
   * node is then finished by its kubelet through `remove`), everything else goes at once. Owned objects are collected.
   */
  delete(
    resource: string,
    namespace: string | undefined,
    name: string,
    options?: { gracePeriodSeconds?: number; uid?: string; propagation?: string },
  ): KubernetesObject | undefined;
  /** Takes the object out now, whatever its finalizers and grace. */
  remove(resource: string, namespace: string | undefined, name: string): void;
  /** Calls back synchronously after each write of that resource (`*`: of all). Returns the way to stop it. */
  watch(resource: string, onEvent: (event: WatchEvent) => void): () => void;
  /** Writes an Event (core/v1) about an object, as `kubectl describe` shows it. Repeats are counted, not piled up. */
  event(about: KubernetesObject, type: 'Normal' | 'Warning', reason: string, message: string, source: string): void;
}

/** Time of the simulation. `speed` 10 makes ten simulated seconds of one real second; 0 makes every wait one tick. */
export interface SimClock {
  /** Real time in ms since the epoch: what objects carry as timestamps. */
  now(): number;
  /** Runs after `ms` simulated milliseconds. */
  after(ms: number, run: () => void): { cancel(): void };
  sleep(ms: number): Promise<void>;
}

/** What the API server asks of kubelets: exec, logs. */
export interface KubeletGateway {
  /** @throws StatusError 500/404/503 as a real kubelet would: node down, container not running */
  exec(pod: KubernetesObject, container: string, command: string[], io: ExecStreams): Promise<{ exitCode: number }>;
  logs(
    pod: KubernetesObject,
    container: string,
    options: { tailLines?: number; previous?: boolean; timestamps?: boolean },
  ): string;
}

export interface ExecStreams {
  /** Somebody sits at a terminal: programs that read prompt and echo. */
  terminal?: boolean;
  stdin?: AsyncIterable<Buffer>;
  stdout(data: string): void;
  stderr(data: string): void;
}

/** One rule or chain-jump of a simulated packet filter: enough to count, clean, snapshot and let it act on packets. */
export interface SimRule {
  backend: 'nft' | 'legacy';
  family: 'ip' | 'ip6';
  table: 'nat' | 'filter' | 'mangle' | 'raw';
  chain: string;
  /** As `iptables-save` would print it, without `-A CHAIN `. */
  text: string;
}

export interface SimLink {
  name: string;
  kind: 'device' | 'bridge' | 'vxlan' | 'veth';
  mac: string;
  mtu: number;
  up: boolean;
  vni?: number;
  dstPort?: number;
  /** Local VTEP address. */
  local?: string;
  master?: string;
  addresses: string[];
  /** vxlan: remote VTEP MAC -> node IP. */
  fdb?: Map<string, string>;
  /** vxlan: remote VTEP address -> MAC. */
  neighbours?: Map<string, string>;
}

export interface SimRoute {
  dst: string;
  via?: string;
  dev?: string;
  proto: string;
  type: 'unicast' | 'blackhole';
  onlink?: boolean;
}

export interface SimSandbox {
  id: string;
  pod: { namespace: string; name: string; uid: string };
  network: 'POD' | 'NODE';
  /** Name of the CNI network that made it (`cbr0`, `k8s-pod-network`), `` for NODE. */
  cni: string;
  ip: string;
  /** Host side of its veth: on cni0 for flannel, `cali…` for Calico. */
  link: string;
  running: boolean;
  /** Its network is gone: it is listed until kubelet collects it. */
  stopped?: true;
  hostPorts: { hostPort: number; containerPort: number; protocol: string }[];
}

/** What the operating system of a simulated node is like, beside its network: plain values that a scenario or a test sets. */
export interface SimHost {
  /** Its clock is so much ahead of ours. */
  clockAheadSeconds: number;
  confDir: string;
  binDirs: string[];
  maxConfNum: number;
  listeners: NodeSurvey['listeners'];
  /** Packets above this many bytes do not reach other nodes; the MTU of eth0 when absent. */
  pathMtu?: number;
  /** Whether other nodes answer a ping at all. */
  icmp: boolean;
  sysctls: { [path: string]: string };
  services: string[];
  conntrackCount: number;
  conntrackMax: number;
  /** Packets that conntrack has refused. */
  conntrackDrops: number;
  diskFreePercent: number;
  /** What the runtime has; the API shows the first 50. */
  images: string[];
}

/**
 * One simulated node: plain state plus the few things that are actions of programs on it (kubelet, runtime, CNI
 * plugins). Verb models and the interactive shell work on this, and on nothing else: they know no route and no step.
 */
export interface SimNode {
  readonly name: string;
  readonly ip: string;
  readonly zone: string;
  kernel: string;
  /** Absolute path -> content. Writes go through `write`/`rename`/`unlink`, which the runtime's watcher sees. */
  readonly files: ReadonlyMap<string, string>;
  write(path: string, content: string): void;
  /** `rename(2)`. From another directory into /etc/cni/net.d it is NOT noticed by the runtime (migrations.md §0a.11). */
  rename(from: string, to: string): void;
  unlink(path: string): boolean;
  readonly links: Map<string, SimLink>;
  /** Removes the link, its addresses, its routes, FDB and neighbours, as the kernel does. flanneld may bring flannel.1 back bare. */
  deleteLink(name: string): boolean;
  routes: SimRoute[];
  rules: SimRule[];
  ipsets: Set<string>;
  /** `src` is the client as this node saw it first; `realDst` and `realPort` what a Service led to. */
  conntrack: {
    protocol: 'tcp' | 'udp';
    state: string;
    src?: string;
    dst: string;
    dport: number;
    realDst?: string;
    realPort?: number;
  }[];
  /** Answered connections by what they are about; beside `conntrack`, which holds what stands in the way of others. */
  readonly connections: Map<string, SimConnection>;
  readonly sandboxes: Map<string, SimSandbox>;
  /** `crictl stopp` + `crictl rmp`: CNI DEL through the conf that is loaded NOW. @throws Error when the plugin fails (fence) */
  removeSandbox(id: string): Promise<void>;
  readonly loadedNetworks: readonly string[];
  readonly kubelet: { active: boolean; start(): Promise<void>; stop(): Promise<void> };
  /** The node's own TCP: who listens on a port (`` for nobody), and what becomes of a connection to another host. */
  readonly tcp: { listener(port: number): string; ask(address: string, port: number): 'open' | 'refused' | 'silent' };
  /** systemd units with a timer. */
  readonly timers: Map<string, { firesAt: number; command: string; fired: boolean; cancel(): void; restart(): void }>;
  /**
   * Starts one; `run` is what the model does when it fires. A persistent one survives a restart of the node, and fires when
   * the node comes up if its end has passed; a transient one is gone.
   */
  startTimer(
    unit: string,
    seconds: number,
    command: string,
    run: () => Promise<void>,
    options?: { persistent: boolean },
  ): void;
  readonly host: SimHost;
  /** What a device has carried since it is there, as /proc/net/dev counts it. */
  counters(link: string): { rxBytes: number; rxPackets: number; txBytes: number; txPackets: number };
  /** Everything of this node that `inspect` prints, derived from the state above. */
  state(): NodeState;
  /** Host key in OpenSSH private format, and the fingerprint of its public half. */
  readonly hostKey: { privateKey: string; publicKey: string; fingerprint: string };
}

/** What a packet met on its way. */
export interface Delivery {
  delivered: boolean;
  /** Who got it: `namespace/pod`, `node:<name>` for host sockets, `` when nobody. */
  answeredBy: string;
  /** Source address that the receiver sees. */
  source: string;
  /** Names the place and reason of the loss: `worker-2: blackhole route 10.244.2.0/26`. */
  reason: string;
  encapsulated: boolean;
}

export interface Packet {
  /** A pod (`namespace/name`), a node (`node:<name>`) or `external` (a client outside the cluster). */
  from: string;
  /** Pod IP, ClusterIP, node IP. */
  to: string;
  port: number;
  protocol: 'tcp' | 'udp';
  /** IP packet size in bytes; above the path MTU it is lost in silence or refused, as the path does. */
  bytes: number;
  /** As many packets alike, of which one is followed and all are counted by the devices. @default 1 */
  times?: number;
}

export interface DataPath {
  /** There and back: request and reply must both arrive. */
  send(packet: Packet): Delivery;
}

export interface TrafficReport {
  /** One line for each stream. `bystander`: none of its pods was moved so far; `moves`: how often one was. */
  streams: {
    name: string;
    kind: 'pod-to-pod' | 'cluster-ip' | 'node-port' | 'dns';
    bystander: boolean;
    moves: number;
    sent: number;
    lost: number;
    lastReason: string;
  }[];
  /** Packets whose pods were standing still: running, Ready, nobody deleting them. */
  bystanders: { sent: number; lost: number };
  /** Packets to pods that were on their way out or in. */
  moved: { sent: number; lost: number };
  /** From outside, through the NodePort of each node; a node's own is dark while it migrates (migrations.md §0a.14). */
  nodePorts: { sent: number; lost: number };
}

/** Faults by name; `nodes` limits it, `times` lets it wear off. */
export interface Fault {
  name: string;
  nodes?: string[];
  times?: number;
  [parameter: string]: unknown;
}

/** A connection that conntrack of a node saw answered. */
export interface SimConnection {
  protocol: 'tcp' | 'udp';
  src: string;
  dst: string;
  dport: number;
  /** Where a Service led to; `dst` and `dport` when it was none. */
  realDst: string;
  realPort: number;
  /** Real ms since the epoch. */
  expiresAt: number;
}

/** A running simulation, as tests and the CLI hold it. */
export interface Simulation {
  readonly server: string;
  readonly kubeconfig: string;
  readonly sshConfig: string;
  /** URL of the control endpoint: GET /traffic, GET /nodes/:name, GET, POST and DELETE /faults. */
  readonly control: string;
  readonly store: ObjectStore;
  readonly clock: SimClock;
  node(name: string): SimNode;
  readonly nodes: ReadonlyMap<string, SimNode>;
  readonly dataPath: DataPath;
  traffic(): TrafficReport;
  inject(fault: Fault): void;
  clearFaults(name?: string): void;
  /** Resolves when all pods that should run are Ready. */
  settled(timeoutMs?: number): Promise<void>;
  stop(): Promise<void>;
}
