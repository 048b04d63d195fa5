import type { Json } from '../json.ts';

/**
 * What Cutover can do on a node: a small set of POSIX shell programs (`verbs/*.sh`). Each takes one flat JSON object,
 * answers one JSON object, looks first, does what is missing, and may run twice or die half way.
 * Every call carries `token`; a mutating verb refuses (AttemptFenced) when the node has seen a greater one. With
 * `installation` in its input it refuses in the same way when another installation owns the node, unless `takeOver` is
 * true; `now` is the caller's clock in ms, beside which a token must not lie far ahead.
 */
export interface NodeVerbs {
  /** Reads everything, changes nothing. `routes: false` leaves the routes out: of 500 nodes they are most of the answer. */
  inspect: { in: { routes?: boolean }; out: NodeState };
  /**
   * Reads what only preflight wants to know. A packet of `bytes` that must not be cut goes to each of `peers` (addresses with
   * blanks between them); `address` is the node's own.
   */
  survey: { in: { address: string; peers: string; bytes: number }; out: NodeSurvey };
  /**
   * What the devices between nodes have carried since the node was started, as /proc/net/dev counts it: the underlay (the
   * device with that address, or of the default route) and every tunnel.
   */
  counters: { in: { address: string }; out: { uptimeMs: number; links: LinkCounters[] } };
  /**
   * Connections with an end in `first` to `last` (IPv4 addresses) that conntrack has seen answered; at most `limit`, the
   * most frequent first. `total` is how many there are.
   */
  flows: { in: { first: string; last: string; limit: number }; out: SeenFlows };
  /** Keeps all that rollback needs under /var/lib/cutover/<migration>/snapshot. Never overwrites an earlier one. */
  snapshot: { in: { migration: string }; out: { path: string; sha256: string; kept: string[]; existed: boolean } };
  /**
   * Arms the dead-man switch: after `seconds` the node goes back to `old` by itself. Arming again moves the end. One that
   * is not `persistent` is gone after a restart of the node; `note` says why.
   */
  'arm-revert': {
    in: { migration: string; seconds: number; old: 'flannel' };
    out: { unit: string; armed: boolean; persistent: boolean; note: string };
  };
  /** `problems`: what a switch that has fired could not do. */
  'disarm-revert': { in: { migration: string }; out: { fired: boolean; problems: string[] } };
  /** Stops kubelet, then removes every pod-network sandbox through the conf that is loaded now. hostNetwork pods stay. */
  purge: { in: NoInput; out: { removed: number; kept: number; leases: number } };
  /** Writes a conf whose plugin does not exist, in place, and waits until the runtime has loaded it. */
  fence: { in: { confName: string; waitSeconds: number }; out: { loaded: string[]; existed: boolean } };
  /** Removes a conf (and calico-kubeconfig with it) and waits until the runtime has loaded `expect`. */
  unfence: {
    in: { confName: string; expect: string; waitSeconds: number };
    out: { loaded: string[]; existed: boolean };
  };
  'start-kubelet': { in: NoInput; out: { active: boolean; changed: boolean } };
  /** Deletes flannel.1 and cni0, FLANNEL-* chains in both backends and families, its nft tables, and the leases of cbr0. */
  'clean-flannel': {
    /** `waitSeconds`: that long it waits for the first routes of the new agent before it deletes links. */
    in: { keepLeases: boolean; keepLinks: boolean; waitSeconds: number };
    out: { links: string[]; rules: number; leases: number };
  };
  /** Deletes proto-80 routes, vxlan.calico, cali* links, every rule that matches `cali[-:]`, ipsets cali40/cali60. */
  'clean-calico': { in: NoInput; out: { links: string[]; routes: number; rules: number; ipsets: number } };
  /**
   * Drops unanswered SYNs of the dark window from conntrack, for these destination ports (comma separated), as soon as a route
   * leads through `link`; `waitSeconds` at most are waited for one.
   */
  'flush-syn-sent': { in: { ports: string; link: string; waitSeconds: number }; out: { flushed: number } };
  /**
   * Asks TCP port `port` of each of `peers` (addresses, comma separated), and looks at the own one. `refused`: an answer came
   * from there, and nobody listens. Changes nothing.
   */
  'ask-peers': {
    in: { port: number; peers: string; waitSeconds: number };
    out: {
      /** Program that listens on the port here, `` when none does, `unknown` when nobody says. */
      listener: string;
      answers: { address: string; answer: 'open' | 'refused' | 'silent' }[];
      /** net.ipv4.conf.*.rp_filter that are strict (1), by interface. */
      strictRpFilter: string[];
    };
  };
  /** Point of no return on the node: 10-flannel.conflist, /run/flannel, /var/lib/cni/flannel, /opt/cni/bin/flannel. */
  'remove-flannel-files': { in: NoInput; out: { removed: string[] } };
  /** Removes /var/lib/cutover/<migration> and the token. */
  forget: { in: { migration: string }; out: { removed: boolean } };
}

export interface LinkCounters {
  name: string;
  role: 'underlay' | 'tunnel';
  rxBytes: number;
  rxPackets: number;
  txBytes: number;
  txPackets: number;
}

/** `{}`. */
export type NoInput = { [key: string]: never };

export type VerbName = keyof NodeVerbs;
export type VerbInput<V extends VerbName> = NodeVerbs[V]['in'];
export type VerbOutput<V extends VerbName> = NodeVerbs[V]['out'];

