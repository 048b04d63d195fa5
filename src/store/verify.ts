import type { DatabaseSync } from 'node:sqlite';
import { CutoverError } from '../errors.ts';
import { canonicalJson, sha256 } from '../plan/hash.ts';
import { anchorMayLag, anchorPath, readAnchor } from './anchor.ts';
import { genesis, verifyChain } from './chain.ts';
import { gateOf } from './gate-of.ts';
import type { RecordKey } from './key.ts';
import { outsideName, readOutside } from './outside.ts';
import type { OutsideTarget } from './outside.ts';
import { recordOf } from './rows.ts';
import type { Row } from './rows.ts';
import { schemaProblems } from './schema.ts';
import type { AuditRecord, NotedHead, SealedHead, VerifyReport } from './types.ts';

interface VerifyOptions {
  path: string;
  key: RecordKey;
  outside: OutsideTarget | undefined;
  noted: NotedHead | undefined;
}

/**
 * Everything that the files can show: the chain, the seals, the anchors here and outside, the documents, the guards.
 * What is read is one state of the database, while others go on appending.
 */
export function verifyDatabase(database: DatabaseSync, options: VerifyOptions): VerifyReport {
  const { path, key } = options;
  const problems: string[] = [];
  // Before the records: what is anchored by now is in the state that is read next.
  const anchor = anchorOf(path, key, problems);
  const kept = options.outside && readOutside(options.outside, key);
  database.exec('BEGIN');
  try {
    const damage = (database.prepare('PRAGMA integrity_check(1)').all() as { integrity_check: string }[])[0];
    if (damage?.integrity_check !== 'ok') problems.push(`${path} is damaged: ${damage?.integrity_check}`);
    problems.push(...schemaProblems(database, path));

    const found = findings();
    const report = verifyChain(recordsIn(database, key, found), anchor);
    problems.push(...report.problems, ...found.problems, ...sealProblems(found, key, report.records));
    if (anchor && report.head.seq - anchor.seq > anchorMayLag)
      problems.push(
        `${anchorPath(path)} stands at record ${anchor.seq} and the record ends at ${report.head.seq}, more than ${anchorMayLag} later: an older anchor was put back, or records were added without Cutover`,
      );
    problems.push(...documentProblems(database, key, { anchor, named: found.named }));
    if (kept) problems.push(...kept.problems, ...headProblems(kept.heads, found.hashes, outsideName(options.outside!)));
    if (options.noted) problems.push(...notedProblems(options.noted, found.hashes));
    const last = kept?.heads.at(-1);
    return {
      ok: problems.length === 0,
      records: report.records,
      head: report.head,
      problems,
      ...(kept?.isReadable && {
        outside: {
          target: outsideName(options.outside!),
          entries: kept.heads.length,
          seq: last?.seq ?? 0,
          at: last?.at ?? '',
          since: kept.heads[0]?.at ?? '',
        },
      }),
    };
  } finally {
    database.exec('ROLLBACK');
  }
}

function anchorOf(path: string, key: RecordKey, problems: string[]): SealedHead | undefined {
  try {
    const anchor = readAnchor(path, key);
    if (anchor === undefined) problems.push(`${anchorPath(path)} is missing: a lost end could not be seen`);
    return anchor;
  } catch (error) {
    problems.push((error as Error).message);
    return undefined;
  }
}

interface Findings {
  problems: string[];
  /** Numbers of the records whose code is not of this key. */
  unsealed: number[];
  /** Hash of each record by its number. */
  hashes: Map<number, string>;
  /** Documents that records name, as `kind sha256`, and the first record that does. */
  named: Map<string, number>;
}

const findings = (): Findings => ({
  problems: [],
  unsealed: [],
  hashes: new Map([[0, genesis.hash]]),
  named: new Map(),
});

