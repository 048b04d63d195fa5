import { expect, it, onTestFinished, vi } from 'vitest';
import { createClock } from '../../src/simulator/clock.ts';
import { createSimNode } from '../../src/simulator/node/sim-node.ts';

it('a persistent timer survives a restart of the node and keeps its end, a transient one does not', async () => {
  const clock = createClock({ speed: 10 });
  onTestFinished(() => clock.stop());
  const node = createSimNode(
    {
      name: 'n1',
      ip: '192.0.2.11',
      prefixLength: 24,
      gateway: '192.0.2.1',
      zone: 'a',
      kernel: '6.1.0',
      underlayMtu: 1500,
    },
    clock,
  );
  const fired: string[] = [];
  const began = clock.now();
  node.startTimer('cutover-revert', 5, 'revert', async () => void fired.push('revert'), { persistent: true });
  node.startTimer('other', 5, 'never', async () => void fired.push('never'));

  node.reset();

  expect([...node.timers.keys()]).toEqual(['cutover-revert']);
  await vi.waitFor(() => expect(fired).toHaveLength(1), 5_000);
  expect(fired).toEqual(['revert']);
  // At ten times the speed, in the real time that now() tells.
  expect(clock.now() - began).toBeGreaterThanOrEqual(490);
  expect(clock.now() - began).toBeLessThan(5_000);
});
