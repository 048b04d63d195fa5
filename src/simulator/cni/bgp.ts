import type { NodeControl } from '../node/sim-node.ts';
import { holds } from '../network/address-number.ts';
import { parseCidr } from '../scenario/address.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { Random, Range } from '../scenario/random.ts';
import type { ObjectStore, SimClock, SimRoute } from '../types.ts';
import { debounced } from './agent.ts';
import { renderBirdConfig, type BirdConfig, type BirdPeer } from './bird-config.ts';
import { crd, type ClusterDirectory } from './directory.ts';

/** confd batches what changed; BIRD has its new configuration before Felix has its routes. */
const RENDER_MS = 100;
const EVALUATE_MS = 50;
/** From two BIRDs that know each other to Established: sessions were up 12 s after the roll began, most of it the roll. */
const CONNECT_MS: Range = [1500, 5000];
/** BIRD scans the kernel's table every two seconds: a route that was refused waits for that (§0a.9 of the migration facts). */
const SCAN_MS = 2000;

/** One session of a BIRD as `show protocols` has it. */
export interface BirdSession extends BirdPeer {
  established: boolean;
  /** Ms since the epoch: of the last change of its state. */
  since: number;
  info: string;
}

/** The BIRD and the confd of one node. Real ms since the epoch in all times. */
export interface Bird {
  readonly node: string;
  readonly startedAt: number;
  readonly running: BirdConfig;
  readonly loadedAt: number;
  readonly rendered: BirdConfig;
  readonly renderedAt: number;
  sessions(): BirdSession[];
  /** Blocks that other nodes have told of, with the node's address that they are behind. */
  learnt(): { dst: string; nextHop: string; from: string }[];
  /** What BIRD says about the rendered configuration, `` when it takes it. */
  refusal(): string;
  /** Calls back once every session is Established. */
  whenEstablished(run: () => void): void;
  stop(): void;
}

/** All BIRDs of the cluster, and the routers outside of it. */
export interface Bgp {
  start(node: NodeControl): Bird | undefined;
  birdOf(node: string): Bird | undefined;
  /** Program that listens on TCP 179 of a node, `` when none does. */
  listener(node: string): string;
  /** The node behind which the routers of the underlay have been told that a pod address is. */
  routerKnows(address: string): string | undefined;
  /** Why TCP 179 does not pass on a node, `` when it does. */
  blocked(node: string): boolean;
  /** Would this BIRD take a configuration that sets `krt_tunnel`? */
  takesTunnel(node: string): boolean;
  stop(): void;
}

export interface BgpOptions {
  store: ObjectStore;
  clock: SimClock;
  directory: ClusterDirectory;
  faults: FaultRegistry;
  random: Random;
  /** Routers outside that speak BGP, by address. */
  routers?: readonly { address: string; asNumber: number }[];
}

interface Running {
  node: NodeControl;
  bird: Bird;
  running: BirdConfig;
  rendered: BirdConfig;
  renderedAt: number;
  loadedAt: number;
  mine: SimRoute[];
  waiting: (() => void)[];
  scan: { cancel(): void } | undefined;
}

