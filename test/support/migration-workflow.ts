import type { WorkflowHandle } from '@temporalio/client';
import type { ClusterStatus, DecideArgs } from '../../workflows/messages.ts';
import { until } from './until.ts';
import { act, type World } from './workflow-world.ts';

export const status = (handle: WorkflowHandle): Promise<ClusterStatus> => handle.query('status');
export const gateOpen = (handle: WorkflowHandle) => until(async () => (await status(handle)).gate, 'a gate opens');
export const inState = (handle: WorkflowHandle, state: string) =>
  until(async () => (await status(handle)).state === state, `state ${state}`);

/** Of `actor`, on the gate that is open or opens next, by what it shows. */
export const decision = async (handle: WorkflowHandle, actor: string, overrides: Partial<DecideArgs> = {}) => {
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

/** The type of the refusal. */
export const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: { cause?: { type?: string } }) => error.cause?.type,
  );

/** Of all records so far, with their outcomes. */
export const kindsOf = ({ records }: World): string[] =>
  records.map(({ kind, outcome }) => (outcome ? `${kind} ${outcome}` : kind));