/** Every record, and what is wrong with the row around it: the columns that filters use must say what the record says. */
function* recordsIn(database: DatabaseSync, key: RecordKey, found: Findings): Generator<AuditRecord> {
  type FullRow = Row &
    Record<'key' | 'kind' | 'at' | 'actor', string> &
    Record<'migration' | 'node' | 'gate', string | null>;
  for (const row of database.prepare('SELECT * FROM records ORDER BY seq').iterate() as unknown as Iterable<FullRow>) {
    if (!key.isSealed('record', { seq: row.seq, hash: row.hash }, row.mac)) found.unsealed.push(row.seq);
    let record: AuditRecord;
    try {
      record = recordOf(row);
      if (![record.key, record.kind, record.at, record.actor].every((field) => typeof field === 'string'))
        throw new CutoverError(
          'RecordBroken',
          `record ${row.seq} was changed after it was written: it is no record any more`,
        );
    } catch (error) {
      found.problems.push((error as Error).message);
      continue;
    }
    // JSON may say one thing twice, and readers differ in which one they believe.
    if (canonical(record) !== row.body)
      found.problems.push(
        `record ${row.seq} is not stored as it was written: its JSON is not canonical (a key twice, or other white space)`,
      );
    const columns: [string, string | number | null, string | number | undefined][] = [
      ['seq', row.seq, record.seq],
      ['key', row.key, record.key],
      ['kind', row.kind, record.kind],
      ['at', row.at, record.at],
      ['actor', row.actor, record.actor],
      ['migration', row.migration, record.migration],
      ['node', row.node, record.node],
      ['gate', row.gate, gateOf(record)],
    ];
    for (const [column, value, wanted] of columns)
      if (value !== (wanted ?? null))
        found.problems.push(
          `record ${row.seq} is filed under ${column} ${value ?? 'nothing'}, but says ${wanted ?? 'nothing'}`,
        );
    found.hashes.set(row.seq, row.hash);
    for (const name of documentsOf(record)) if (!found.named.has(name)) found.named.set(name, row.seq);
    yield record;
  }
}

function canonical({ hash: _hash, ...body }: AuditRecord): string | undefined {
  try {
    return canonicalJson(body);
  } catch {
    return undefined;
  }
}

/** A refused attempt may name a plan that never was. */
function documentsOf({ kind, planHash, evidence }: AuditRecord): string[] {
  if (kind === 'attempt.refused') return [];
  const facts = kind === 'plan.compiled' ? (evidence as { facts?: unknown } | undefined)?.facts : undefined;
  return [
    ...(planHash === undefined ? [] : [`plan ${planHash}`]),
    ...(typeof facts === 'string' ? [`facts ${facts}`] : []),
  ];
}

function sealProblems({ unsealed }: Findings, key: RecordKey, records: number): string[] {
  if (unsealed.length === 0) return [];
  if (unsealed.length === records)
    return [
      `no record was written with the key in ${key.file}: it is not the key of this record, or all were replaced`,
    ];
  return unsealed
    .slice(0, 20)
    .map(
      (seq) => `record ${seq} was not written with the key in ${key.file}: it was added or replaced without Cutover`,
    );
}

function documentProblems(
  database: DatabaseSync,
  key: RecordKey,
  { anchor, named }: { anchor: SealedHead | undefined; named: Map<string, number> },
): string[] {
  const problems: string[] = [];
  const missing = new Map(named);
  let last = 0;
  type DocumentRow = { kind: string; digest: string; at: string; body: string; seq: number; mac: string };
  for (const { kind, digest, at, body, seq, mac } of database
    .prepare('SELECT kind, sha256 AS digest, at, body, seq, mac FROM documents ORDER BY seq')
    .iterate() as unknown as Iterable<DocumentRow>) {
    const name = `the stored ${kind} ${digest.slice(0, 12)}`;
    if (seq !== last + 1) problems.push(`document ${last + 1} is missing before ${name}`);
    if (sha256(body) !== digest) problems.push(`${name} was changed`);
    else if (!key.isSealed('document', { seq, kind, sha256: digest, at }, mac))
      problems.push(`${name} was not stored with the key in ${key.file}: it was added or replaced without Cutover`);
    missing.delete(`${kind} ${digest}`);
    last = seq;
  }
  if (anchor && anchor.documents > last)
    problems.push(`documents are missing at the end: ${anchor.documents} were stored, ${last} are there`);
  for (const [name, seq] of missing) {
    const [kind, digest = ''] = name.split(' ');
    problems.push(`the ${kind} ${digest.slice(0, 12)}, which record ${seq} names, is missing`);
  }
  return problems;
}

function headProblems(heads: readonly SealedHead[], hashes: Map<number, string>, where: string): string[] {
  const last = Math.max(...hashes.keys());
  const beyond = heads.findLast(({ seq }) => seq > last);
  const replaced = heads.find(({ seq, hash }) => seq <= last && hashes.get(seq) !== hash);
  return [
    ...(beyond ? [`the record ends at ${last}, but ${where} has kept record ${beyond.seq} (at ${beyond.at})`] : []),
    ...(replaced
      ? [
          `record ${replaced.seq} is not the one that ${where} has kept (at ${replaced.at}): it was replaced or written anew`,
        ]
      : []),
  ];
}

function notedProblems({ seq, hash }: NotedHead, hashes: Map<number, string>): string[] {
  if (seq === undefined)
    return [...hashes.values()].includes(hash) ? [] : [`no record has the hash ${hash.slice(0, 12)} that was noted`];
  const found = hashes.get(seq);
  if (found === hash) return [];
  return [
    found === undefined
      ? `record ${seq}, which was noted, is not there`
      : `record ${seq} is not the one that was noted: its hash is ${found.slice(0, 12)}, not ${hash.slice(0, 12)}`,
  ];
}
