import type { RunningClock } from '../clock.ts';
import { isActive, isFinished, isReady } from '../controllers/pods.ts';
import type { DataPath, ObjectStore, SimNode, TrafficReport } from '../types.ts';
import { podsOf } from './streams.ts';
import type { PodEnd, Stream } from './streams.ts';

export interface Traffic {
  report(): TrafficReport;
  /** Counts up to this moment with what was seen last, and looks again. */
  tick(): void;
  stop(): void;
}

export interface TrafficOptions {
  streams: Stream[];
  store: ObjectStore;
  clock: RunningClock;
  dataPath: DataPath;
  nodes: ReadonlyMap<string, Pick<SimNode, 'kubelet' | 'sandboxes'>>;
  /** Calls back when something that a packet could notice may have changed. Returns the way to stop it. */
  onChange?: (listener: () => void) => () => void;
}

interface Counted {
  stream: Stream;
  /** Simulated ms up to which the packets are counted. */
  since: number;
  /** What became of the last packet, and so of those until the next look. */
  state: 'delivered' | 'lost' | 'silent';
  /** Whether a pod of the stream was on its way out, or in, when last looked at. */
  moving: boolean;
  moves: number;
  reason: string;
  standing: { sent: number; lost: number };
  inMotion: { sent: number; lost: number };
}

/** Between two looks, in simulated ms, where nothing tells of changes. */
const TICK_MS = 100;
const SHORTEST_REAL_TICK_MS = 25;
const REAL_TICK_AT_SPEED_0_MS = 250;
/** Pairs of pods are looked at this often, in real ms, though nobody told of a change. */
const FULL_LOOK_MS = 250;

/**
 * Steady streams of packets through the data path, counted in proportion to simulated time. Each look decides what
 * becomes of the packets until the next one; changes of the network ask for a look at once.
 *
 * A packet is a bystander's while neither of its pods is on its way out or in: their sandboxes run, their kubelets run,
 * nobody deletes them. Everything else is counted as moved. Streams go on with the successors of pods that were moved.
 */
