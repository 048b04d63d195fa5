import { generateHostKey } from '../ssh/host-key.ts';
import type { SimClock, SimLink, SimNode, SimRoute, SimRule, SimSandbox } from '../types.ts';
import { macOf } from './identity.ts';
import { observedArray, observedMap } from './observed.ts';
import { nodeState } from './node-state.ts';
import { defaultHost } from './sim-host.ts';

export const CONF_DIR = '/etc/cni/net.d';

export interface NodeSpec {
  name: string;
  ip: string;
  /** Prefix length of the underlay. */
  prefixLength: number;
  gateway: string;
  zone: string;
  kernel: string;
  /** Bytes. */
  underlayMtu: number;
}

/** A conntrack entry with what the model needs to let it expire and clash. */
export interface ConntrackEntry {
  protocol: 'tcp' | 'udp';
  state: string;
  /** Who asked; absent in an entry that only stands in the way of others. */
  src?: string;
  dst: string;
  dport: number;
  /** Where a Service led to, when it was one. */
  realDst?: string;
  realPort?: number;
  /** Port of the masqueraded source: a new connection that draws the same one clashes. */
  sport?: number;
  /** Real ms since the epoch; without it the entry stays. */
  expiresAt?: number;
}

/** What the programs of the node plug into it. */
export interface NodePrograms {
  removeSandbox(id: string): Promise<void>;
  loadedNetworks(): readonly string[];
  kubelet: SimNode['kubelet'];
  tcp?: SimNode['tcp'];
}

/** A node with what only the simulator's own parts may use. */
export interface NodeControl extends SimNode {
  readonly underlayMtu: number;
  /** Whether the machine has power. */
  powered: boolean;
  /** Grows with every change that a packet could notice. */
  readonly generation: number;
  /** Calls back once after a burst of changes. Returns the way to stop it. */
  onChange(listener: () => void): () => void;
  /** Calls back with what the runtime's watcher of /etc/cni/net.d notices. */
  onConfChange(listener: () => void): () => void;
  onLinkDeleted(listener: (link: SimLink) => void): () => void;
  /** The kernel counts a frame (or `times` alike) of so many bytes on a device. */
  count(link: string, direction: 'rx' | 'tx', bytes: number, times: number): void;
  attach(programs: NodePrograms): void;
  /** What a power cut leaves: files outside of /run, nothing of the kernel's state. */
  reset(): void;
}

/** Real ms that simulated ms take. At speed 0 nothing takes time. */
export function realMs(clock: SimClock, simulatedMs: number): number {
  const { speed = 1 } = clock as { speed?: number };
  return speed === 0 ? 0 : simulatedMs / speed;
}

/** Real ms between two tries at speed 0, where a wait of one tick would make a retry spin. */
const SHORTEST_RETRY_MS = 25;

/** `after` for something that is tried again until it succeeds. */
export function scheduleRetry(clock: SimClock, ms: number, run: () => void): { cancel(): void } {
  if ((clock as { speed?: number }).speed !== 0) return clock.after(ms, run);
  const handle = setTimeout(run, SHORTEST_RETRY_MS);
  handle.unref();
  return { cancel: () => clearTimeout(handle) };
}

