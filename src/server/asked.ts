import type { JsonObject } from '../json.ts';
import type { AuditRecord, RecordInput, Store } from '../store/types.ts';
import type { RequestVariables } from './context.ts';
import { idUsed } from './repeats.ts';

/**
 * Writes down what a person asked for, before it is done. The key is the id of the request, so the same request twice is
 * one record.
 *
 * @throws CutoverError RequestIdUsed when the record of that id is of another request: nothing was written
 */
export function recordRequest(
  store: Store,
  { request, fingerprint = '', actor }: Pick<RequestVariables, 'request' | 'fingerprint' | 'actor'>,
  input: Omit<RecordInput, 'key' | 'at' | 'actor' | 'evidence'>,
  evidence: JsonObject = {},
): AuditRecord {
  const record = store.append({
    key: `request:${request}`,
    at: new Date().toISOString(),
    actor,
    ...input,
    evidence: { ...evidence, request: fingerprint },
  });
  refuseOther(record, request, fingerprint);
  return record;
}

/** @throws CutoverError RequestIdUsed when the record is not of the request with that fingerprint */
export function refuseOther(record: AuditRecord, request: string, fingerprint: string): void {
  if (fingerprintOf(record) !== fingerprint) throw idUsed(request);
}

const fingerprintOf = ({ evidence }: AuditRecord): unknown =>
  evidence !== null && typeof evidence === 'object' && !Array.isArray(evidence) ? evidence['request'] : undefined;
