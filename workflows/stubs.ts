import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { SupportActivities, VerbInput, VerbResult } from '../activities/types.ts';
import type { Step, StepPlace } from '../src/plan/types.ts';
import { isWorkerLost } from './failures.ts';

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

// Waits for the nodes of a wave that was ended outside of Cutover: as long as they take.
export const orphaned = proxyActivities<Pick<SupportActivities, 'awaitNodes'>>({
  startToCloseTimeout: '90 days',
  heartbeatTimeout: '15s',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
});

// Checks as evidence: they ask the whole cluster; a verdict is no error, and what cannot be reached is waited for.
export const judging = proxyActivities<Pick<SupportActivities, 'gatherEvidence'>>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '15s',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
});

// A person waits for these at a prompt: fail soon, with the reason.
export const inspecting = proxyActivities<
  Pick<SupportActivities, 'observeCluster' | 'policyReport' | 'preflight' | 'takeLease' | 'giveBackLease'>
>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '15s',
  retry: { maximumAttempts: 2 },
});

/** Seconds without a heartbeat after which Temporal takes the worker for dead and gives the step to another. */
const heartbeatTimeout = '15s';

/** Undo runs against what may be half way: more time and more tries than a step forward. */
export const undoPatience = { timeoutSeconds: 900, attempts: 5 } as const;

/** How often a step is run again because its worker was lost, before that counts as its failure: some hours of crashes. */
const lostWorkers = 200;

/**
 * The step's own time is kept by the wrapper, which leaves out outages: the store or the API server may be away for hours,
 * and that is no failure of the step. Temporal's limit is only there because it asks for one.
 */
const withOutages = '90 days';

type Call = Pick<Step, 'id' | 'title' | 'verb' | 'with' | 'verify' | 'timeoutSeconds' | 'attempts'>;

/**
 * Runs one verb. The wrapper around every verb heartbeats, so a lost worker shows within seconds whatever the step's own
 * time is; such a loss is not the step's failure. Cancellation is waited for: a verb must have stopped before its undo.
 */
export async function runVerb(
  step: Call,
  { place, direction, nodeAttempt }: { place: StepPlace; direction: 'forward' | 'back'; nodeAttempt: number },
): Promise<void> {
  const verbs = proxyActivities<Record<string, (input: VerbInput) => Promise<VerbResult>>>({
    startToCloseTimeout: withOutages,
    heartbeatTimeout,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { initialInterval: '1s', maximumInterval: '15s', maximumAttempts: step.attempts ?? 3 },
    summary: place.node ? `${place.node}: ${step.title}` : step.title,
  });
  const { id, title, with: args = {}, verify = [], timeoutSeconds = 300 } = step;
  for (let lost = 0; ; lost++) {
    try {
      await verbs[step.verb]!({
        place,
        step: { id, title, direction, timeoutSeconds },
        nodeAttempt,
        with: args,
        verify,
      });
      return;
    } catch (error) {
      if (!isWorkerLost(error) || lost >= lostWorkers) throw error;
    }
  }
}