export function createBgp(options: BgpOptions): Bgp {
  const { store, clock, directory, faults, random, routers = [] } = options;
  const birds = new Map<string, Running>();
  /** By both addresses, in order: since when it is up, or the timer that brings it up. */
  const sessions = new Map<string, { since: number; up: boolean; timer?: { cancel(): void } }>();
  const down = new Map<string, number>();
  const keyOf = (a: string, b: string) => (a < b ? `${a} ${b}` : `${b} ${a}`);

  const render = debounced(clock, RENDER_MS, () => {
    for (const each of birds.values()) renderOne(each);
    evaluate.request();
  });
  const evaluate = debounced(clock, EVALUATE_MS, evaluateAll);

  /** Why BIRD refuses the configuration; it then keeps the one that it has (§0a.8 of the migration facts). */
  function refusalOf(node: string, config: BirdConfig): string {
    const fault = faults.peek('bird-refuses-config', node);
    if (fault === undefined) return '';
    if (fault['when'] === 'always') return 'bird_ipam.cfg, line 7: syntax error';
    return config.kernel.length > 0 ? 'bird_ipam.cfg, line 52: You may set only variables.' : '';
  }

  function renderOne(each: Running) {
    const next = renderBirdConfig(store, directory, each.node.name);
    if (next === undefined || JSON.stringify(next) === JSON.stringify(each.rendered)) return;
    each.rendered = next;
    each.renderedAt = clock.now();
    load(each);
  }

  function load(each: Running) {
    if (refusalOf(each.node.name, each.rendered) !== '') return;
    each.running = each.rendered;
    each.loadedAt = clock.now();
    program(each);
  }

  const blocked = (node: string) => faults.has('bgp-port-blocked', node);
  const foreign = (node: string) => faults.peek('bgp-foreign-listener', node);

  function canSpeak(a: Running, address: string): boolean {
    if (!a.node.powered || blocked(a.node.name) || foreign(a.node.name) !== undefined) return false;
    const peer = a.running.peers.find((each) => each.address === address);
    if (peer === undefined) return false;
    const other = birdAt(address);
    if (other === undefined) return routers.some((each) => each.address === address && each.asNumber === peer.asNumber);
    return (
      other.node.powered &&
      !blocked(other.node.name) &&
      foreign(other.node.name) === undefined &&
      other.running.peers.some((each) => each.address === a.node.ip)
    );
  }

  let byAddress = new Map<string, Running>();
  const birdAt = (address: string) => byAddress.get(address);

  function evaluateAll() {
    byAddress = new Map([...birds.values()].map((each) => [each.node.ip, each]));
    const wanted = new Set<string>();
    for (const each of birds.values())
      for (const { address } of each.running.peers)
        if (canSpeak(each, address)) wanted.add(keyOf(each.node.ip, address));
    for (const [key, session] of sessions) {
      if (wanted.has(key)) continue;
      session.timer?.cancel();
      sessions.delete(key);
      down.set(key, clock.now());
    }
    for (const key of wanted) {
      if (sessions.has(key)) continue;
      const session: { since: number; up: boolean; timer?: { cancel(): void } } = { since: clock.now(), up: false };
      session.timer = clock.after(random.between(CONNECT_MS), () => {
        session.up = true;
        session.since = clock.now();
        settle.request();
      });
      sessions.set(key, session);
    }
    settle.request();
  }

  /** Sessions came or went: routes follow, and who waited for all of them goes on. */
  const settle = debounced(clock, EVALUATE_MS, () => {
    for (const each of birds.values()) {
      program(each);
      if (each.waiting.length > 0 && each.running.peers.every(({ address }) => isUp(each, address)))
        for (const run of each.waiting.splice(0)) run();
    }
  });

  const isUp = ({ node }: Running, address: string) => sessions.get(keyOf(node.ip, address))?.up === true;

  function learntBy(each: Running): { dst: string; nextHop: string; from: string }[] {
    const learnt = new Map<string, { dst: string; nextHop: string; from: string }>();
    const take = (from: Running, told: Running) => {
      for (const dst of directory.blocksOf(told.node.name))
        if (told !== each && !learnt.has(dst)) learnt.set(dst, { dst, nextHop: told.node.ip, from: from.node.ip });
    };
    for (const { address } of each.running.peers) {
      const other = birdAt(address);
      if (other === undefined || !isUp(each, address)) continue;
      take(other, other);
      // A reflector passes on what its other clients have told it.
      if (other.running.reflects)
        for (const { address: beyond } of other.running.peers) {
          const third = birdAt(beyond);
          if (third !== undefined && third !== each && isUp(other, beyond)) take(other, third);
        }
    }
    return [...learnt.values()];
  }

  const within = (cidrs: readonly string[], dst: string) =>
    cidrs.some((cidr) => holds(parseCidr(cidr), dst.split('/')[0]!));

  /** Brings the kernel to what the running configuration lets through. A route that Felix still has cannot be added. */
  function program(each: Running) {
    const { node, running } = each;
    if (!node.powered) return;
    const subnet = node.links.get('eth0')?.addresses[0] ?? `${node.ip}/32`;
    const gateway = node.routes.find(({ dst }) => dst === 'default')?.via;
    const wanted = learntBy(each)
      .filter(({ dst }) => within(running.kernel, dst))
      .map(({ dst, nextHop }) =>
        directory.birdRoute(dst, holds(parseCidr(subnet), nextHop) ? nextHop : (gateway ?? nextHop)),
      );
    const mine = new Set(each.mine);
    const keep = new Set(wanted);
    const gone = each.mine.filter((route) => !keep.has(route));
    const taken = new Set(
      node.routes.filter((route) => !mine.has(route) && route.type === 'unicast').map(({ dst }) => dst),
    );
    const there = new Set(node.routes);
    const fresh = wanted.filter((route) => !there.has(route) && !taken.has(route.dst));
    if (gone.length > 0 || fresh.length > 0) {
      const leaving = new Set(gone);
      node.routes = [...node.routes.filter((route) => !leaving.has(route)), ...fresh];
    }
    each.mine = wanted.filter((route) => there.has(route) || fresh.includes(route));
    // Refused, or taken away by somebody: seen at the next scan.
    each.scan?.cancel();
    each.scan = undefined;
    if (running.kernel.length > 0 && each.mine.length < wanted.length)
      each.scan = clock.after(random.between([20, SCAN_MS]), () => program(each));
  }

  function start(node: NodeControl): Bird | undefined {
    const config = renderBirdConfig(store, directory, node.name);
    if (config === undefined) return undefined;
    const now = clock.now();
    const each: Running = {
      node,
      running: config,
      rendered: config,
      renderedAt: now,
      loadedAt: now,
      mine: [],
      waiting: [],
      scan: undefined,
      bird: undefined as unknown as Bird,
    };
    each.bird = {
      node: node.name,
      startedAt: now,
      get running() {
        return each.running;
      },
      get loadedAt() {
        return each.loadedAt;
      },
      get rendered() {
        return each.rendered;
      },
      get renderedAt() {
        return each.renderedAt;
      },
      refusal: () => refusalOf(node.name, each.rendered),
      learnt: () => learntBy(each),
      sessions: () =>
        each.running.peers.map((peer) => {
          const session = sessions.get(keyOf(node.ip, peer.address));
          const established = session?.up === true;
          return {
            ...peer,
            established,
            since: session?.since ?? down.get(keyOf(node.ip, peer.address)) ?? now,
            info: established ? 'Established' : downInfo(each, peer.address),
          };
        }),
      whenEstablished(run) {
        each.waiting.push(run);
        settle.request();
      },
      stop() {
        each.scan?.cancel();
        if (birds.get(node.name) === each) birds.delete(node.name);
        // `persist`: routes stay in the kernel when BIRD ends.
        evaluate.request();
      },
    };
    birds.set(node.name, each);
    evaluate.request();
    return each.bird;
  }

  function downInfo({ node }: Running, address: string): string {
    if (blocked(node.name)) return 'Connect       Socket: No route to host';
    if (birdAt(address) === undefined && routers.every((each) => each.address !== address))
      return 'Active        Socket: Connection refused';
    return sessions.has(keyOf(node.ip, address)) ? 'OpenSent' : 'Connect';
  }

  const stops = [
    directory.onCalicoChange(render.request),
    ...['bgpconfigurations', 'bgppeers', 'bgpfilters'].map((plural) => store.watch(crd(plural), render.request)),
    faults.onChange(({ type, fault }) => {
      if (!/^bgp-|^bird-|^node-dead/.test(fault.name)) return;
      // A template that was corrected is rendered and loaded anew.
      if (type === 'cleared' && fault.name === 'bird-refuses-config')
        for (const each of birds.values()) if (each.running !== each.rendered) load(each);
      evaluate.request();
    }),
    render.cancel,
    evaluate.cancel,
    settle.cancel,
  ];

  return {
    start,
    birdOf: (name) => birds.get(name)?.bird,
    listener(name) {
      const fault = foreign(name);
      if (fault !== undefined) return typeof fault['program'] === 'string' ? fault['program'] : 'bgpd';
      return birds.has(name) ? 'bird' : '';
    },
    routerKnows(address) {
      for (const each of birds.values())
        for (const peer of each.running.peers) {
          if (birdAt(peer.address) !== undefined || !isUp(each, peer.address)) continue;
          const told = [
            ...directory.blocksOf(each.node.name).map((dst) => ({ dst, nextHop: each.node.ip })),
            ...learntBy(each),
          ];
          const route = told.find(
            ({ dst }) => holds(parseCidr(dst), address) && !within(peer.withheld, dst.split('/')[0]!),
          );
          if (route !== undefined) return birdAt(route.nextHop)?.node.name;
        }
      return undefined;
    },
    blocked,
    takesTunnel: (name) => !faults.has('bird-refuses-config', name),
    stop() {
      stops.forEach((stop) => stop());
      for (const each of birds.values()) each.scan?.cancel();
      for (const { timer } of sessions.values()) timer?.cancel();
    },
  };
}
