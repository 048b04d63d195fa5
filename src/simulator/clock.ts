import type { SimClock } from './types.ts';

/** A clock that can be stopped, and tells its speed. */
export interface RunningClock extends SimClock {
  /** Simulated seconds in a real one; 0 when every wait is one tick. */
  readonly speed: number;
  /** Changes the speed for waits that begin from now on: a cluster boots at speed 0, then runs at its own. */
  setSpeed(speed: number): void;
  /** Simulated ms since the clock was made. At speed 0 real ms, since nothing else passes there. */
  elapsed(): number;
  /** Cancels all that is waiting: nothing runs afterwards, and sleeps never end. */
  stop(): void;
}

/**
 * Time of one simulation. At speed 0 a wait takes one tick whatever its length: use `after` for waits that come to an
 * end, and never for a loop that has no other end, because there it would spin.
 */
export function createClock({ speed: initialSpeed }: { speed: number }): RunningClock {
  let speed = initialSpeed;
  let passed = 0;
  let counted = performance.now();
  const waiting = new Set<() => void>();
  let stopped = false;

  function after(ms: number, run: () => void): { cancel(): void } {
    if (stopped) return { cancel() {} };
    const fire = () => {
      waiting.delete(cancel);
      run();
    };
    const cancel = start(fire, ms);
    waiting.add(cancel);
    return {
      cancel() {
        if (waiting.delete(cancel)) cancel();
      },
    };
  }

  function start(fire: () => void, ms: number): () => void {
    if (speed === 0) {
      const handle = setImmediate(fire);
      return () => clearImmediate(handle);
    }
    // setTimeout turns what does not fit 31 bits into 1 ms.
    const handle = setTimeout(fire, Math.min(ms / speed, 2 ** 31 - 1));
    return () => clearTimeout(handle);
  }

  function elapsed(): number {
    const now = performance.now();
    passed += (now - counted) * (speed === 0 ? 1 : speed);
    counted = now;
    return passed;
  }

  return {
    get speed() {
      return speed;
    },
    setSpeed(next) {
      elapsed();
      speed = next;
    },
    now: () => Date.now(),
    elapsed,
    after,
    sleep: (ms) => new Promise((resolve) => after(ms, resolve)),
    stop() {
      stopped = true;
      waiting.forEach((cancel) => cancel());
      waiting.clear();
    },
  };
}
