import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { WorkflowHandle, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { act, createWorld, failure, gate, stopTemporal, type World } from '../support/workflow-world.ts';
import { recordHistories } from '../support/histories.ts';
import { until } from '../support/until.ts';
import { nodeWorkflowId } from '../../src/temporal/ids.ts';
import type { Evidence } from '../../activities/types.ts';
import type { ClusterStatus, DecideArgs } from '../../workflows/messages.ts';

let world: World;
afterEach(async ({ task }) => {
  await recordHistories(world, task.name);
  await world.stop();
});
afterAll(stopTemporal);

const status = (handle: WorkflowHandle): Promise<ClusterStatus> => handle.query('status');
const gateOpen = (handle: WorkflowHandle) => until(async () => (await status(handle)).gate, 'a gate opens');
const inState = (handle: WorkflowHandle, state: string) =>
  until(async () => (await status(handle)).state === state, `state ${state}`);
const kinds = () => world.records.map(({ kind, outcome }) => (outcome ? `${kind} ${outcome}` : kind));

const decision = async (handle: WorkflowHandle, actor: string, overrides: Partial<DecideArgs> = {}) => {
  const { id, evidenceDigest } = await gateOpen(handle);
  return handle.executeUpdate('decide', {
    args: [
      {
        ...act(actor),
        gate: id,
        verdict: 'approve',
        onReject: 'hold',
        planHash: 'p'.repeat(64),
        evidenceDigest,
        ...overrides,
      } satisfies DecideArgs,
    ],
  });
};
/** Resolves when the node's workflow has received that signal: what a person asked for has arrived. */
const signalled = (node: string, signal: string) =>
  until(async () => {
    const id = nodeWorkflowId(world.clusterUid, `test-${world.clusterUid.slice(0, 6)}`, '1-test', node);
    const { events } = await world.client.workflow.getHandle(id).fetchHistory();
    return events?.some((event) => event.workflowExecutionSignaledEventAttributes?.signalName === signal);
  }, `${node} is told ${signal}`);
const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: { cause?: { type?: string } }) => error.cause?.type,
  );

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
      await new Promise((resolve) => setTimeout(resolve, 150));
      if (step.id === 'c') inFlight.delete(place.node);
    };

    await (await world.start()).result();

    expect(most).toEqual({ all: 4, zone: 2 });
  });
});