export interface SeenFlows {
  /** `none`: the node has neither the tool nor the kernel's file. */
  from: 'conntrack' | 'none';
  total: number;
  flows: {
    source: string;
    /** After Services. */
    destination: string;
    protocol: 'TCP' | 'UDP' | 'SCTP';
    port: number;
    connections: number;
  }[];
}

/** A node as `inspect` sees it. */
export interface NodeState {
  hostname: string;
  kernel: string;
  kubeletActive: boolean;
  /** Files of /etc/cni/net.d in lexical order. The first one by name wins. */
  confs: { name: string; sha256: string; network: string; firstPlugin: string }[];
  /** Network names the runtime has loaded (`crictl info`), without the loopback; the status field lies (migrations.md §0a.11). */
  loadedNetworks: string[];
  links: {
    name: string;
    kind: string;
    mac: string;
    mtu: number;
    up: boolean;
    vni: number;
    dstPort: number;
    master: string;
  }[];
  routes: { dst: string; via: string; dev: string; proto: string; type: string }[];
  /** Rules and chains that name the CNI, in each backend: FLANNEL-*, cali[-:], CNI-HOSTPORT/CNI-DN. */
  rules: { backend: 'nft' | 'legacy'; family: 'ip' | 'ip6'; flannel: number; calico: number; hostport: number }[];
  /** Whether the legacy backend is in use (/proc/net/ip_tables_names): listing its tables would create them. */
  legacyTables: string[];
  nftTables: string[];
  ipsets: string[];
  /** Addresses leased in /var/lib/cni/networks/cbr0. */
  leases: string[];
  /** `ready`: it runs. kubelet removes one that has ended only after up to a minute. */
  sandboxes: { id: string; name: string; namespace: string; network: 'POD' | 'NODE'; ready: boolean }[];
  subnetEnv: { [key: string]: string };
  flannelBinary: boolean;
  revertArmed: boolean;
  revertFired: boolean;
  snapshot: boolean;
  /** The greatest that it has seen; -1 when its file is damaged. */
  token: number;
  /** Which installation of Cutover owns it, `` when none is named. */
  installation?: string;
  /** Why no verb that changes something can run, and the way on; `` when there is nothing. */
  tokenProblem?: string;
  /** Programs that verbs call and that are not on root's PATH. */
  missingTools?: string[];
  /** Global IPv4 addresses with their prefix: `10.0.1.7/24`. */
  addresses?: string[];
  /** Packets that conntrack has refused since boot (`insert_failed` and `drop` of `conntrack -S`); -1 when nobody says. */
  conntrackDrops?: number;
}

/** A node as `survey` sees it. */
export interface NodeSurvey {
  /** Its clock, seconds since the epoch. */
  clock: number;
  /** Where the runtime looks for confs and plugins; `` and empty when it does not say (CRI-O). */
  confDir: string;
  binDirs: string[];
  /** -1 when the runtime does not say. */
  maxConfNum: number;
  /** `program` is `` for a socket of the kernel (VXLAN) and where it cannot be seen. */
  listeners: { protocol: string; port: number; program: string }[];
  /** The link with the node's own address; name `` and MTU 0 when none has it. */
  uplink: { name: string; mtu: number };
  /** Whether a packet of 100 bytes, and one of the bytes asked for, came back; empty without `ping`. */
  pings: { peer: string; small: boolean; large: boolean }[];
  /** By path under /proc/sys, with `uplink` for the name of that link: `net/ipv4/conf/uplink/rp_filter`. */
  sysctls: { [path: string]: string };
  /** Of firewalld, ufw, NetworkManager and systemd-networkd: those that run. */
  services: string[];
  /** NetworkManager was told to leave links of Calico alone. */
  nmLeavesAlone: boolean;
  /** systemd-networkd was told to leave routes of others alone. */
  networkdLeavesAlone: boolean;
  conntrack: { count: number; max: number };
  /** Of the file system of /var; -1 when it cannot be read. */
  diskFreePercent: number;
  /** Names of the images that the runtime has, with tag or digest; empty when it does not say. */
  images: string[];
  /** Rules of networks other than Flannel and Calico. */
  otherRules: { network: string; rules: number }[];
  /** Programs that the survey had to do without. */
  missing: string[];
}

export interface RunOptions {
  /** Greater for every newer attempt: made from workflow start time, step and attempt. */
  token: number;
  timeoutMs: number;
  signal?: AbortSignal;
  /** Which installation of Cutover asks, [a-z0-9-]{1,64}: goes into the input of every program. @default '' */
  installation?: string;
  /** The caller holds the cluster's lease: a node that another installation owned is taken over. @default false */
  takeOver?: boolean;
}

/** The way to a node. SSH today; a node-pinned privileged pod is the other planned one. */
export interface NodeAccess {
  /** @throws CutoverError NodeUnreachable | HostKeyMismatch | VerbFailed | AttemptFenced | StepTimedOut */
  run<V extends VerbName>(node: string, verb: V, input: VerbInput<V>, options: RunOptions): Promise<VerbOutput<V>>;
  /** `SHA256:…` of the host key that the node showed. */
  hostKey(node: string): Promise<string>;
  close(): Promise<void>;
}

/** What a verb prints when it fails: exit code 1 and this, on stdout. Exit 75 means fenced by a newer token. */
export interface VerbError {
  error: string;
  message: string;
  details?: Json;
}
