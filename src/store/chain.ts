import { hashOf } from '../plan/hash.ts';
import type { AuditRecord, RecordInput, VerifyReport } from './types.ts';

/** What the last record was, kept apart from the records so that a truncation is found. */
export interface Anchor {
  seq: number;
  hash: string;
}

/** What stands before the first record. */
export const genesis: Anchor = { seq: 0, hash: '0'.repeat(64) };

/** SHA-256 of the canonical JSON of a record without its `hash`; it covers `seq` and `prev`, and so all that came before. */
export function recordHash(record: Omit<AuditRecord, 'hash'>): string {
  const { hash: _, ...rest } = record as AuditRecord;
  return hashOf(rest);
}

/** The record that follows `head`. */
export function chained(input: RecordInput, head: Anchor): AuditRecord {
  const record = { ...input, seq: head.seq + 1, prev: head.hash };
  return { ...record, hash: recordHash(record) };
}

/**
 * Reads a chain from its beginning and says what is wrong with it: an edited record, one that is missing, one out of
 * its place, a lost end, another chain in the place of this one.
 *
 * The anchor may lag behind the records, because it is written after them; a chain that ends before its anchor has lost
 * records, and one that has another hash there was replaced or written anew.
 *
 * @param anchor `undefined` when there is none to compare with
 */
export function verifyChain(records: Iterable<AuditRecord>, anchor: Anchor | undefined): VerifyReport {
  const problems: string[] = [];
  let head = genesis;
  let count = 0;
  let anchored = anchor === undefined || anchor.seq === 0 ? (anchor?.hash ?? genesis.hash) === genesis.hash : false;
  const note = (problem: string): void => {
    // The first ones say where to look; a chain that is wrong everywhere needs no page about it.
    if (problems.length < maxProblems) problems.push(problem);
  };
  for (const record of records) {
    count++;
    const expected = head.seq + 1;
    const name = `record ${record.seq} (${[record.kind, record.node].filter(Boolean).join(', ')})`;
    if (record.seq < expected) note(`${name} stands after record ${head.seq}: the order was changed`);
    else if (record.seq > expected) note(`${missing(expected, record.seq - 1)} missing before record ${record.seq}`);
    else if (record.prev !== head.hash)
      note(`${name} does not follow the record before it: one of the two was changed or replaced`);
    if (hashOrNothing(record) !== record.hash)
      note(`${name} was changed after it was written: its content does not give its hash`);
    if (anchor && record.seq === anchor.seq) {
      anchored = record.hash === anchor.hash;
      if (!anchored)
        note(`record ${anchor.seq} is not the one that was written: the record was replaced or written anew`);
    }
    // The hash that stands there goes on, so that one edit is one problem and not one for each record after it.
    head = { seq: Math.max(head.seq, record.seq), hash: record.hash };
  }
  if (anchor && anchor.seq > head.seq)
    note(`${missing(head.seq + 1, anchor.seq)} missing at the end: ${anchor.seq} were written`);
  else if (!anchored && problems.length === 0)
    note(`the record does not contain number ${anchor?.seq} as it was written`);
  return { ok: problems.length === 0, records: count, head: { ...head }, problems };
}

const maxProblems = 20;

const missing = (from: number, to: number): string =>
  from === to ? `record ${from} is` : `records ${from} to ${to} are`;

function hashOrNothing(record: AuditRecord): string | undefined {
  try {
    return recordHash(record);
  } catch {
    return undefined;
  }
}
