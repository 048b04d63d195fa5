import type { JsonObject } from '../../src/json.ts';
import type { NodeState, VerbName } from '../../src/node/types.ts';
import type { SimRule } from '../../src/simulator/types.ts';

/** A state to put a node into before a verb runs. Paths are those of a real node. */
export interface Given {
  files?: { [path: string]: string };
  links?: { name: string; kind: 'vxlan' | 'bridge' | 'veth'; master?: string }[];
  /** Beside those of eth0. */
  routes?: { dst: string; type: 'unicast' | 'blackhole'; proto: string }[];
  rules?: SimRule[];
  /** Tables written with nft itself: `ip flannel-ipv4`. Only real hosts have them. */
  nftTables?: string[];
  ipsets?: string[];
  synSent?: { dport: number }[];
  /** A second later: one more unanswered SYN for that port, and then a route through that link. */
  late?: { dport: number; link: string };
  established?: { dport: number }[];
  /** Connections that a Service led elsewhere: `192.0.2.12:8080`. */
  translated?: { dport: number; to: string }[];
  sandboxes?: GivenSandbox[];
  /** Ids of sandboxes that are listed, and gone when they are asked for. Only real hosts have them. */
  vanishing?: string[];
  kubelet?: 'active' | 'inactive';
  /** Kernel settings, by path under /proc/sys, with `uplink` for eth0; no others can be read. */
  sysctls?: { [path: string]: string };
  /** Units that run beside kubelet. */
  services?: string[];
  /** Names of images that the runtime has. */
  images?: string[];
  conntrackTable?: { count: number; max: number };
  /** Largest packet that other nodes answer; they answer none when absent. */
  pathMtu?: number;
  /** The runtime reads no conf any more. */
  deafRuntime?: boolean;
}

export interface GivenSandbox {
  id: string;
  /** `namespace/name` of the pod. */
  pod: string;
  network: 'POD' | 'NODE';
  ready?: boolean;
  /** Network that made it. */
  cni?: 'cbr0' | 'k8s-pod-network';
  /** Address whose lease it holds. */
  lease?: string;
  /** Name of its host-side veth, made for it. */
  link?: string;
  /** Name of its running container. */
  container?: string;
}

export interface Ended {
  exitCode: number;
  answer: JsonObject;
  /** It was killed before it ended. */
  killed: boolean;
}

/** A node that verbs run on: the simulator's model of one, or the real programs in namespaces of this machine. */
export interface Host {
  /** `killAt` n: the verb dies, as by SIGKILL, just before its n-th step that could have an effect. */
  run(verb: VerbName, input: JsonObject, options?: { killAt?: number }): Promise<Ended>;
  /** What `inspect` says. */
  state(): Promise<NodeState>;
  /** The files of the node that verbs work on, without their locks. */
  files(): Promise<{ [path: string]: string }>;
  /** Every packet filter rule: `nft ip nat POSTROUTING -j X`. */
  rules(): Promise<string[]>;
  /** Destination ports of conntrack entries, `SYN_SENT 30080`. */
  conntrack(): Promise<string[]>;
  /** Lets the dead-man switch fire, and waits until it is done. */
  fireTimer(): Promise<void>;
  close(): Promise<void>;
}

export interface HostKind {
  name: string;
  /** Why it cannot be had on this machine, `` when it can. */
  missing: string;
  open(given: Given): Promise<Host>;
}

/** Everything that can be seen, without what differs from run to run. */
export async function everything(host: Host) {
  const { links, ...state } = await host.state();
  return {
    state,
    links: links.map(({ mac: _mac, ...link }) => link),
    files: await host.files(),
    rules: await host.rules(),
    conntrack: await host.conntrack(),
  };
}

export type Seen = Awaited<ReturnType<typeof everything>>;
