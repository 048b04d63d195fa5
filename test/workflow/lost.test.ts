import { ApplicationFailure } from '@temporalio/common';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { nodeWorkflowId, waveWorkflowId } from '../../src/temporal/ids.ts';
import { recordHistories } from '../support/histories.ts';
import { decision, gateOpen, inState, kindsOf, refusal, status } from '../support/migration-workflow.ts';
import { until } from '../support/until.ts';
import { act, createWorld, failure, gate, stopTemporal, type World } from '../support/workflow-world.ts';

let world: World;
afterEach(async ({ task }) => {
  await recordHistories(world, task.name);
  await world.stop();
});
afterAll(stopTemporal);

const migration = () => `test-${world.clusterUid.slice(0, 6)}`;

/** Holds that verb until it is let go. */
function hold(verb: string): { reached: Promise<void>; letGo(): void } {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  world.onVerb = (_input, name) => {
    if (name !== verb) return undefined;
    reached.resolve();
    return released.promise;
  };
  return { reached: reached.promise, letGo: () => (released.resolve(), (world.onVerb = () => {})) };
}

describe('what was ended outside of Cutover', () => {
  it('shows as a node that is held with the way on, and the gate of its wave cannot be passed by an approval alone', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1', 'worker-2'], gate: gate() }] });
    const held = hold('node.b');
    const handle = await world.start();
    await held.reached;

    await world.client.workflow
      .getHandle(nodeWorkflowId(world.clusterUid, migration(), '1-test', 'worker-1'))
      .terminate('by hand');
    held.letGo();

    const open = await gateOpen(handle);
    expect(open.missing).toEqual(['worker-1']);
    const end = world.records.find(({ kind, node }) => kind === 'node.ended' && node === 'worker-1');
    expect(end).toMatchObject({
      outcome: 'held',
      message: expect.stringContaining('cutover rollback --node worker-1'),
    });
    expect(await refusal(decision(handle, 'ben'))).toBe('WaveIncomplete');

    await handle.executeUpdate('rollBack', { args: [{ ...act('ana'), scope: { node: 'worker-1' } }] });
    await inState(handle, 'paused');
    expect(world.journal.filter((line) => line.startsWith('worker-1 back'))).not.toEqual([]);

    await handle.executeUpdate('resume', { args: [act('ana')] });
    await gateOpen(handle);
    expect((await status(handle)).gate?.missing).toBeUndefined();
    await decision(handle, 'ben');
    expect(await handle.result()).toBe('completed');
  });

  it('when it is a wave, pauses the migration, which goes on once its nodes have ended', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: gate() }] });
    const held = hold('node.b');
    world.awaitNodes = async () => {
      await until(() => world.journal.some((line) => line.startsWith('worker-1 forward c')), 'the node ends');
      return [];
    };
    const handle = await world.start();
    await held.reached;

    await world.client.workflow
      .getHandle(waveWorkflowId(world.clusterUid, migration(), '1-test', 'all'))
      .terminate('by hand');
    await until(async () => (await status(handle)).pause?.reason.includes('ended outside of Cutover'), 'it pauses');
    held.letGo();
    await inState(handle, 'paused');

    await handle.executeUpdate('resume', { args: [act('ana')] });
    await decision(handle, 'ben');
    expect(await handle.result()).toBe('completed');
  });
});

describe('an approver', () => {
  it('may let a gate pass whose wave is incomplete, by saying so', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1', 'worker-2'], gate: gate() }] });
    world.onVerb = ({ place, step }) => {
      if (place.node === 'worker-1' && step.direction === 'forward') throw failure('DriftFound');
    };
    const handle = await world.start();
    await until(async () => 'worker-1' in (await status(handle)).waiting, 'worker-1 waits');
    await handle.executeUpdate('skipNode', { args: [{ ...act('ana'), node: 'worker-1' }] });

    expect((await gateOpen(handle)).missing).toEqual(['worker-1']);
    expect(await refusal(decision(handle, 'ben'))).toBe('WaveIncomplete');
    await decision(handle, 'ben', { incomplete: true, reason: 'worker-1 is being replaced' });

    // The old network does not go while a node is on it.
    await until(async () => (await status(handle)).pause?.reason.includes('still on the old network'), 'it holds');
  });
});

describe('a rollback of one node', () => {
  it('that is sent twice runs once', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: gate() }] });
    const handle = await world.start();
    await gateOpen(handle);

    const rollBack = { ...act('ana'), scope: { node: 'worker-1' } };
    await handle.executeUpdate('rollBack', { args: [rollBack] });
    await inState(handle, 'paused');
    const once = [...world.journal];
    await handle.executeUpdate('rollBack', { args: [rollBack] });
    await until(() => kindsOf(world).filter((kind) => kind.startsWith('pause.took-effect')).length === 2, 'it is done');

    expect(world.journal).toEqual(once);
    expect(kindsOf(world).filter((kind) => kind === 'wave.started')).toHaveLength(2);
  });
});

describe('trouble of our own', () => {
  it('in the evidence of a gate blocks the gate with what is wrong, and fails nothing', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: gate() }] });
    let broken = true;
    world.evidence = () => {
      if (broken) throw ApplicationFailure.nonRetryable('the plan is not in the store', 'NotFound');
      return { checks: [], digest: 'd'.repeat(64), verdict: 'pass', at: new Date().toISOString() };
    };
    const handle = await world.start();

    expect(await gateOpen(handle)).toMatchObject({ evidenceVerdict: 'block' });
    expect(world.records.find(({ kind }) => kind === 'gate.opened')?.checks?.[0]?.message).toContain(
      'not in the store',
    );
    broken = false;
    await handle.executeUpdate('refresh', { args: [{ ...act('ana'), gate: 'after-canary' }] });
    await until(async () => (await status(handle)).gate?.evidenceVerdict === 'pass', 'it can be taken');
    await decision(handle, 'ben');

    expect(await handle.result()).toBe('completed');
  });

  it('is not counted against a node that is out of reach: a person is asked, and a retry goes on', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }], strategy: { failureBudget: 0 } });
    world.onVerb = (_input, verb) => {
      if (verb === 'node.b') throw failure('NodeUnreachable');
    };
    const handle = await world.start();
    await until(async () => 'worker-1' in (await status(handle)).waiting, 'worker-1 waits');

    expect(await status(handle)).toMatchObject({ failures: 0, pause: null });
    expect(world.journal.filter((line) => line.includes(' back '))).toEqual([]);
    world.onVerb = () => {};
    await handle.executeUpdate('retryNode', { args: [{ ...act('ana'), node: 'worker-1' }] });

    expect(await handle.result()).toBe('completed');
    expect(world.journal.filter((line) => line.includes('worker-1 forward a'))).toHaveLength(1);
  });
});
