import { afterEach, beforeEach, expect, it } from 'vitest';
import { install } from '../support/cutover.ts';
import { foundOn } from '../support/found.ts';

let cutover: Awaited<ReturnType<typeof install>>;
beforeEach(async () => {
  cutover = await install('three-nodes');
  await cutover.simulation.settled();
});
afterEach(() => cutover.stop());

it('does not migrate a cluster whose network fails as it is, says why, and leaves nothing behind', async () => {
  const { simulation } = cutover;
  const before = foundOn(simulation);
  const machine = simulation.node('worker-2');
  const dropped = {
    backend: 'nft',
    family: 'ip',
    table: 'mangle',
    chain: 'PREROUTING',
    text: '-p udp -m udp --dport 8472 -j DROP',
  } as const;
  machine.rules = [dropped, ...machine.rules];

  await cutover.launch();
  const ended = await cutover.reach('aborted');

  expect(JSON.stringify(ended)).toMatch(/the cluster fails a check before anything was changed: .*pod-to-pod: /);
  expect(simulation.store.get('namespaces', undefined, 'cutover-probe')).toBeUndefined();
  machine.rules = machine.rules.filter(({ text }) => text !== dropped.text);
  expect(foundOn(simulation)).toEqual(before);
}, 300_000);
