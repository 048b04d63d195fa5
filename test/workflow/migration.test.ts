import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { WorkflowHandle, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { act, createWorld, failure, gate, stopTemporal, type World } from '../support/workflow-world.ts';
import { recordHistories } from '../support/histories.ts';
import { decision, gateOpen, inState, kindsOf, refusal, status } from '../support/migration-workflow.ts';
import { until } from '../support/until.ts';
import { nodeWorkflowId } from '../../src/temporal/ids.ts';

let world: World;
afterEach(async ({ task }) => {
  await recordHistories(world, task.name);
  await world.stop();
});
afterAll(stopTemporal);

const kinds = () => kindsOf(world);

/** Resolves when the node's workflow has received that signal: what a person asked for has arrived. */
const signalled = (node: string, signal: string) =>
  until(async () => {
    const id = nodeWorkflowId(world.clusterUid, `test-${world.clusterUid.slice(0, 6)}`, '1-test', node);
    const { events } = await world.client.workflow.getHandle(id).fetchHistory();
    return events?.some((event) => event.workflowExecutionSignaledEventAttributes?.signalName === signal);
  }, `${node} is told ${signal}`);

describe('a migration', () => {
  it('ends when the cluster fails its baseline, and takes back what was prepared', async () => {
    world = await createWorld();
    world.outline.stages[0]!.prepare.push({
      id: 'baseline',
      title: 'Check the network as it is',
      verb: 'node.check',
      endsWhenChecksFail: true,
      attempts: 1,
    });
    world.onVerb = ({ step }) => {
      if (step.id === 'baseline') throw failure('ChecksFailed', 'dns: a pod on worker-2 cannot resolve names');
    };

    const handle = await world.start();

    expect(await handle.result()).toBe('aborted');
    expect(world.journal).toEqual(['cluster forward prepare', 'cluster back prepare/cluster.unprepare']);
    expect(world.records.at(-1)).toMatchObject({
      kind: 'migration.ended',
      outcome: 'aborted',
      message:
        'aborted by cutover: the cluster fails a check before anything was changed: dns: a pod on worker-2 cannot resolve names',
    });
  });

  it('walks prepare, canary, gate, the other waves and finalize, in that order', async () => {
    world = await createWorld();

    const handle = await world.start();
    await decision(handle, 'ben');

    expect(await handle.result()).toBe('completed');
    expect(world.journal).toEqual([
      'cluster forward prepare',
      ...['worker-1', 'worker-2', 'worker-3'].flatMap((node) =>
        ['a', 'b', 'c'].map((step) => `${node} forward ${step}`),
      ),
      'cluster forward finalize',
    ]);
    expect(kinds()).toEqual([
      'migration.started',
      'wave.started',
      'node.ended migrated',
      'wave.ended done',
      'gate.opened pass',
      'gate.decided approve',
      'gate.closed passed',
      'wave.started',
      'node.ended migrated',
      'node.ended migrated',
      'wave.ended done',
      'migration.ended completed',
    ]);
  });

  it('is alone on its cluster', async () => {
    world = await createWorld();
    const handle = await world.start();

    await expect(world.start()).rejects.toThrow('Workflow execution already started');

    await decision(handle, 'ben');
    await handle.result();
  });

  it('rolls a failed node back in reverse, verifies the old network before it gives the node back, and tries again', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }] });
    let failed = false;
    world.onVerb = ({ step, nodeAttempt }) => {
      if (step.id !== 'c' || step.direction !== 'forward' || nodeAttempt > 1) return;
      failed = true;
      throw failure('ChecksFailed', 'pods do not answer');
    };

    const handle = await world.start();

    expect(await handle.result()).toBe('completed');
    expect(failed).toBe(true);
    expect(world.journal).toEqual([
      'cluster forward prepare',
      'worker-1 forward a',
      'worker-1 forward b',
      'worker-1 back c/node.undoC',
      'worker-1 back b/node.undoB',
      'worker-1 back verify-rollback/node.check',
      'worker-1 back a/node.undoA',
      'worker-1 forward a',
      'worker-1 forward b',
      'worker-1 forward c',
      'cluster forward finalize',
    ]);
  });

  it('waits for a person when a node failed as often as it may, and goes on when that person retries', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }], strategy: { failureBudget: 5 } });
    let repaired = false;
    world.onVerb = ({ step }) => {
      if (step.id === 'b' && step.direction === 'forward' && !repaired) throw failure('AgentNotReady', 'no image');
    };
    const handle = await world.start();
    await until(async () => (await status(handle)).waiting['worker-1'], 'worker-1 waits');
    expect(await refusal(handle.executeUpdate('retryNode', { args: [{ ...act('ana'), node: 'worker-9' }] }))).toBe(
      'NodeNotWaiting',
    );

    repaired = true;
    await handle.executeUpdate('retryNode', { args: [{ ...act('ana', 'image is there now'), node: 'worker-1' }] });

    expect(await handle.result()).toBe('completed');
    expect(kinds()).toContain('node.resumed retry');
  });

  it('takes nothing back when the cluster was taken over: the node waits for a person as it is', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }] });
    let lost = true;
    world.onVerb = ({ step }) => {
      if (lost && step.id === 'b') throw failure('LeaseLost', 'm-2 took this cluster over');
    };
    const handle = await world.start();
    await until(async () => (await status(handle)).waiting['worker-1']?.includes('took this cluster over'), 'it waits');
    expect(world.journal.filter((line) => line.startsWith('worker-1 back'))).toEqual([]);
    lost = false;

    await handle.executeUpdate('retryNode', { args: [{ ...act('ana'), node: 'worker-1' }] });

    expect(await handle.result()).toBe('completed');
    expect(world.journal.filter((line) => line.includes('forward a'))).toHaveLength(1);
  });

  it('does not repeat by itself what a person must look at first', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }] });
    world.onVerb = ({ step, nodeAttempt }) => {
      if (step.id === 'a' && nodeAttempt === 1 && step.direction === 'forward')
        throw failure('DriftFound', 'kernel changed');
    };
    const handle = await world.start();
    await until(async () => (await status(handle)).waiting['worker-1']?.includes('kernel changed'), 'worker-1 waits');
    expect(world.journal.filter((line) => line.includes('forward a'))).toEqual([]);

    await handle.executeUpdate('retryNode', { args: [{ ...act('ana'), node: 'worker-1' }] });

    expect(await handle.result()).toBe('completed');
  });

  it('pauses when the failure budget is used up, over all waves together', async () => {
    world = await createWorld({
      waves: [
        { id: 'one', nodes: ['worker-1'] },
        { id: 'two', nodes: ['worker-2', 'worker-3'] },
      ],
      strategy: { failureBudget: 1 },
    });
    world.onVerb = ({ step, place, nodeAttempt }) => {
      if (step.id === 'b' && step.direction === 'forward' && nodeAttempt === 1 && place.node !== 'worker-3')
        throw failure('ChecksFailed');
    };
    const handle = await world.start();
    await inState(handle, 'paused');
    const { pause, failures } = await status(handle);
    expect({ pause, failures }).toMatchObject({
      pause: { actor: 'cutover', reason: '2 failures: the failure budget is used up' },
    });
    expect(world.journal.some((line) => line.startsWith('worker-3'))).toBe(false);

    await handle.executeUpdate('resume', { args: [act('ana', 'seen')] });

    expect(await handle.result()).toBe('completed');
  });

  it('never has more nodes in flight than the plan allows, in all and in a zone', async () => {
    const nodes = Array.from({ length: 9 }, (_, index) => `worker-${index}`);
    world = await createWorld({
      waves: [{ id: 'all', nodes }],
      strategy: { maxUnavailable: 4, maxUnavailablePerZone: 2 },
    });
    const inFlight = new Map<string, string>();
    const most = { all: 0, zone: 0 };
    world.onVerb = async ({ place, step }) => {
      if (!place.node) return;
      const zone = `zone-${nodes.indexOf(place.node) % 3}`;
      inFlight.set(place.node, zone);
      most.all = Math.max(most.all, inFlight.size);
      most.zone = Math.max(most.zone, [...inFlight.values()].filter((one) => one === zone).length);
      // As many as may be are in flight before one goes on, however slow the machine; then there is time for one too many.
      await until(() => most.all >= 4, 'four nodes are in flight');
      await new Promise((resolve) => setTimeout(resolve, 150));
      if (step.id === 'c') inFlight.delete(place.node);
    };

    await (await world.start()).result();

    expect(most).toEqual({ all: 4, zone: 2 });
  });
});

