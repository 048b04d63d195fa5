import type { SimClock } from './types.ts';

/** A clock that can be stopped, and tells its speed. */
export interface RunningClock extends SimClock {
  /** Simulated seconds in a real one; 0 when every wait is one tick. */
  readonly speed: number;
  /** Changes the speed, also of waits that have begun: a cluster boots at speed 0, then runs at its own. */
  setSpeed(speed: number): void;
  /**
   * Simulated ms since the clock was made. It never passes a wait whose end has not run yet: on a busy machine
   * simulated time goes slower. At speed 0 real ms, since nothing else passes there.
   */
  elapsed(): number;
  /** Cancels all that is waiting: nothing runs afterwards, and sleeps never end. */
  stop(): void;
}

interface Wait {
  due: number;
  run: () => void;
}

/** Simulated time that the machine was too slow for is caught up to this much, in real ms; the rest never was. */
const LONGEST_LAG_MS = 50;

/**
 * Time of one simulation. At speed 0 a wait takes one tick whatever its length: use `after` for waits that come to an
 * end, and never for a loop that has no other end, because there it would spin.
 *
 * Waits end one by one in the order of their time, each in a turn of the event loop of its own, and simulated time
 * stands still at the end of a wait until that turn is over. So what lasts 28 ms between two waits lasts 28 ms for
 * whoever counts by `elapsed`, however late the machine runs them.
 */
export function createClock({ speed: initialSpeed }: { speed: number }): RunningClock {
  let speed = initialSpeed;
  /** Where simulated time would be on a machine that takes no time, as of `counted`. */
  let target = 0;
  let counted = performance.now();
  let passed = 0;
  let inTurn = false;
  let stopped = false;
  /** By `due`; of equal ones the older first. */
  const waits: Wait[] = [];
  const ticks = new Set<NodeJS.Immediate>();
  let timer: NodeJS.Timeout | undefined;
  let next: NodeJS.Immediate | undefined;

  function count(): number {
    const now = performance.now();
    target += (now - counted) * (speed === 0 ? 1 : speed);
    counted = now;
    return target;
  }

  function elapsed(): number {
    const now = count();
    if (!inTurn) passed = Math.max(passed, Math.min(now, waits[0]?.due ?? Infinity));
    return passed;
  }

  function after(ms: number, run: () => void): { cancel(): void } {
    if (stopped) return { cancel() {} };
    if (speed === 0) {
      const tick = setImmediate(() => {
        ticks.delete(tick);
        run();
      });
      ticks.add(tick);
      return { cancel: () => void (ticks.delete(tick) && clearImmediate(tick)) };
    }
    const wait = { due: elapsed() + Math.max(0, ms), run };
    waits.splice(placeOf(wait.due), 0, wait);
    if (waits[0] === wait) arm();
    return {
      cancel() {
        const at = waits.lastIndexOf(wait, placeOf(wait.due));
        if (at >= 0) waits.splice(at, 1);
      },
    };
  }

  function placeOf(due: number): number {
    let low = 0;
    let high = waits.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (waits[middle]!.due <= due) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Wakes for the first wait: at once when it is due. */
  function arm(): void {
    clearTimeout(timer);
    const [first] = waits;
    if (first === undefined || inTurn || stopped) return;
    const left = first.due - count();
    if (left <= 0) next ??= setImmediate(turn);
    // setTimeout turns what does not fit 31 bits into 1 ms.
    else timer = setTimeout(turn, Math.min(left / (speed || 1), 2 ** 31 - 1));
  }

  function turn(): void {
    next = undefined;
    inTurn = false;
    const now = count();
    const [first] = waits;
    if (stopped || first === undefined) return;
    if (first.due > now) return arm();
    waits.shift();
    passed = Math.max(passed, first.due);
    target = Math.min(target, passed + LONGEST_LAG_MS * (speed || 1));
    inTurn = true;
    next = setImmediate(turn);
    first.run();
  }

  return {
    get speed() {
      return speed;
    },
    setSpeed(to) {
      elapsed();
      speed = to;
      arm();
    },
    now: () => Date.now(),
    elapsed,
    after,
    sleep: (ms) => new Promise((resolve) => after(ms, resolve)),
    stop() {
      stopped = true;
      waits.length = 0;
      clearTimeout(timer);
      if (next) clearImmediate(next);
      ticks.forEach((tick) => clearImmediate(tick));
      ticks.clear();
    },
  };
}