/** The state of one node. Programs (`attach`) give it life; by itself it is files, links, routes, rules and timers. */
export function createSimNode(spec: NodeSpec, clock: SimClock): NodeControl {
  const { name, ip, zone, underlayMtu } = spec;
  const files = new Map<string, string>(initialFiles);
  const changeListeners = new Set<() => void>();
  const confListeners = new Set<() => void>();
  const linkListeners = new Set<(link: SimLink) => void>();
  let programs: NodePrograms | undefined;
  let generation = 1;
  let telling = false;
  let hostKey: SimNode['hostKey'] | undefined;
  let conntrack: ConntrackEntry[] = [];
  /** Not watched: no packet goes another way for them. */
  const counted = new Map<string, ReturnType<SimNode['counters']>>();

  function changed() {
    generation += 1;
    if (telling || changeListeners.size === 0) return;
    telling = true;
    queueMicrotask(() => {
      telling = false;
      for (const tell of changeListeners) tell();
    });
  }

  let routes = observedArray(initialRoutes(spec), changed);
  let rules = observedArray(initialRules(), changed);
  const links = observedMap<string, SimLink>(initialLinks(spec), changed);
  const sandboxes = observedMap<string, SimSandbox>([], changed);

  const inConfDir = (path: string) => path.startsWith(`${CONF_DIR}/`);
  const confChanged = () => {
    for (const tell of confListeners) tell();
  };
  const subscribe = <T>(listeners: Set<T>, listener: T) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };

  const node: NodeControl = {
    name,
    ip,
    zone,
    kernel: spec.kernel,
    underlayMtu,
    powered: true,
    files,
    links,
    sandboxes,
    ipsets: new Set(),
    host: defaultHost(),
    connections: new Map(),
    timers: new Map(),
    get generation() {
      return generation;
    },
    get routes() {
      return routes;
    },
    set routes(next) {
      routes = observedArray([...next], changed);
      changed();
    },
    get rules() {
      return rules;
    },
    set rules(next) {
      rules = observedArray([...next], changed);
      changed();
    },
    get conntrack() {
      const now = clock.now();
      if (conntrack.some(({ expiresAt = Infinity }) => expiresAt <= now)) {
        conntrack = conntrack.filter(({ expiresAt = Infinity }) => expiresAt > now);
      }
      return conntrack;
    },
    set conntrack(next) {
      conntrack = next;
    },
    get loadedNetworks() {
      return programs?.loadedNetworks() ?? [];
    },
    get kubelet() {
      return programs?.kubelet ?? stoppedKubelet;
    },
    get tcp() {
      return programs?.tcp ?? { listener: () => '', ask: () => 'silent' as const };
    },
    get hostKey() {
      return (hostKey ??= generateHostKey());
    },
    // create + write, an in-place rewrite and `cp` all end in a write event (§0a.11 of the migration facts).
    write(path, content) {
      files.set(path, content);
      if (inConfDir(path)) confChanged();
    },
    rename(from, to) {
      const content = files.get(from);
      if (content === undefined) throw new Error(`rename ${from}: No such file or directory`);
      files.delete(from);
      files.set(to, content);
      // Moved out or renamed inside: noticed. Moved in: only an inotify "create", which containerd ignores (§0a.11).
      if (inConfDir(from)) confChanged();
    },
    unlink(path) {
      const existed = files.delete(path);
      if (existed && inConfDir(path)) confChanged();
      return existed;
    },
    deleteLink(linkName) {
      const link = links.get(linkName);
      if (link === undefined) return false;
      links.delete(linkName);
      counted.delete(linkName);
      if (routes.some(({ dev }) => dev === linkName)) node.routes = routes.filter(({ dev }) => dev !== linkName);
      for (const other of links.values()) if (other.master === linkName) delete other.master;
      for (const tell of linkListeners) tell(link);
      return true;
    },
    async removeSandbox(id) {
      if (programs === undefined) throw new Error('the container runtime is not running');
      await programs.removeSandbox(id);
    },
    startTimer(unit, seconds, command, run, { persistent } = { persistent: false }) {
      node.timers.get(unit)?.cancel();
      // A dead-man switch must not fire at once where every wait is one tick: there it takes real time.
      const delay = realMs(clock, seconds * 1000) || seconds * 1000;
      /** @param ms real, as the clock's now() */
      const start = (ms: number) => {
        const started = setTimeout(
          () => {
            timer.fired = true;
            void run();
          },
          Math.min(ms, 2 ** 31 - 1),
        );
        return started.unref();
      };
      let handle = start(delay);
      const timer = {
        firesAt: clock.now() + delay,
        command,
        fired: false,
        cancel() {
          clearTimeout(handle);
          if (node.timers.get(unit) === timer) node.timers.delete(unit);
        },
        restart() {
          if (!persistent || timer.fired) return timer.cancel();
          clearTimeout(handle);
          handle = start(Math.max(0, timer.firesAt - clock.now()));
        },
      };
      node.timers.set(unit, timer);
    },
    state: () => nodeState(node),
    counters: (linkName) => ({ rxBytes: 0, rxPackets: 0, txBytes: 0, txPackets: 0, ...counted.get(linkName) }),
    count(linkName, direction, bytes, times) {
      let own = counted.get(linkName);
      if (own === undefined) counted.set(linkName, (own = { rxBytes: 0, rxPackets: 0, txBytes: 0, txPackets: 0 }));
      own[`${direction}Bytes`] += bytes * times;
      own[`${direction}Packets`] += times;
    },
    onChange: (listener) => subscribe(changeListeners, listener),
    onConfChange: (listener) => subscribe(confListeners, listener),
    onLinkDeleted: (listener) => subscribe(linkListeners, listener),
    attach(given) {
      programs = given;
    },
    reset() {
      for (const path of files.keys()) if (path.startsWith('/run/')) files.delete(path);
      for (const timer of node.timers.values()) timer.restart();
      sandboxes.clear();
      links.clear();
      counted.clear();
      for (const [key, link] of initialLinks(spec)) links.set(key, link);
      node.routes = initialRoutes(spec);
      node.rules = initialRules();
      node.ipsets.clear();
      conntrack = [];
      node.connections.clear();
    },
  };
  return node;
}

