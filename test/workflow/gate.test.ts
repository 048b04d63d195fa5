import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Evidence } from '../../activities/types.ts';
import { recordHistories } from '../support/histories.ts';
import { decision, gateOpen, inState, kindsOf, refusal, status } from '../support/migration-workflow.ts';
import { until } from '../support/until.ts';
import { act, createWorld, gate, stopTemporal, type World } from '../support/workflow-world.ts';

let world: World;
afterEach(async ({ task }) => {
  await recordHistories(world, task.name);
  await world.stop();
});
afterAll(stopTemporal);

const kinds = () => kindsOf(world);

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
