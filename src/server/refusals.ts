import { createHash } from 'node:crypto';
import type { CutoverError } from '../errors.ts';
import type { AuditRecord, Store } from '../store/types.ts';

/** What somebody tried to do. */
export interface Attempt {
  /** Id of the request: the same one refused twice for the same reason is one record. */
  request: string;
  actor: string;
  /** `POST /v1/migrations/x/pause`. */
  what: string;
  migration?: string;
  planHash?: string;
  node?: string;
  gate?: string;
  reason?: string;
  /** It was to be the start of `migration`, which therefore never was. */
  launch?: boolean;
}

/**
 * Writes down that somebody tried and was refused: a rejected update leaves no trace in Temporal's history, and an
 * auditor asks for exactly those (experience §0.4).
 */
export function recordRefusal(store: Store, attempt: Attempt, error: CutoverError): AuditRecord {
  const { migration, planHash, node, reason } = attempt;
  const digest = createHash('sha256')
    .update(JSON.stringify([attempt, error.type, error.message]))
    .digest('hex');
  return store.append({
    key: `refused:${attempt.request}:${digest.slice(0, 16)}`,
    kind: 'attempt.refused',
    at: new Date().toISOString(),
    actor: attempt.actor,
    ...(migration === undefined ? {} : { migration }),
    ...(planHash === undefined ? {} : { planHash }),
    ...(node === undefined ? {} : { node }),
    ...(reason ? { reason } : {}),
    outcome: error.type,
    message: `${attempt.what}: ${error.message}`,
    error: { type: error.type, message: error.message, remedy: error.remedy },
    ...(attempt.gate === undefined ? {} : { evidence: { gate: attempt.gate } }),
    ...(attempt.launch ? { evidence: { launch: true } } : {}),
  });
}