export function startTraffic({ streams, store, clock, dataPath, nodes, onChange }: TrafficOptions): Traffic {
  const counted = streams.map((stream): Counted => ({
    stream,
    since: clock.elapsed(),
    state: 'silent',
    moving: false,
    moves: 0,
    reason: '',
    standing: { sent: 0, lost: 0 },
    inMotion: { sent: 0, lost: 0 },
  }));
  let stopped = false;
  let lastLook = 0;
  let asked = false;
  let changed = true;
  let lastFullLook = 0;
  let timer: NodeJS.Timeout | undefined;
  let early: { cancel(): void } | undefined;

  function tick(): void {
    lastLook = performance.now();
    const full = changed || onChange === undefined || lastLook - lastFullLook > FULL_LOOK_MS;
    if (full) lastFullLook = lastLook;
    changed = false;
    for (const each of counted) {
      count(each);
      // Between two pods nothing is left to chance: the same state gives the same answer. Services choose at random.
      if (full || each.stream.ends.length < 2) look(each);
    }
  }

  /** What was true at the last look was true until now. */
  function count(each: Counted): void {
    const now = clock.elapsed();
    const packets = (each.stream.perSecond * (now - each.since)) / 1000;
    each.since = now;
    if (each.state === 'silent') return;
    const counts = each.moving ? each.inMotion : each.standing;
    counts.sent += packets;
    if (each.state === 'lost') counts.lost += packets;
  }

  function look(each: Counted): void {
    const { stream } = each;
    for (const end of stream.ends) if (follow(end)) each.moves++;
    const [source] = stream.ends;
    each.moving = !stream.ends.every(stands);
    // A client that is gone or told to end sends nothing.
    const packet = source !== undefined && !stands(source) ? undefined : stream.packet();
    if (packet === undefined) {
      each.state = 'silent';
      return;
    }
    const delivery = dataPath.send(packet);
    const wanted = stream.answeredBy?.();
    const misled = delivery.delivered && wanted !== undefined && delivery.answeredBy !== wanted;
    each.state = delivery.delivered && !misled ? 'delivered' : 'lost';
    if (misled) each.reason = `answered by ${delivery.answeredBy} instead of ${wanted}`;
    else if (!delivery.delivered) each.reason = delivery.reason;
  }

  /** Brings an end up to date; a pod stands for it until it is gone. @returns whether another one does from now on */
  function follow(end: PodEnd): boolean {
    const before = end.pod;
    const current = before && store.get('pods', before.metadata.namespace, before.metadata.name);
    if (current !== undefined && current.metadata.uid === before?.metadata.uid && !isFinished(current)) {
      end.pod = current;
      return false;
    }
    const taken = new Set(counted.flatMap(({ stream }) => stream.ends.map(({ pod }) => pod?.metadata.uid)));
    const candidates = podsOf(store, `${end.namespace}/${end.app}`);
    const successor = candidates.find(({ metadata }) => !taken.has(metadata.uid)) ?? candidates[0];
    if (successor !== undefined) end.pod = successor;
    return successor !== undefined;
  }

  function stands({ pod }: PodEnd): boolean {
    const node = nodes.get(pod?.spec.nodeName ?? '');
    if (pod === undefined || node === undefined || !node.kubelet.active) return false;
    const there = store.get('pods', pod.metadata.namespace, pod.metadata.name)?.metadata.uid === pod.metadata.uid;
    if (!there || !isActive(pod) || !isReady(pod)) return false;
    for (const sandbox of node.sandboxes.values()) {
      if (sandbox.pod.uid === pod.metadata.uid && sandbox.running && sandbox.ip === pod.status?.podIP) return true;
    }
    return false;
  }

  function plan(): void {
    if (stopped) return;
    const wait = clock.speed === 0 ? REAL_TICK_AT_SPEED_0_MS : Math.max(SHORTEST_REAL_TICK_MS, TICK_MS / clock.speed);
    timer = setTimeout(() => {
      tick();
      plan();
    }, wait);
    timer.unref();
  }

  /** At the simulated moment of the change, which the clock does not pass before the look; the changes of one turn cost one. */
  function lookSoon(): void {
    changed = true;
    if (asked || stopped) return;
    asked = true;
    early = clock.after(0, () => {
      asked = false;
      tick();
    });
  }

  const unsubscribe = counted.length > 0 ? onChange?.(lookSoon) : undefined;
  if (counted.length > 0) {
    tick();
    plan();
  }

  return {
    tick,
    report() {
      tick();
      return reportOf(counted);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      early?.cancel();
      unsubscribe?.();
    },
  };
}

/** Whole packets; a lost one is never rounded away. */
function reportOf(counted: Counted[]): TrafficReport {
  const whole = ({ sent, lost }: { sent: number; lost: number }) => {
    const lostPackets = Math.ceil(lost - 1e-9);
    return { sent: Math.max(Math.round(sent), lostPackets), lost: lostPackets };
  };
  const sum = (counts: { sent: number; lost: number }[]) =>
    counts
      .map(whole)
      .reduce((total, { sent, lost }) => ({ sent: total.sent + sent, lost: total.lost + lost }), { sent: 0, lost: 0 });
  const between = counted.filter(({ stream }) => stream.ends.length > 0);
  const entering = counted.filter(({ stream }) => stream.ends.length === 0);
  return {
    streams: counted.map(({ stream: { name, kind, ends }, moves, reason, standing, inMotion }) => ({
      name,
      kind,
      bystander: ends.length > 0 && moves === 0,
      moves,
      ...sum([standing, inMotion]),
      lastReason: reason,
    })),
    bystanders: sum(between.map(({ standing }) => standing)),
    moved: sum(between.map(({ inMotion }) => inMotion)),
    nodePorts: sum(entering.map(({ standing }) => standing)),
  };
}
