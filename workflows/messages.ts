import type { GateSpec } from '../src/plan/types.ts';

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

/** Names of updates, as the server sends them to `migrate-cluster`. */
export type ClusterUpdate = 'decide' | 'pause' | 'resume' | 'abort' | 'rollBack';
/** Names of updates, as the server sends them to `migrate-node` while it waits for a person. */
export type NodeUpdate = 'retryNode' | 'skipNode' | 'rollBackNode';

export interface MigrateClusterInput {
  migration: string;
  planHash: string;
  clusterUid: string;
  requester: string;
  /** Where the last run stopped; absent at the start. Carried through continue-as-new. */
  carry?: ClusterCarry;
}

export interface ClusterCarry {
  version: 1;
  stage: number;
  wave: number;
  phase: 'prepare' | 'waves' | 'finalize';
  failures: number;
  pause: PauseArgs | null;
  skipped: string[];
  rolledBack: string[];
  recordSeq: number;
}

export type MigrationState =
  | 'preparing' | 'migrating' | 'at-gate' | 'pausing' | 'paused' | 'rolling-back' | 'aborting' | 'finalizing'
  | 'completed' | 'aborted' | 'rolled-back' | 'failed';

export interface ClusterStatus {
  state: MigrationState;
  stage: string;
  wave: string;
  failures: number;
  pause: PauseArgs | null;
  gate: OpenGate | null;
}

export interface OpenGate {
  spec: GateSpec;
  /** `<stage>:<gate id>`; unique in the migration. */
  id: string;
  openedAt: string;
  evidenceDigest: string;
  evidenceVerdict: 'pass' | 'warn' | 'block';
  approvals: { actor: string; at: string; reason: string }[];
}

export type NodeOutcomeState = 'migrated' | 'rolled-back' | 'skipped';

export interface NodeOutcome {
  node: string;
  state: NodeOutcomeState;
  nodeAttempts: number;
  failures: number;
}
