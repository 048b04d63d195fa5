import type { Evidence, ObserveInput, PolicyReportInput, TakeLeaseInput, TakenLease } from '../../activities/types.ts';
import type { ClusterUpdate, MigrateClusterInput } from '../../workflows/messages.ts';
import type { Act } from '../../workflows/messages.ts';
import type { Json } from '../json.ts';

/**
 * All that the server asks of Temporal. The real thing is `temporal-control.ts`; tests put a double here.
 * Every method throws CutoverError: what a workflow refused by its own type, TemporalUnreachable otherwise.
 */
export interface MigrationControl {
  /** Has a worker read the cluster. Answers the digest under which the store has the ClusterFacts. */
  observe(input: ObserveInput, request: RequestOf): Promise<string>;
  /** Has a worker judge the policies of the cluster of a stored plan. Answers the digest of the stored PolicyReport. */
  policy(input: PolicyReportInput, request: RequestOf): Promise<string>;
  /** Has a worker run the preflight checks of a stored plan. */
  preflight(planHash: string, request: RequestOf): Promise<Evidence>;
  /** Has a worker take the lease of the plan's cluster. @throws CutoverError LeaseHeld | MigrationRunning */
  takeLease(input: TakeLeaseInput, request: RequestOf): Promise<TakenLease>;
  /** Has a worker give it back, for a migration that does not start. */
  giveBackLease(input: { planHash: string; migration: string }, request: RequestOf): Promise<void>;
  /** @throws CutoverError MigrationRunning, with `details.migration` naming the one that holds the cluster */
  start(input: MigrateClusterInput, request: RequestOf): Promise<void>;
  /** Sends an update to the migration of that cluster and answers what its handler said: one sentence, or the gate. */
  update<A extends Act>(target: UpdateTarget, name: ClusterUpdate, args: A, request: RequestOf): Promise<Json>;
  /** Whether Temporal answers. @throws CutoverError TemporalUnreachable */
  ping(): Promise<void>;
  /** What Temporal says about the activities that a workflow waits for now; empty when it is not running. */
  pending(workflowId: string): Promise<PendingActivity[]>;
}

/** The id makes a repeat harmless; the actor shows in Temporal's own history. */
export interface RequestOf {
  id: string;
  actor: string;
}

export interface UpdateTarget {
  clusterUid: string;
  /** Guards against acting on a later migration of the same cluster: both have the same workflow id. */
  migration: string;
}

export interface PendingActivity {
  /** The verb. */
  name: string;
  state: 'scheduled' | 'started' | 'cancelling' | 'paused';
  attempt: number;
  /** 0 for no limit. */
  maximumAttempts: number;
  lastFailure?: { type: string; message: string };
  /** First heartbeat detail of the running attempt. */
  heartbeat?: Json;
  /** ISO; absent when the time is not known. */
  startedAt?: string;
  nextAttemptAt?: string;
  worker?: string;
}
