import type { CompiledPlan, GateSpec, Step } from '../src/plan/types.ts';

/**
 * What goes into workflows and comes out of them. Plain JSON only: types, no code, so that the server and the tests
 * can import this file without loading a workflow.
 */

/** Update arguments: who, why, and an id that makes a second delivery harmless. */
export interface Act {
  actor: string;
  reason: string;
  /** ISO 8601, when the server accepted it. */
  at: string;
}

export interface DecideArgs extends Act {
  gate: string;
  verdict: 'approve' | 'reject';
  /** What a rejection does: stop and hold, or take the wave before the gate back. */
  onReject: 'hold' | 'rollback-wave';
  planHash: string;
  evidenceDigest: string;
  /** Passes a gate although nodes that should be on the new network are not; the reason is this person's. */
  incomplete?: boolean;
}

export interface RefreshArgs extends Act {
  gate: string;
}

export interface PauseArgs extends Act {
  scope: 'now' | 'node' | 'wave';
}

export interface AbortArgs extends Act {
  /** What happens to the nodes in flight. `rollback` also takes back nothing that is done; see `rollBack` for that. */
  mode: 'rollback' | 'hold';
}

export interface RollBackArgs extends Act {
  scope: { node: string } | { wave: string } | { all: true };
}

export interface NodeArgs extends Act {
  node: string;
}

/**
 * Names of the updates of `migrate-cluster`. Everything that a person does goes to that one workflow, whose id is the
 * lock of the cluster; it passes on what concerns a wave or a node. Refusals are ApplicationFailures with a type of
 * `src/errors.ts`.
 */
export type ClusterUpdate = 'decide' | 'refresh' | 'pause' | 'resume' | 'abort' | 'rollBack' | 'retryNode' | 'skipNode';

export interface MigrateClusterInput {
  migration: string;
  planHash: string;
  clusterUid: string;
  requester: string;
  /** ISO, when the server asked for it; absent in tests. */
  requestedAt?: string;
  /** Where the last run stopped; absent at the start. Carried through continue-as-new. */
  carry?: ClusterCarry;
  /** Events after which the migration goes on as a new run, between two waves. Default 2,000; tests use less. */
  historyLimit?: number;
}

/** Plain JSON: continue-as-new turns a Map or a Set into `{}`. */
export interface ClusterCarry {
  version: 1;
  stage: number;
  phase: 'prepare' | 'waves' | 'finalize';
  /** Index of the next prepare step, wave or finalize step. */
  index: number;
  failures: number;
  /** Failures that a person has accepted by resuming. */
  forgiven: number;
  pause: PauseArgs | null;
  /** Nodes of finished waves that are still on the old network: skipped or rolled back. */
  leftovers: string[];
  /** The wave at `index` has run: what it left runs again, and nothing that is migrated. */
  again?: boolean;
  /** Of the leftovers, those that were left as they were, perhaps half way; the others are on the old network. */
  held?: string[];
  /** The gate before the step at `index` that has let the migration pass. */
  gatePassed?: string;
  /** Counts the runs of waves after the first of each: part of their ids. */
  turn: number;
}

export type MigrationState =
  | 'preparing'
  | 'migrating'
  | 'at-gate'
  | 'pausing'
  | 'paused'
  | 'rolling-back'
  | 'aborting'
  | 'finalizing'
  | 'completed'
  | 'aborted'
  | 'rolled-back';

/** Answer of the query `status`. The server shows projections of the record instead; this is for `why` and tests. */
export interface ClusterStatus {
  state: MigrationState;
  stage: string;
  wave: string;
  failures: number;
  pause: PauseArgs | null;
  gate: OpenGate | null;
  /** Nodes that wait for a person: name -> why. */
  waiting: { [node: string]: string };
}

export interface OpenGate {
  /** The gate's id in the plan: `after-canary`. */
  id: string;
  spec: GateSpec;
  openedAt: string;
  /** ISO; the gate cannot pass before. */
  soakUntil: string;
  /** ISO, or `` when it waits for ever. */
  expiresAt: string;
  evidenceDigest: string;
  evidenceVerdict: 'pass' | 'warn' | 'block';
  /** ISO, when that evidence was taken. */
  evidenceAt?: string;
  /** Who asked for newer evidence, until that is shown: what is approved meanwhile would be the older. */
  askedAnewBy?: string | undefined;
  approvals: { actor: string; at: string; reason: string }[];
  /** Nodes that should be on the new network by now and are not: an approval alone does not pass such a gate. */
  missing?: string[];
}

export interface MigrateWaveInput {
  migration: string;
  planHash: string;
  clusterUid: string;
  stage: string;
  /** The wave in the plan. */
  wave: string;
  /** 0 for the first run; part of the ids. */
  turn: number;
  direction: 'forward' | 'back';
  /** Only these nodes of the wave; all when absent. */
  only?: string[];
  /** Not these. */
  except?: string[];
  /** Nodes of all waves that are on the old network although their wave has run. */
  leftovers: string[];
  failures: number;
  forgiven: number;
  pause: PauseArgs | null;
  /** See ClusterCarry. */
  held?: string[];
}

export interface WaveResult {
  /** The leftovers of the input, less what this run migrated, plus what it left or took back. */
  leftovers: string[];
  migrated: number;
  /** Nodes of this run that are not on the new network; absent in results of older workflows. */
  left?: string[];
  failures: number;
  forgiven: number;
  /** Of the leftovers, those that were left as they were; absent in results of older workflows. */
  held?: string[];
}

export interface MigrateNodeInput {
  migration: string;
  planHash: string;
  clusterUid: string;
  stage: string;
  wave: string;
  node: string;
  zone: string;
  direction: 'forward' | 'back';
  steps: Step[];
  verifyRollback: string[];
  strategy: CompiledPlan['strategy'];
  pause: PauseArgs | null;
}

export type NodeOutcomeState = 'migrated' | 'rolled-back' | 'skipped' | 'held';

export interface NodeOutcome {
  node: string;
  /** `held`: the migration was aborted and the node left as it was, cordoned. */
  state: NodeOutcomeState;
  nodeAttempts: number;
  failures: number;
}

/** What a node tells its wave while it runs. */
export interface NodeNews {
  node: string;
  kind: 'failed' | 'waiting' | 'wants-slot' | 'goes-on' | 'held' | 'unheld';
  /** With `waiting`: whether the node still takes a slot, because it is not in service. */
  outOfService?: boolean;
  message?: string;
}

/** What a person decided for a node that waits. */
export interface NodeDecision extends Act {
  what: 'retry' | 'skip' | 'roll-back';
}
