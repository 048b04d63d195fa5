import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { WorkflowHandle } from '@temporalio/client';
import { recordHistories } from '../support/histories.ts';
import { status } from '../support/migration-workflow.ts';
import { until } from '../support/until.ts';
import { act, createWorld, failure, gate, stopTemporal, type World } from '../support/workflow-world.ts';

let world: World;
afterEach(async ({ task }) => {
  await recordHistories(world, task.name);
  await world.stop();
});
afterAll(stopTemporal);

const waves = [
  { id: 'adopted', nodes: ['worker-1'], adopted: true as const },
  { id: 'rest', nodes: ['worker-2'], gate: gate() },
];
const rollBack = (handle: WorkflowHandle, scope: object) =>
  handle.executeUpdate('rollBack', { args: [{ ...act('ana'), scope }] });
const journalOf = (name: string) => world.journal.filter((line) => line.startsWith(name));

describe('nodes that an earlier migration brought to the new network', () => {
  it('are not migrated again', async () => {
    world = await createWorld({ waves: [waves[0]!, { id: 'rest', nodes: ['worker-2'] }] });

    const handle = await world.start();

    expect(await handle.result()).toBe('completed');
    expect(journalOf('worker-1')).toEqual([]);
    expect(journalOf('worker-2')).toHaveLength(3);
  });

  it('go back with everything else, before the preparation is undone', async () => {
    world = await createWorld({ waves });
    const handle = await world.start();
    await until(async () => (await status(handle)).gate, 'a gate opens');

    await rollBack(handle, { all: true });

    expect(await handle.result()).toBe('rolled-back');
    const order = world.journal.filter((line) => line.includes(' back ')).map((line) => line.split(' ')[0]);
    expect([...new Set(order)]).toEqual(['worker-2', 'worker-1', 'cluster']);
  });

  it('go back also when nothing but the preparation has begun', async () => {
    world = await createWorld({ waves });
    let broken = true;
    world.onVerb = (_, verb) => {
      if (verb === 'cluster.prepare' && broken) throw failure('ChecksFailed');
    };
    const handle = await world.start();
    await until(async () => (await status(handle)).state === 'paused', 'it is paused');
    broken = false;

    await rollBack(handle, { all: true });

    expect(await handle.result()).toBe('rolled-back');
    expect(journalOf('worker-1').length).toBeGreaterThan(0);
    expect(journalOf('worker-2')).toEqual([]);
    expect(world.journal.at(-1)).toBe('cluster back prepare/cluster.unprepare');
  });

  it('keep what was prepared when the migration is aborted before its first node', async () => {
    world = await createWorld({ waves });
    world.onVerb = (_, verb) => {
      if (verb === 'cluster.prepare') throw failure('ChecksFailed');
    };
    const handle = await world.start();
    await until(async () => (await status(handle)).state === 'paused', 'it is paused');

    await handle.executeUpdate('abort', { args: [{ ...act('ana'), mode: 'rollback' }] });

    expect(await handle.result()).toBe('aborted');
    expect(world.journal).toEqual([]);
  });
});

it('a wave that runs again after one of its nodes was taken back leaves those alone that are migrated', async () => {
  world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1', 'worker-2'], gate: gate() }] });
  const handle = await world.start();
  await until(async () => (await status(handle)).gate, 'a gate opens');

  await rollBack(handle, { node: 'worker-1' });
  await until(async () => (await status(handle)).state === 'paused', 'it is paused');
  await handle.executeUpdate('resume', { args: [act('ana')] });
  await until(async () => (await status(handle)).gate, 'the gate opens again');

  const forward = (node: string) => journalOf(node).filter((line) => line.endsWith(' forward a'));
  expect([forward('worker-1').length, forward('worker-2').length]).toEqual([2, 1]);
});

it('an undo that fails holds, lets a node go back that was asked for meanwhile, and then goes on', async () => {
  world = await createWorld({ waves });
  let tries = 0;
  let stuck = true;
  world.onVerb = ({ place }, verb) => {
    if (verb === 'cluster.unprepare' && ++tries > 0 && stuck) throw failure('ChecksFailed', 'worker-1 is in the way');
    if (place.node === 'worker-1' && verb === 'node.undoA' && tries > 0) stuck = false;
  };
  const handle = await world.start();
  await until(async () => (await status(handle)).gate, 'a gate opens');
  await rollBack(handle, { all: true });
  await until(async () => (await status(handle)).state === 'paused', 'it is paused');
  expect((await status(handle)).pause?.reason).toContain('worker-1 is in the way');

  await rollBack(handle, { node: 'worker-1' });

  expect(await handle.result()).toBe('rolled-back');
  // Once when everything was asked for, at most once more for the request that came, once when the way was free.
  expect(tries).toBeLessThanOrEqual(3);
});
