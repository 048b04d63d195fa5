import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { WorkflowHandle } from '@temporalio/client';
import { connect } from '../../src/temporal/connect.ts';
import { clusterWorkflowId, nodeWorkflowId } from '../../src/temporal/ids.ts';
import { decision, gateOpen, inState, refusal, status } from '../support/migration-workflow.ts';
import { until } from '../support/until.ts';
import { act, createWorld, gate, stopTemporal, temporal, testKeys, type World } from '../support/workflow-world.ts';

/** Somebody who reaches Temporal, and has no key or another one. */
let stranger: Awaited<ReturnType<typeof connect>>;
let world: World;
beforeEach(async () => {
  world = await createWorld({ waves: [{ id: 'all', nodes: ['worker-1'], gate: gate() }], keys: testKeys });
  const { server } = await temporal();
  stranger = await connect({ address: server.address, namespace: 'default' });
});
afterEach(async () => {
  await stranger.connection.close();
  await world.stop();
});
afterAll(stopTemporal);

const asStranger = (handle: WorkflowHandle): WorkflowHandle => stranger.client.workflow.getHandle(handle.workflowId);

describe('whoever reaches Temporal without the key', () => {
  it('can neither act nor read, and the migration goes on', async () => {
    const handle = await world.start();
    const { evidenceDigest } = await gateOpen(handle);
    const forged = asStranger(handle);
    const approval = {
      ...act('ben', 'a forged reason'),
      gate: 'after-canary',
      verdict: 'approve',
      onReject: 'hold',
      planHash: 'p'.repeat(64),
      evidenceDigest,
    };

    expect(await refusal(forged.executeUpdate('decide', { args: [approval] }))).not.toBe('accepted');
    expect(await refusal(forged.executeUpdate('pause', { args: [{ ...act('ben'), scope: 'now' }] }))).not.toBe(
      'accepted',
    );
    await forged.signal('budgetSpent', 99);
    await forged.signal('waveQuiet');
    await forged.signal('nodeWaits', 'worker-1', 'it waits');
    expect(await status(handle)).toMatchObject({ failures: 0, pause: null, waiting: {}, gate: { approvals: [] } });

    await decision(handle, 'ben', { reason: 'what only approvers know' });
    expect(await handle.result()).toBe('completed');
    for (const id of [
      handle.workflowId,
      nodeWorkflowId(world.clusterUid, `test-${world.clusterUid.slice(0, 6)}`, '1-test', 'worker-1'),
    ]) {
      const history = historyToJSON(await world.client.workflow.getHandle(id).fetchHistory());
      const told = [
        history,
        Buffer.from(history.replaceAll(/[^A-Za-z0-9+/=]+/g, ''), 'base64').toString('latin1'),
      ].join();
      for (const secret of ['what only approvers know', 'evidenceDigest', 'requester', 'maxUnavailable'])
        expect(told, secret).not.toContain(secret);
    }
  });

  it('cannot start anything, nor hold the lock of a cluster with it', async () => {
    const workflowId = clusterWorkflowId(randomUUID());
    const args = [{ migration: 'forged', planHash: 'p'.repeat(64), clusterUid: 'x', requester: 'ben' }];
    const forged = await stranger.client.workflow.start('migrateCluster', {
      taskQueue: world.taskQueue,
      workflowId,
      args,
    });

    await expect(forged.result()).rejects.toThrow();
    expect(await forged.describe().then(({ status: of }) => of.name)).toBe('FAILED');
    expect(world.records).toEqual([]);
    expect(world.journal).toEqual([]);
  });

  it('cannot send a copy of what was sent before', async () => {
    const handle = await world.start();
    await gateOpen(handle);
    const request = randomUUID();
    const args: [object] = [{ ...act('ana'), scope: 'now', request }];
    await handle.executeUpdate<string, typeof args>('pause', { args, updateId: request });
    await inState(handle, 'paused');
    await handle.executeUpdate('resume', { args: [act('ana')] });
    await gateOpen(handle);

    const { events } = await handle.fetchHistory();
    const captured = events!
      .map(({ workflowExecutionUpdateAcceptedEventAttributes: accepted }) => accepted?.acceptedRequest?.input)
      .find((input) => input?.name === 'pause')!;
    const answer = await stranger.connection.workflowService.updateWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId: handle.workflowId },
      request: { meta: { updateId: randomUUID(), identity: 'x' }, input: captured },
      waitPolicy: { lifecycleStage: 3 },
    });

    expect(answer.outcome?.failure).toBeTruthy();
    expect((await status(handle)).pause).toBeNull();
    await decision(handle, 'ben');
    await until(async () => (await handle.describe()).status.name === 'COMPLETED', 'it completes');
  });
});