describe('a person', () => {
  it('pauses after the node, and nothing starts until they resume', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1', 'worker-2'] }] });
    let handle!: WorkflowHandle;
    let asked: Promise<unknown> | undefined;
    world.onVerb = async ({ place, step }) => {
      if (place.node === 'worker-1' && step.id === 'a')
        await (asked ??= handle.executeUpdate('pause', { args: [{ ...act('ana', 'lunch'), scope: 'node' }] }));
    };
    handle = await world.start();
    await inState(handle, 'paused');
    expect(world.journal).toEqual([
      'cluster forward prepare',
      'worker-1 forward a',
      'worker-1 forward b',
      'worker-1 forward c',
    ]);

    await handle.executeUpdate('resume', { args: [act('ana')] });

    expect(await handle.result()).toBe('completed');
    expect(kinds().filter((kind) => kind.startsWith('pause') || kind === 'resumed')).toEqual([
      'pause.took-effect node',
      'resumed',
    ]);
  });

  it('pauses now: the node stops before its next step, but not while it has no network', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }] });
    let handle!: WorkflowHandle;
    let asked: Promise<unknown> | undefined;
    world.onVerb = async ({ place, step }) => {
      if (!place.node || step.id !== 'a') return;
      await (asked ??= handle.executeUpdate('pause', { args: [{ ...act('ana'), scope: 'now' }] }));
      await signalled('worker-1', 'pauseNode');
    };
    handle = await world.start();
    await inState(handle, 'paused');
    expect(world.journal).toEqual(['cluster forward prepare', 'worker-1 forward a', 'worker-1 forward b']);

    await handle.executeUpdate('resume', { args: [act('ana')] });

    expect(await handle.result()).toBe('completed');
  });

  it('aborts: the node in flight goes back, the cluster is as it was', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1', 'worker-2'] }] });
    let handle!: WorkflowHandle;
    let asked: Promise<unknown> | undefined;
    world.onVerb = async ({ place, step }) => {
      if (place.node !== 'worker-1' || step.id !== 'b' || step.direction !== 'forward') return;
      await (asked ??= handle.executeUpdate('abort', { args: [{ ...act('ana', 'wrong night'), mode: 'rollback' }] }));
      await signalled('worker-1', 'abortNode');
    };
    handle = await world.start();

    expect(await handle.result()).toBe('aborted');
    expect(world.journal).not.toContain('worker-1 forward c');
    expect(world.journal.slice(-4)).toEqual([
      'worker-1 back b/node.undoB',
      'worker-1 back verify-rollback/node.check',
      'worker-1 back a/node.undoA',
      'cluster back prepare/cluster.unprepare',
    ]);
    expect(world.journal.some((line) => line.startsWith('worker-2'))).toBe(false);
  });

  it('takes back a node in flight as soon as somebody asks for it, and holds with it on the old network', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1', 'worker-2'] }] });
    const handle: WorkflowHandle = await world.start();
    let asked: Promise<unknown> | undefined;
    world.onVerb = async ({ place, step }) => {
      if (place.node !== 'worker-1' || step.id !== 'b' || step.direction !== 'forward' || asked) return;
      const args = { ...act('ana', 'wrong image'), scope: { node: 'worker-1' } };
      await (asked = handle.executeUpdate('rollBack', { args: [args] }));
      await signalled('worker-1', 'decideNode');
    };

    await inState(handle, 'paused');

    expect(world.journal.filter((line) => line.startsWith('worker-1'))).not.toContain('worker-1 forward c');
    expect(world.journal).toContain('worker-1 back a/node.undoA');
    expect(world.journal.filter((line) => line === 'worker-1 back a/node.undoA')).toHaveLength(1);
    expect(world.journal).toContain('worker-2 forward c');
  });

  it('is asked when going back fails during an abort; nothing is tried again and again by itself', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }] });
    let handle!: WorkflowHandle;
    let asked: Promise<unknown> | undefined;
    let broken = true;
    let tries = 0;
    world.onVerb = async ({ place, step }, verb) => {
      if (verb === 'node.undoB') {
        tries++;
        if (broken) throw failure('NodeUnreachable', 'no route to host');
      }
      if (place.node !== 'worker-1' || step.id !== 'b' || step.direction !== 'forward') return;
      await (asked ??= handle.executeUpdate('abort', { args: [{ ...act('ana', 'wrong night'), mode: 'rollback' }] }));
      await signalled('worker-1', 'abortNode');
    };
    handle = await world.start();
    await until(async () => (await status(handle)).waiting['worker-1'], 'worker-1 waits');
    expect(tries).toBe(1);

    broken = false;
    await handle.executeUpdate('retryNode', { args: [{ ...act('ana', 'cable is in'), node: 'worker-1' }] });

    expect(await handle.result()).toBe('aborted');
    expect(world.journal.at(-1)).toBe('cluster back prepare/cluster.unprepare');
  });

  it('skips a node that waits; the migration then holds before it would remove the old network', async () => {
    world = await createWorld({
      waves: [{ id: 'all', nodes: ['worker-1', 'worker-2'] }],
      strategy: { nodeAttempts: 1 },
    });
    let broken = true;
    world.onVerb = ({ place, step }) => {
      if (place.node === 'worker-1' && step.id === 'b' && step.direction === 'forward' && broken)
        throw failure('ChecksFailed');
    };
    const handle = await world.start();
    await until(async () => (await status(handle)).waiting['worker-1'], 'worker-1 waits');
    await handle.executeUpdate('skipNode', { args: [{ ...act('ana', 'new hardware next week'), node: 'worker-1' }] });
    await inState(handle, 'paused');
    expect((await status(handle)).pause?.reason).toMatch('1 of the nodes are still on the old network (worker-1)');
    expect(world.journal).not.toContain('cluster forward finalize');

    broken = false;
    await handle.executeUpdate('resume', { args: [act('ana', 'it has come')] });

    expect(await handle.result()).toBe('completed');
    expect(world.journal.slice(-4)).toEqual([
      'worker-1 forward a',
      'worker-1 forward b',
      'worker-1 forward c',
      'cluster forward finalize',
    ]);
  });

  it('rolls everything back from a gate, last wave first, and undoes the preparation', async () => {
    world = await createWorld({
      waves: [
        { id: 'one', nodes: ['worker-1'] },
        { id: 'two', nodes: ['worker-2'], gate: gate() },
      ],
    });
    const handle = await world.start();
    await gateOpen(handle);

    await handle.executeUpdate('rollBack', { args: [{ ...act('ana', 'policy hazard'), scope: { all: true } }] });

    expect(await handle.result()).toBe('rolled-back');
    const back = world.journal.filter((line) => line.includes(' back '));
    expect(back.map((line) => line.split(' ')[0])).toEqual([
      ...Array<string>(4).fill('worker-2'),
      ...Array<string>(4).fill('worker-1'),
      'cluster',
    ]);
  });
});

describe('a long migration', () => {
  it('goes on as a new run between two waves, and keeps what it knows', async () => {
    world = await createWorld({
      waves: ['one', 'two', 'three'].map((id, index) => ({ id, nodes: [`worker-${index + 1}`] })),
    });
    const handle = await world.start({ historyLimit: 10 });

    expect(await handle.result()).toBe('completed');

    const { runId } = await handle.describe();
    expect(runId).not.toBe((handle as WorkflowHandleWithFirstExecutionRunId).firstExecutionRunId);
    expect(kinds().filter((kind) => kind === 'migration.started')).toHaveLength(1);
    expect(world.journal.filter((line) => line.endsWith('forward a'))).toEqual([
      'worker-1 forward a',
      'worker-2 forward a',
      'worker-3 forward a',
    ]);
  });
});

describe('a worker', () => {
  it('is replaced in the middle without a trace in the record', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'] }] });

    const handle = await world.start();
    await world.restartWorker();

    expect(await handle.result()).toBe('completed');
    expect(world.records.some(({ kind }) => kind === 'node.waiting')).toBe(false);
  });
});
