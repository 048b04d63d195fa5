import { afterEach, expect, it } from 'vitest';
import { createClock } from '../../src/simulator/clock.ts';
import type { RunningClock } from '../../src/simulator/clock.ts';

let clock: RunningClock;
afterEach(() => clock.stop());

/** What a processor that others use takes away. */
function starve(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

it('does not pass the end of a wait that the machine is too busy to run', async () => {
  clock = createClock({ speed: 20 });
  // At the end of a wait, time stands still: what begins there begins at one moment.
  await clock.sleep(1);
  const from = clock.elapsed();
  const seen: number[] = [];
  const ended = new Promise<void>((resolve) => {
    clock.after(28, () => {
      seen.push(clock.elapsed() - from);
      starve(20);
      clock.after(0, () => {
        seen.push(clock.elapsed() - from);
        resolve();
      });
    });
  });

  starve(200);
  await ended;

  expect(seen.map(Math.round)).toEqual([28, 28]);
});

it('ends waits in the order of their time, whatever the order they began in', async () => {
  clock = createClock({ speed: 1000 });
  await clock.sleep(1);
  const order: number[] = [];
  for (const ms of [30, 10, 20, 10.5]) clock.after(ms, () => order.push(ms));

  starve(5);
  await clock.sleep(40);

  expect(order).toEqual([10, 10.5, 20, 30]);
});

it('goes slower on a machine that lags, and does not run after what it lost', async () => {
  clock = createClock({ speed: 10 });
  const from = clock.elapsed();
  const first = clock.sleep(10);

  starve(1_000);
  await first;
  await clock.sleep(0);

  expect(clock.elapsed() - from).toBeLessThan(2_000);
});

it('runs nothing that was cancelled or stopped', async () => {
  clock = createClock({ speed: 100 });
  const ran: string[] = [];
  clock.after(1, () => ran.push('cancelled')).cancel();
  await clock.sleep(5);
  clock.after(1, () => ran.push('stopped'));
  clock.stop();
  await new Promise((resolve) => setTimeout(resolve, 20));

  expect(ran).toEqual([]);
});
