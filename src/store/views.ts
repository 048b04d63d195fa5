import type { Bundle } from '../checks/gate-bundle.ts';
import type { CheckResult, Verdict } from '../checks/types.ts';
import type { GateSpec } from '../plan/types.ts';
import type { MigrationState } from '../../workflows/messages.ts';

/** What pages and commands show: projections of the record. Plain JSON; times are ISO 8601 UTC, `` when there is none yet. */

export interface MigrationSummary {
  id: string;
  plan: { name: string; hash: string };
  cluster: { uid: string; server: string };
  /** `flannel`, `calico`: from the first stage to the last. */
  from: string;
  to: string;
  /** `requested` until a worker has started it. */
  state: MigrationState | 'requested';
  /** Since when it is in that state. */
  since: string;
  requester: string;
  reason: string;
  startedAt: string;
  endedAt: string;
  /** Last sentence about the whole migration. */
  message: string;
  /** Of the stage under way, or of the last one that began. */
  counts: NodeCounts;
  failures: number;
  failureBudget: number;
  pause: PauseView | null;
  /** Who has taken the cluster over, one sentence, while that is so; `` otherwise. */
  lostLease: string;
  /** Id of the open gate, `` when none is. */
  gate: string;
}

export interface NodeCounts {
  nodes: number;
  pending: number;
  inFlight: number;
  waiting: number;
  migrated: number;
  rolledBack: number;
  skipped: number;
  held: number;
}

export interface PauseView {
  actor: string;
  reason: string;
  at: string;
  scope: 'now' | 'node' | 'wave';
  /** False while nodes in flight go on: it is pausing. */
  tookEffect: boolean;
}

/** Something of Cutover's own that does not answer: while it lasts nothing is done, and nothing counts against a node. */
export interface Outage {
  /** The database of Cutover, or Temporal's server. */
  what: 'record' | 'temporal';
  /** ISO, when this server first noticed. */
  since: string;
  message: string;
  remedy: string;
}

export interface MigrationView extends MigrationSummary {
  /** Filled in by the server; a projection knows of none. */
  outages?: Outage[];
  openGate: GateView | null;
  stages: StageView[];
  /** Seconds still to go, by the plan's estimate and what was measured; waiting is soaks, never people. */
  remaining: { workSeconds: number; waitingSeconds: number };
  /** Seconds so far, split the same way; waiting includes people. */
  elapsed: { workSeconds: number; waitingSeconds: number };
  /** Of the last record that is in this view. */
  lastSeq: number;
}

export interface StageView {
  id: string;
  from: string;
  to: string;
  prepare: StepView[];
  waves: WaveView[];
  finalize: StepView[];
}

export interface StepView {
  id: string;
  title: string;
  state: 'pending' | 'running' | 'done' | 'failed' | 'undoing' | 'undone';
  startedAt: string;
  endedAt: string;
  attempt: number;
  message: string;
  /** See NodeView. */
  outage: string;
}

export interface WaveView {
  id: string;
  state: 'pending' | 'running' | 'rolling-back' | 'done' | 'incomplete' | 'rolled-back';
  startedAt: string;
  endedAt: string;
  nodes: NodeView[];
  gate: {
    id: string;
    state: 'pending' | 'open' | 'passed' | 'rejected' | 'timed-out' | 'interrupted';
    by: string;
  } | null;
}

export type NodeState =
  'pending' | 'running' | 'rolling-back' | 'waiting' | 'migrated' | 'rolled-back' | 'skipped' | 'held';

export interface NodeView {
  name: string;
  zone: string;
  state: NodeState;
  /** Title of the step that runs now or ran last. */
  step: string;
  stepId: string;
  /** When that step began. */
  stepSince: string;
  /** While it stands still before that step, until when; `` otherwise. */
  soakUntil: string;
  /** Tries of the whole node; 2 after a rollback. */
  nodeAttempt: number;
  /** Tries of the step that runs. */
  attempt: number;
  startedAt: string;
  endedAt: string;
  /** What went wrong last, or what was done. */
  message: string;
  remedy: string;
  /** What the step that runs waits for because Cutover cannot reach it, one sentence; `` when there is no such outage. */
  outage: string;
  /** How often it was rolled back. */
  rollbacks: number;
}

export interface GateView {
  id: string;
  migration: string;
  planHash: string;
  stage: string;
  wave: string;
  state: 'open' | 'passed' | 'rejected' | 'timed-out' | 'interrupted';
  openedAt: string;
  closedAt: string;
  soakUntil: string;
  /** `` when it waits for ever. */
  expiresAt: string;
  spec: GateSpec;
  evidence: {
    digest: string;
    verdict: Verdict;
    at: string;
    /** ISO: after this it must be taken anew before anybody approves; `` when it does not grow old. */
    expiresAt: string;
    checks: CheckResult[];
    /** Of a gate of an older plan there is none. */
    bundle: Bundle | null;
  };
  /** What is different from the evidence before, of this gate or of the gate before it; one sentence each. */
  changes: { since: string; what: string[] } | null;
  decisions: { actor: string; verdict: 'approve' | 'reject'; reason: string; at: string }[];
  /** Nodes that should be on the new network by now and are not. */
  missing: string[];
  /** What must still happen before it opens, one sentence each; empty when nothing. */
  needs: string[];
  /** What happens without a decision. */
  atTimeout: string;
  message: string;
}

export interface NodeHistory {
  migration: string;
  node: string;
  state: NodeState;
  nodeAttempts: number;
  startedAt: string;
  endedAt: string;
  entries: HistoryEntry[];
  /** What the time of the last try went to, forward, longest first; empty when it did not come to its end. */
  timeWentTo: { what: string; ms: number }[];
}

export interface HistoryEntry {
  seq: number;
  at: string;
  kind: string;
  /** What a person reads: the title of the step, or what happened. */
  title: string;
  actor: string;
  direction: 'forward' | 'back' | '';
  nodeAttempt: number;
  attempt: number;
  outcome: string;
  durationMs: number | null;
  /** Of `durationMs`, what passed waiting for something that is not Cutover. */
  waitsMs: { [what: string]: number };
  message: string;
  remedy: string;
  /** Only checks that are no pass. */
  checks: CheckResult[];
}