describe('a gate', () => {
  it('refuses the requester, a second decision of one person, another plan, other evidence and a closed gate', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: gate({ approvals: 2 }) }] });
    const handle = await world.start();

    expect(await refusal(decision(handle, 'ana'))).toBe('NotAllowed');
    expect(await refusal(decision(handle, 'ben', { planHash: 'x' }))).toBe('PlanHashMismatch');
    expect(await refusal(decision(handle, 'ben', { evidenceDigest: 'x' }))).toBe('EvidenceMismatch');
    expect(await refusal(decision(handle, 'ben', { gate: 'other' }))).toBe('GateClosed');
    await decision(handle, 'ben');
    expect(await refusal(decision(handle, 'ben'))).toBe('AlreadyDecided');
    await decision(handle, 'cleo');

    expect(await handle.result()).toBe('completed');
  });

  it('refuses an approval while its checks block', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: gate({ approvals: 1 }) }] });
    world.evidence = () => ({ checks: [], digest: 'e'.repeat(64), verdict: 'block', at: '' });
    const handle = await world.start();
    expect(await refusal(decision(handle, 'ben'))).toBe('ChecksFailed');

    await handle.executeUpdate('abort', { args: [{ ...act('ana'), mode: 'hold' }] });

    expect(await handle.result()).toBe('aborted');
    expect(kinds()).toContain('gate.closed interrupted');
  });

  it('refuses an approval of evidence that grew old, in one sentence, and takes it anew on request', async () => {
    const aged = gate({ evidenceMaxAgeSeconds: 1_800 });
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: aged }] });
    const taken = (digest: string, ageMs: number) => () => ({
      checks: [],
      digest: digest.repeat(64),
      verdict: 'pass' as const,
      at: new Date(Date.now() - ageMs).toISOString(),
    });
    world.evidence = taken('a', 41 * 60_000);
    const handle = await world.start();
    const message = await decision(handle, 'ben').then(
      () => 'accepted',
      (error: { cause?: { message?: string } }) => error.cause?.message,
    );
    const wrongGate = handle.executeUpdate('refresh', { args: [{ ...act('ben'), gate: 'after-nothing' }] });

    expect(message).toBe(
      'the evidence of gate after-canary is 41 min old, and the plan allows 30 min: take it anew with `cutover gates refresh after-canary`, read it, and decide again',
    );
    expect(await refusal(wrongGate)).toBe('GateClosed');

    world.evidence = taken('b', 0);
    await handle.executeUpdate('refresh', { args: [{ ...act('ben', 'it is old'), gate: 'after-canary' }] });
    await until(async () => (await status(handle)).gate?.evidenceDigest === 'b'.repeat(64), 'the newer is shown');
    await decision(handle, 'cleo');

    expect(await handle.result()).toBe('completed');
    expect(
      world.records
        .filter(({ kind }) => kind === 'gate.opened')
        .map(({ actor, reason = '', evidenceDigest }) => [actor, reason, evidenceDigest?.[0]]),
    ).toEqual([
      ['workflow', '', 'a'],
      ['ben', 'it is old', 'b'],
    ]);
  });

  it('lets approvals of older evidence count no more when it is taken anew', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: gate({ approvals: 2 }) }] });
    const handle = await world.start();
    await decision(handle, 'ben');

    await handle.executeUpdate('refresh', { args: [{ ...act('cleo'), gate: 'after-canary' }] });
    await until(async () => (await status(handle)).gate?.approvals.length === 0, 'the gate is open anew');
    await decision(handle, 'ben');
    await decision(handle, 'cleo');

    expect(await handle.result()).toBe('completed');
  });

  it('refuses an approval while its evidence is taken anew on request, in one sentence', async () => {
    world = await createWorld();
    const handle = await world.start();
    await gateOpen(handle);
    const newer = Promise.withResolvers<Evidence>();
    world.evidence = () => newer.promise;
    await handle.executeUpdate('refresh', { args: [{ ...act('ana'), gate: 'after-canary' }] });

    const message = await decision(handle, 'ben').then(
      () => 'accepted',
      (error: { cause?: { message?: string } }) => error.cause?.message,
    );
    newer.resolve({ checks: [], digest: 'e'.repeat(64), verdict: 'pass', at: new Date().toISOString() });
    await until(async () => (await status(handle)).gate?.evidenceDigest === 'e'.repeat(64), 'the newer is shown');
    await decision(handle, 'ben');

    expect(message).toBe(
      'the evidence of gate after-canary is being taken anew, as ana asked: what it says shows in a moment',
    );
    expect(await handle.result()).toBe('completed');
  });

  it('holds the migration when it is rejected, and opens again on resume', async () => {
    world = await createWorld();
    const handle = await world.start();
    await decision(handle, 'ben', { verdict: 'reject', reason: 'not tonight' });
    await inState(handle, 'paused');
    expect((await status(handle)).pause?.reason).toMatch('was rejected');

    await handle.executeUpdate('resume', { args: [act('ana')] });
    await decision(handle, 'ben');

    expect(await handle.result()).toBe('completed');
  });

  it('takes the wave back when it is rejected so, and the migration holds', async () => {
    world = await createWorld();
    const handle = await world.start();
    await decision(handle, 'ben', { verdict: 'reject', onReject: 'rollback-wave' });
    await inState(handle, 'paused');
    expect(world.journal.slice(-4)).toEqual([
      'worker-1 back c/node.undoC',
      'worker-1 back b/node.undoB',
      'worker-1 back verify-rollback/node.check',
      'worker-1 back a/node.undoA',
    ]);

    await handle.executeUpdate('rollBack', { args: [{ ...act('ana'), scope: { all: true } }] });

    expect(await handle.result()).toBe('rolled-back');
    expect(world.journal.at(-1)).toBe('cluster back prepare/cluster.unprepare');
  });

  it('lets a wave that was taken back run again, and then the rest', async () => {
    world = await createWorld();
    const handle = await world.start();
    await decision(handle, 'ben', { verdict: 'reject', onReject: 'rollback-wave' });
    await inState(handle, 'paused');

    await handle.executeUpdate('resume', { args: [act('ana', 'fixed')] });
    await decision(handle, 'ben');

    expect(await handle.result()).toBe('completed');
    expect(world.journal.filter((line) => line.endsWith('forward a')).map((line) => line.split(' ')[0])).toEqual([
      'worker-1',
      'worker-1',
      'worker-2',
      'worker-3',
    ]);
  });

  it('rolls the wave back by itself when nobody decides in time and the plan says so', async () => {
    world = await createWorld({
      waves: [{ id: 'all', nodes: ['worker-1'], gate: gate({ timeoutSeconds: 1, onTimeout: 'rollback-wave' }) }],
    });
    const handle = await world.start();
    await inState(handle, 'paused');

    expect(kinds()).toContain('gate.closed timed-out');
    expect(world.journal).toContain('worker-1 back a/node.undoA');
    await handle.executeUpdate('abort', { args: [{ ...act('ana'), mode: 'rollback' }] });
    expect(await handle.result()).toBe('aborted');
  });

  it('keeps a soaked gate closed until the soak is over although everybody approved', async () => {
    world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: gate({ soakSeconds: 2 }) }] });
    const handle = await world.start();
    const { soakUntil } = await gateOpen(handle);
    await decision(handle, 'ben');

    await handle.result();

    const closed = world.records.find(({ kind }) => kind === 'gate.closed')!;
    expect(Date.parse(closed.at)).toBeGreaterThanOrEqual(Date.parse(soakUntil));
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
