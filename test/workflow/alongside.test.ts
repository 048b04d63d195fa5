import { afterAll, afterEach, expect, it } from 'vitest';
import type { Step } from '../../src/plan/types.ts';
import { recordHistories } from '../support/histories.ts';
import { until } from '../support/until.ts';
import { createWorld, failure, nodeSteps, stopTemporal, type World } from '../support/workflow-world.ts';

let world: World;
afterEach(async ({ task }) => {
  await recordHistories(world, task.name);
  await world.stop();
});
afterAll(stopTemporal);

/** b begins together with a. */
async function startWith(strategy = {}): Promise<void> {
  world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }], strategy });
  const [a, b, c] = nodeSteps as [Step, Step, Step];
  world.waves.get('all')!.steps = [a, { ...b, alongside: true }, c];
}

it('begins steps that run alongside each other together, and the next one when all have ended', async () => {
  await startWith();
  const began: string[] = [];
  let otherBegan = false;
  world.onVerb = async ({ step }) => {
    began.push(step.id);
    if (step.id === 'b') otherBegan = true;
    if (step.id === 'a') await until(() => otherBegan, 'b has begun while a runs');
  };

  expect(await (await world.start()).result()).toBe('completed');

  expect(began.slice(1, 3).toSorted()).toEqual(['a', 'b']);
  expect(world.journal.slice(1, 3).toSorted()).toEqual(['worker-1 forward a', 'worker-1 forward b']);
  expect(world.journal[3]).toBe('worker-1 forward c');
});

it('lets the others end before the node goes back when one of them fails', async () => {
  await startWith({ nodeAttempts: 2 });
  let failed = false;
  let goOn = false;
  world.onVerb = async ({ step, nodeAttempt }) => {
    if (nodeAttempt > 1 || step.direction === 'back') return;
    if (step.id === 'a') {
      failed = true;
      throw failure('ChecksFailed', 'no answer');
    }
    if (step.id === 'b') await until(() => goOn, 'b may end');
  };
  const handle = await world.start();
  await until(() => failed, 'a has failed');
  expect(world.journal).toEqual(['cluster forward prepare']);
  goOn = true;

  expect(await handle.result()).toBe('completed');

  expect(world.journal.slice(1, 5)).toEqual([
    'worker-1 forward b',
    'worker-1 back b/node.undoB',
    'worker-1 back verify-rollback/node.check',
    'worker-1 back a/node.undoA',
  ]);
});
