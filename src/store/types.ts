import type { Json, JsonObject } from '../json.ts';
import type { CheckResult } from '../checks/types.ts';

/** What happened, in the past tense. The audit log is a list of these, append-only and chained by hash. */
export const recordKinds = [
  'plan.compiled',
  'preflight.ended',
  'migration.requested',
  'migration.started',
  'migration.ended',
  'wave.started',
  'wave.ended',
  'node.started',
  'node.waiting',
  'node.resumed',
  'node.ended',
  'step.began',
  'step.waiting',
  'step.resumed',
  'step.ended',
  'gate.opened',
  'decision.requested',
  'refresh.requested',
  'gate.decided',
  'gate.closed',
  'pause.requested',
  'pause.took-effect',
  'resume.requested',
  'resumed',
  'abort.requested',
  'rollback.requested',
  'retry.requested',
  'skip.requested',
  'attempt.refused',
  'lease.lost',
  'lease.held',
] as const;
export type RecordKind = (typeof recordKinds)[number];

/**
 * What a step may wait for: pods (their grace, budgets, becoming Ready), an agent (its pod to come or go), the runtime (to
 * load a conf), and the network to answer checks.
 */
export type Wait = 'pods' | 'agent' | 'runtime' | 'checks';

/** What a caller gives; the store adds `seq`, `prev` and `hash`. */
export interface RecordInput {
  /** Idempotency key: a second append with the same key returns the first record and writes nothing. */
  key: string;
  kind: RecordKind;
  /** ISO 8601, UTC, milliseconds. */
  at: string;
  /** Who: a person's name, or `worker:<identity>`, or `workflow`. */
  actor: string;
  migration?: string;
  planHash?: string;
  stage?: string;
  wave?: string;
  node?: string;
  /** Id of the step, and whether it goes forward or back. */
  step?: string;
  direction?: 'forward' | 'back';
  attempt?: number;
  /** Which try of the node (1, then 2 after a rollback, …). */
  nodeAttempt?: number;
  /** How it ended: `ok`, `failed`, a node's or gate's end state. */
  outcome?: string;
  durationMs?: number;
  /** Of `durationMs`, what passed waiting for something that is not Cutover. */
  waitsMs?: { [what in Wait]?: number };
  /** One sentence for people. */
  message?: string;
  /** Why a person did it. */
  reason?: string;
  checks?: CheckResult[];
  evidence?: Json;
  /** SHA-256 of the canonical JSON of `checks` and `evidence`. */
  evidenceDigest?: string;
  error?: { type: string; message: string; remedy?: string };
}

export interface AuditRecord extends RecordInput {
  /** 1, 2, 3 … without a gap. */
  seq: number;
  /** `hash` of the record before, 64 zeros for the first. */
  prev: string;
  /** SHA-256 of the canonical JSON of this record without `hash`. */
  hash: string;
}

export interface RecordFilter {
  migration?: string;
  node?: string;
  gate?: string;
  kind?: RecordKind[];
  actor?: string;
  afterSeq?: number;
  limit?: number;
}

export interface VerifyReport {
  ok: boolean;
  records: number;
  head: { seq: number; hash: string };
  /** One sentence each: which record, what is wrong. */
  problems: string[];
  /** What the anchor outside covers, when one is configured and can be read back. */
  outside?: OutsideCover;
}

/** Where the record ends, sealed with its key: what the anchor beside the database and the one outside hold. */
export interface SealedHead {
  seq: number;
  hash: string;
  /** How many documents are stored. */
  documents: number;
  /** ISO 8601: when it was sealed. */
  at: string;
  /** HMAC-SHA-256 of the rest. */
  mac: string;
}

export interface OutsideCover {
  /** As configured: `file:…`, `git:…`, `https://…`. */
  target: string;
  /** How many heads it holds. */
  entries: number;
  /** Records 1 to `seq` are as they were at `at` (ISO 8601); 0 and `` when it holds none. */
  seq: number;
  at: string;
  /** When the first head was kept, ISO 8601; `` when there is none. */
  since: string;
}

/** A head that a person noted: `hash` alone is found wherever it stands in the chain. */
export interface NotedHead {
  seq?: number;
  hash: string;
}

/** What is kept by its digest, beside the records. */
export type DocumentKind = 'plan' | 'facts' | 'bundle' | 'policy-report' | 'installation';

/** Plans by hash, blobs by digest, records in order. Synchronous: SQLite in this process. */
export interface Store {
  append(input: RecordInput): AuditRecord;
  records(filter?: RecordFilter): AuditRecord[];
  /** Calls back soon after records were appended, by this process or another. Returns the way to stop it. */
  subscribe(onNews: () => void): () => void;
  /** @throws CutoverError StoreUnusable when nothing could be appended now: read-only, full, locked by another process */
  probe(): void;
  /** @param noted a head that was written down elsewhere, which the chain has to contain */
  verify(noted?: NotedHead): VerifyReport;
  /** Where the record ends now, sealed with its key. */
  head(): SealedHead;
  /** Stores and returns `sha256` hex of the canonical JSON. */
  putDocument(kind: DocumentKind, document: JsonObject): string;
  getDocument<T>(kind: DocumentKind, sha256: string): T | undefined;
  listDocuments(kind: DocumentKind): { sha256: string; at: string }[];
  /**
   * Name of the installation, made once and kept in the database, which its server and workers share: `ops-1-3f9c2a1b`.
   * Characters of [a-z0-9-], at most 64.
   */
  installation(): string;
  close(): void;
}
