import { ActivityFailure, ApplicationFailure, TimeoutFailure, isCancellation, rootCause } from '@temporalio/workflow';
import type { CheckResult } from '../src/checks/types.ts';
import type { ErrorType } from '../src/errors.ts';

/** Why a step failed, as plain JSON for records and sentences. */
export interface StepFailure {
  type: ErrorType;
  message: string;
  remedy?: string;
}

/** Failures that the same attempt would meet again: a person has to look first. */
const needsPerson: readonly ErrorType[] = [
  'DriftFound',
  'HostKeyMismatch',
  'DrainBlocked',
  'NotAllowed',
  'PlanInvalid',
  'RecordBroken',
  'NodeUnreachable',
  'LeaseLost',
];

/** The node cannot be reached: whether it or the way to it is at fault is not known, so it does not count against the node. */
export const isOutOfReach = ({ type }: StepFailure): boolean => type === 'NodeUnreachable';

/** The cluster is another's: it is no failure of the node, nothing is taken back, and a person decides. */
export const isLeaseLost = ({ type }: StepFailure): boolean => type === 'LeaseLost';

export const waitsForPerson = (failure: StepFailure): boolean => needsPerson.includes(failure.type);

/** The type of what interceptors.ts throws for a result that no worker of ours made: the step is run again. */
export const forgedResult = 'ForgedResult';

/**
 * The worker died, lost its connection, or was shut down under the step: not the step's failure, so it is run again.
 * An activity that a shutting-down worker cancels is reported as failed, although nobody cancelled it.
 */
export function isWorkerLost(error: unknown): boolean {
  if (error instanceof ApplicationFailure && error.type === forgedResult) return true;
  if (!(error instanceof ActivityFailure)) return false;
  const { cause } = error;
  if (cause instanceof TimeoutFailure) return cause.timeoutType === 'HEARTBEAT';
  return cause instanceof ApplicationFailure && (cause.type === 'WorkerShutdown' || cause.type === 'CancelledFailure');
}

/** @param error what an activity call threw; cancellation is not a failure and is thrown on */
export function failureOf(error: unknown, step: string): StepFailure {
  if (isCancellation(error)) throw error;
  if (error instanceof ActivityFailure && error.cause instanceof TimeoutFailure)
    return { type: 'StepTimedOut', message: `${step} took longer than it may` };
  if (error instanceof ActivityFailure && error.cause instanceof ApplicationFailure) {
    const [details] = (error.cause.details ?? []) as { remedy?: string; checks?: CheckResult[] }[];
    const remedy = details?.remedy;
    return {
      type: (error.cause.type ?? 'Internal') as ErrorType,
      message: error.cause.message,
      ...(remedy === undefined ? {} : { remedy }),
    };
  }
  return { type: 'Internal', message: rootCause(error) ?? String(error) };
}

/** Tells a workflow something that it need not hear any more: it has ended, or was ended outside of Cutover. @returns whether it heard */
export async function tellIfThere(signal: Promise<void>): Promise<boolean> {
  try {
    await signal;
    return true;
  } catch (error) {
    if (isCancellation(error)) throw error;
    return false;
  }
}

/** Refuses an update; the type is one of `src/errors.ts`, so the server can answer with its status and remedy. */
export const refuse = (type: ErrorType, message: string): ApplicationFailure =>
  ApplicationFailure.create({ type, message, nonRetryable: true });
