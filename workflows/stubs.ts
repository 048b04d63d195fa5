import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { SupportActivities, VerbInput, VerbResult } from '../activities/types.ts';
import type { Step } from '../src/plan/types.ts';

/** One stub for each class of retry and cancellation, each with its reason. */

// Writing a record must not be given up: nothing goes on unrecorded. Short, so that a stuck disk shows.
export const recording = proxyActivities<Pick<SupportActivities, 'record'>>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '500ms', maximumInterval: '30s' },
});

// Reads of the store: quick, harmless, worth any number of tries while the worker's disk recovers.
export const loading = proxyActivities<Pick<SupportActivities, 'loadWave' | 'loadOutline'>>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '500ms', maximumInterval: '30s' },
});

// Checks as evidence: they ask the whole cluster; a verdict is no error, so few tries do.
export const judging = proxyActivities<Pick<SupportActivities, 'gatherEvidence'>>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '15s',
  retry: { maximumAttempts: 5 },
});

// A person waits for these at a prompt: fail soon, with the reason.
export const inspecting = proxyActivities<Pick<SupportActivities, 'observeCluster' | 'preflight'>>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '15s',
  retry: { maximumAttempts: 2 },
});

/** Seconds without a heartbeat after which Temporal takes the worker for dead and gives the step to another. */
const heartbeatTimeout = '15s';

/**
 * The stub of one step. The wrapper around every verb heartbeats, so a lost worker shows within seconds whatever the
 * step's own time is; cancellation is waited for, because a verb must have stopped before its undo begins.
 */
export function verbOf(step: Pick<Step, 'verb' | 'timeoutSeconds' | 'attempts'>, summary: string): (input: VerbInput) => Promise<VerbResult> {
  const verbs = proxyActivities<Record<string, (input: VerbInput) => Promise<VerbResult>>>({
    startToCloseTimeout: `${step.timeoutSeconds ?? 300}s`,
    heartbeatTimeout,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { initialInterval: '1s', maximumInterval: '15s', maximumAttempts: step.attempts ?? 3 },
    summary,
  });
  return verbs[step.verb]!;
}
