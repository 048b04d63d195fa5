import type { CheckResult } from '../checks/types.ts';
import type { Capture } from '../probe/capture/types.ts';
import type { CaptureJudgement } from '../probe/capture/judge.ts';
import type { MigrationSummary, NodeView } from '../store/views.ts';
import type { CostEstimate } from './cost.ts';

/**
 * What a change board has to know about one migration. Plain JSON: the page and the Markdown are drawn from it and carry the same
 * facts. Times are ISO 8601 UTC, `` when there is none.
 */
export type Report = {
  /** ISO, when it was made. */
  at: string;
  migration: {
    id: string;
    plan: { name: string; hash: string };
    cluster: { uid: string; server: string };
    state: MigrationSummary['state'];
    requester: string;
    reason: string;
    startedAt: string;
    endedAt: string;
    /** Waiting is for people, gates and pauses. */
    elapsed: { workSeconds: number; waitingSeconds: number };
    message: string;
  };
  /** The whole in sentences, the most important first. */
  summary: { text: string; tone: 'good' | 'bad' | 'neutral' }[];
  versions: {
    kubernetes: string;
    kubelets: string[];
    runtimes: string[];
    kernels: string[];
    /** Images that the plan's bundles bring. */
    images: string[];
    bundles: { name: string; sha256: string }[];
  };
  stages: ReportStage[];
  acts: Act[];
  gates: ReportGate[];
  checks: ChecksOfReport;
  nodes: ReportNode[];
  /** What went wrong on the way, and was taken back or tried again. */
  trouble: { failures: number; failureBudget: number; rollbacks: number; retries: number; skipped: string[] };
  bystanders: Bystanders | null;
  captures: CaptureReport[];
  cost: CostEstimate | null;
  record: {
    ok: boolean;
    /** Of everything, and of this migration. */
    records: number;
    ofMigration: number;
    head: { seq: number; hash: string };
    problems: string[];
  };
};

export type ReportStage = {
  id: string;
  route: string;
  title: string;
  from: string;
  to: string;
  /** In the order in which they ran: prepare, waves, finalize. */
  parts: {
    id: string;
    kind: 'prepare' | 'wave' | 'finalize';
    state: string;
    nodes: number;
    startedAt: string;
    endedAt: string;
  }[];
};

/** Something that a person did. */
export type Act = {
  at: string;
  actor: string;
  /** `approved the gate`, `asked for a pause`. */
  what: string;
  about: string;
  reason: string;
  /** Digest of the evidence that the person saw. */
  evidenceDigest: string;
};

export type ReportGate = {
  id: string;
  stage: string;
  wave: string;
  state: string;
  openedAt: string;
  closedAt: string;
  verdict: string;
  digest: string;
  decisions: { actor: string; verdict: string; reason: string; at: string }[];
  /** Checks that were no pass. */
  findings: Finding[];
};

export type Finding = Pick<CheckResult, 'id' | 'verdict' | 'message'> & {
  node: string;
  remedy: string;
  /** Why it was accepted, when somebody did. */
  acknowledged: string;
};

export type ChecksOfReport = {
  /** Answers of checks, in all steps and gates and in the preflight. */
  asked: number;
  passed: number;
  warned: number;
  blocked: number;
  /** Each check that was no pass, the newest answer of each node. */
  findings: (Finding & { at: string; times: number })[];
};

export type ReportNode = Pick<NodeView, 'name' | 'zone' | 'state' | 'rollbacks' | 'message'> & {
  stage: string;
  wave: string;
  controlPlane: boolean;
  attempts: number;
  /** From its first step to its end, with soak; null before its end. */
  seconds: number | null;
};

/** What stood still saw, from the evidence of gates. */
export type Bystanders = {
  lost: number;
  /** The longest that one path was without an answer. */
  secondsUnreachable: number;
  brokenConnections: number;
  /** Packets lost of nodes on their way, which is expected. */
  movingLost: number;
  /** `` for those of the whole cluster. */
  rows: {
    service: string;
    from: string;
    to: string;
    lost: number;
    secondsUnreachable: number;
    brokenConnections: number;
  }[];
};

export type CaptureReport = {
  stage: string;
  title: string;
  before: Capture | null;
  after: Capture | null;
  judgement: CaptureJudgement;
};
