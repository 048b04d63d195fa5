import type { SimClock } from '../types.ts';

/** Keys that wait for one look each: asked for twice before that look, a key still gets one. */
export interface WorkQueue {
  add(key: string): void;
  addAfter(key: string, ms: number): void;
}

/** `pauseMs`: real ms that have to pass between two looks at one key, for work that is dear. */
export type QueueFactory = (name: string, work: (key: string) => void, pauseMs?: () => number) => WorkQueue;

export interface WorkQueues {
  create: QueueFactory;
  readonly idle: boolean;
  stop(): void;
}

/** One turn of the event loop works no longer than this, so that a burst does not hold up the API server. */
const TURN_MS = 8;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;

interface Queue {
  name: string;
  work: (key: string) => void;
  keys: Set<string>;
  failures: Map<string, number>;
  pauseMs: () => number;
  lastWorked: Map<string, number>;
}

/**
 * Work queues of all controllers. Work never runs inside a watch callback: it sees the store after all watchers did.
 * Work that throws is tried again with back-off, as controllers do with a conflict.
 */
export function createWorkQueues(
  clock: SimClock,
  onError: (queue: string, key: string, error: unknown) => void,
): WorkQueues {
  const waiting: Queue[] = [];
  let scheduled: NodeJS.Immediate | undefined;
  let later: NodeJS.Timeout | undefined;
  let stopped = false;

  function schedule(): void {
    if (!stopped) scheduled ??= setImmediate(turn);
  }

  function turn(): void {
    scheduled = undefined;
    const end = performance.now() + TURN_MS;
    let soonest = Infinity;
    for (const queue of waiting) {
      for (const key of queue.keys) {
        if (stopped) return;
        const wait = pauseOf(queue, key);
        soonest = Math.min(soonest, wait > 0 ? wait : Infinity);
        if (wait > 0) continue;
        queue.keys.delete(key);
        attempt(queue, key);
        if (performance.now() > end) return schedule();
      }
    }
    clearTimeout(later);
    if (soonest < Infinity) later = setTimeout(schedule, soonest);
  }

  function pauseOf({ pauseMs, lastWorked }: Queue, key: string): number {
    const pause = pauseMs();
    if (pause === 0) return 0;
    const left = (lastWorked.get(key) ?? -Infinity) + pause - performance.now();
    if (left <= 0) lastWorked.set(key, performance.now());
    return left;
  }

  function attempt(queue: Queue, key: string): void {
    try {
      queue.work(key);
      queue.failures.delete(key);
    } catch (error) {
      const failed = (queue.failures.get(key) ?? 0) + 1;
      queue.failures.set(key, failed);
      if (failed > 1) onError(queue.name, key, error);
      clock.after(Math.min(FIRST_RETRY_MS * 2 ** failed, LONGEST_RETRY_MS), () => add(queue.keys, key));
    }
  }

  function add(keys: Set<string>, key: string): void {
    if (stopped) return;
    keys.add(key);
    schedule();
  }

  return {
    create(name, work, pauseMs = () => 0) {
      const keys = new Set<string>();
      waiting.push({ name, work, keys, failures: new Map(), pauseMs, lastWorked: new Map() });
      return {
        add: (key) => add(keys, key),
        addAfter: (key, ms) => void clock.after(ms, () => add(keys, key)),
      };
    },
    get idle() {
      return waiting.every(({ keys }) => keys.size === 0);
    },
    stop() {
      stopped = true;
      if (scheduled !== undefined) clearImmediate(scheduled);
      clearTimeout(later);
    },
  };
}