const stoppedKubelet: SimNode['kubelet'] = {
  active: false,
  start: () => Promise.reject(new Error('this node has no kubelet')),
  stop: () => Promise.resolve(),
};

/** Plugins that a distribution's containernetworking-plugins package brings. */
const initialFiles: [string, string][] = [
  'bandwidth',
  'bridge',
  'host-local',
  'loopback',
  'portmap',
  'ptp',
  'tuning',
].map((plugin) => [`/opt/cni/bin/${plugin}`, 'ELF']);

function initialLinks({ name, ip, prefixLength, underlayMtu }: NodeSpec): [string, SimLink][] {
  return [
    ['lo', { name: 'lo', kind: 'device', mac: '00:00:00:00:00:00', mtu: 65536, up: true, addresses: ['127.0.0.1/8'] }],
    [
      'eth0',
      {
        name: 'eth0',
        kind: 'device',
        mac: macOf(`${name} eth0`),
        mtu: underlayMtu,
        up: true,
        addresses: [`${ip}/${prefixLength}`],
      },
    ],
  ];
}

function initialRoutes({ ip, prefixLength, gateway }: NodeSpec): SimRoute[] {
  const mask = prefixLength === 0 ? 0 : (~0 << (32 - prefixLength)) >>> 0;
  const base = ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) & mask;
  const network = [24, 16, 8, 0].map((shift) => (base >>> shift) & 255).join('.');
  return [
    { dst: 'default', via: gateway, dev: 'eth0', proto: 'static', type: 'unicast' },
    { dst: `${network}/${prefixLength}`, dev: 'eth0', proto: 'kernel', type: 'unicast' },
  ];
}

/** What kubelet and kube-proxy keep on every node; a cleaner that takes these with it has gone too far. */
function initialRules(): SimRule[] {
  const rule = (table: SimRule['table'], chain: string, text: string): SimRule => ({
    backend: 'nft',
    family: 'ip',
    table,
    chain,
    text,
  });
  const portals = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES';
  return [
    rule('filter', 'INPUT', '-j KUBE-FIREWALL'),
    rule('filter', 'FORWARD', '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD'),
    rule('filter', 'OUTPUT', '-j KUBE-FIREWALL'),
    rule(
      'filter',
      'KUBE-FIREWALL',
      '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    ),
    rule(
      'filter',
      'KUBE-FORWARD',
      '-m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
    ),
    rule('nat', 'PREROUTING', portals),
    rule('nat', 'OUTPUT', portals),
    rule('nat', 'POSTROUTING', '-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'),
    rule('nat', 'KUBE-POSTROUTING', '-m mark ! --mark 0x4000/0x4000 -j RETURN'),
    rule(
      'nat',
      'KUBE-POSTROUTING',
      '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    ),
  ];
}
