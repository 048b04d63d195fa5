import { createHash } from 'node:crypto';
import { CutoverError } from '../errors.ts';
import { canonicalJson } from '../plan/hash.ts';
import { isHeadSealed } from './anchor.ts';
import { recordHash, verifyChain } from './chain.ts';
import type { Anchor } from './chain.ts';
import type { RecordKey } from './key.ts';
import type { AuditRecord, RecordFilter, SealedHead, VerifyReport } from './types.ts';

/** First line of an export: what it holds, and the end of the chain when it was made. Keep the hash elsewhere. */
export interface ExportHeader {
  cutover: 'audit-export';
  version: 1;
  format: 'ndjson' | 'csv';
  exportedAt: string;
  /** What was asked for; `{}` is everything, and only then can the whole chain be verified from the file. */
  filter: RecordFilter;
  /** Records in this file. */
  records: number;
  /**
   * Of the whole record, not of this file. Sealed with the record's key unless the record was broken: the chain of hashes
   * leads here and can be followed by everybody, the seal proves to a holder of the key that it ends where it did.
   */
  head: Anchor | SealedHead;
  /** SHA-256 hex of every line after this one, each with its line end. */
  sha256: string;
}

export interface ExportOptions {
  format: 'ndjson' | 'csv';
  head: Anchor | SealedHead;
  filter?: RecordFilter;
  /** ISO 8601. */
  exportedAt: string;
}

/**
 * The records as a file: newline-delimited JSON, one record a line, or CSV for spreadsheets, where the header is a
 * line that begins with `#`. NDJSON is the one to archive: its records can be verified one by one.
 */
export function exportRecords(
  all: readonly AuditRecord[],
  { format, head, filter = {}, exportedAt }: ExportOptions,
): string {
  // Another process may have appended since the head was read.
  const records = all.filter(({ seq }) => seq <= head.seq);
  const lines =
    format === 'csv' ? [csvLine(columns), ...records.map(csvRow)] : records.map((record) => canonicalJson(record));
  const body = lines.map((line) => `${line}\n`).join('');
  const header: ExportHeader = {
    cutover: 'audit-export',
    version: 1,
    format,
    exportedAt,
    filter,
    records: records.length,
    head: { ...head },
    sha256: createHash('sha256').update(body).digest('hex'),
  };
  return `${format === 'csv' ? '# ' : ''}${canonicalJson(header)}\n${body}`;
}

/**
 * Whether an exported file is as it was made. A full NDJSON export is verified as a chain up to its head; of a filtered
 * one, each record by its own hash, and their number and order. Of CSV only the digest and the number of lines.
 *
 * The digest is in the file, so whoever changes both is not found by it alone: compare `report.head.hash` with the hash
 * that was noted when the export was made, or give it as `expectedHead`; who has the record's key gives `key`.
 *
 * @throws CutoverError RecordBroken when the file is no export
 */
export function verifyExport(
  text: string,
  { expectedHead, key }: { expectedHead?: string; key?: RecordKey } = {},
): VerifyReport & { header: ExportHeader } {
  const end = text.indexOf('\n');
  const header = headerOf(end < 0 ? text : text.slice(0, end));
  const body = end < 0 ? '' : text.slice(end + 1);
  const problems: string[] = [];
  if (createHash('sha256').update(body).digest('hex') !== header.sha256)
    problems.push('the file was changed after it was made: its lines do not give its digest');
  if (expectedHead !== undefined && expectedHead !== header.head.hash)
    problems.push(`the export ends at ${header.head.hash.slice(0, 12)}, not at ${expectedHead.slice(0, 12)}`);
  if (key && !('mac' in header.head && isHeadSealed(key, header.head)))
    problems.push(`the export does not carry the seal of the key in ${key.file}: it was not made from that record`);
  const found = header.format === 'csv' ? csvCount(body) : verifyLines(body, header, problems);
  if (found !== header.records) problems.push(`the file has ${found} records, its header says ${header.records}`);
  return {
    ok: problems.length === 0,
    records: found,
    head: { seq: header.head.seq, hash: header.head.hash },
    problems,
    header,
  };
}

function headerOf(line: string): ExportHeader {
  try {
    const header = JSON.parse(line.replace(/^# /, '')) as ExportHeader;
    if (header.cutover === 'audit-export' && header.version === 1 && typeof header.head?.hash === 'string')
      return header;
  } catch {
    // Falls through to the same refusal.
  }
  throw new CutoverError('RecordBroken', 'this is no audit export of Cutover: its first line is not the header of one');
}

function verifyLines(body: string, header: ExportHeader, problems: string[]): number {
  const records: AuditRecord[] = [];
  for (const [index, line] of body.split('\n').entries()) {
    if (line === '') continue;
    try {
      const record = JSON.parse(line) as AuditRecord;
      // JSON may say one thing twice, and readers differ in which one they believe.
      if (canonicalJson(record) !== line) problems.push(`line ${index + 2} is not canonical JSON: it was changed`);
      records.push(record);
    } catch {
      problems.push(`line ${index + 2} is not a record`);
    }
  }
  if (Object.keys(header.filter).length === 0) {
    problems.push(...verifyChain(records, header.head).problems);
    return records.length;
  }
  let last = 0;
  for (const record of records) {
    if (record.seq <= last) problems.push(`record ${record.seq} stands after record ${last}: the order was changed`);
    if (recordHash(record) !== record.hash)
      problems.push(`record ${record.seq} was changed: its content does not give its hash`);
    if (record.seq > header.head.seq) problems.push(`record ${record.seq} is younger than the export`);
    last = Math.max(last, record.seq);
  }
  return records.length;
}

const columns = [
  'seq',
  'at',
  'kind',
  'actor',
  'migration',
  'stage',
  'wave',
  'node',
  'step',
  'direction',
  'nodeAttempt',
  'attempt',
  'outcome',
  'durationMs',
  'message',
  'reason',
  'error',
  'checks',
  'evidenceDigest',
  'planHash',
  'prev',
  'hash',
] as const;

function csvRow(record: AuditRecord): string {
  const { checks, error } = record;
  const told = {
    ...record,
    error: error && `${error.type}: ${error.message}`,
    checks: checks?.map(({ id, verdict }) => `${id}=${verdict}`).join(' '),
  };
  return csvLine(columns.map((column) => String(told[column] ?? '')));
}

/** RFC 4180. A cell that a spreadsheet would take for a formula gets a quote before it: messages hold what nodes print. */
const csvLine = (cells: readonly string[]): string =>
  cells
    .map((cell) => (/^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell))
    .map((cell) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell))
    .join(',');

/** Lines of CSV less the names of the columns; a line end inside quotes is none. */
function csvCount(body: string): number {
  let lines = 0;
  let quoted = false;
  for (const char of body) {
    if (char === '"') quoted = !quoted;
    if (char === '\n' && !quoted) lines++;
  }
  return Math.max(0, lines - 1);
}
