import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { canonicalJson, sha256 } from '../plan/hash.ts';
import { anchorPath, moveAnchor, readAnchor, writeAnchor } from './anchor.ts';
import { chained, genesis, verifyChain } from './chain.ts';
import type { Anchor } from './chain.ts';
import { gateOf } from './gate-of.ts';
import { migrateSchema, triggers } from './schema.ts';
import type { AuditRecord, DocumentKind, RecordFilter, RecordInput, Store, VerifyReport } from './types.ts';

export interface StoreOptions {
  /**
   * How long to wait for another process that writes, in ms. Default 1,000: meanwhile this process does nothing else, not even
   * say that it lives; whoever cannot go on without the record tries again (activities/outage.ts).
   */
  busyTimeoutMs?: number;
  /** How often `subscribe` looks for what other processes wrote, in ms. Default 250. */
  pollMs?: number;
}

/** See anchor.ts. */
const anchorEveryMs = 1_000;

interface Row {
  seq: number;
  body: string;
  hash: string;
}

/**
 * Opens the database of plans and records, and makes it when there is none. Synchronous, for this process; any number
 * of processes may have it open and append.
 *
 * @throws CutoverError StoreUnusable when the file cannot be opened or belongs to another program or a newer Cutover
 */
export function openStore(path: string, { busyTimeoutMs = 1_000, pollMs = 250 }: StoreOptions = {}): Store {
  const { database, statements } = openDatabase(path, busyTimeoutMs);
  const listeners = new Set<() => void>();
  let seen = 0;
  let timer: NodeJS.Timeout | undefined;

  const head = (): Anchor => (statements.head.get() as Anchor | undefined) ?? genesis;

  function notify(): void {
    for (const listener of listeners) listener();
  }

  /** Cheap: `data_version` changes only when another connection has written, and only then the head is read. */
  let dataVersion = -1;
  function look(): void {
    try {
      const { data_version: version } = statements.dataVersion.get() as { data_version: number };
      if (version === dataVersion) return;
      dataVersion = version;
      const { seq } = head();
      if (seq === seen) return;
      seen = seq;
      notify();
    } catch {
      // Busy or unreadable just now: whoever reads or appends gets the error, the next look is in a moment.
    }
  }

  /** Of the last anchor that is certainly on the disk, ms since the epoch. */
  let anchoredAt = 0;
  function anchor(): void {
    const now = Date.now();
    const sync = Math.abs(now - anchoredAt) >= anchorEveryMs;
    moveAnchor(path, head(), { sync });
    if (sync) anchoredAt = now;
  }

  function append(input: RecordInput): AuditRecord {
    const clean = plain(input);
    const known = guard(path, () => statements.byKey.get(clean.key) as Row | undefined);
    if (known) return recordOf(known);
    const { record, isNew } = transaction(database, path, () => {
      const twin = statements.byKey.get(clean.key) as Row | undefined;
      if (twin) return { record: recordOf(twin), isNew: false };
      const last = head();
      refuseBrokenEnd(path, last, (seq) => (statements.bySeq.get(seq) as Row | undefined)?.hash);
      const next = chained(clean, last);
      const { hash, ...body } = next;
      statements.insert.run(
        next.seq,
        next.key,
        next.kind,
        next.at,
        next.actor,
        next.migration ?? null,
        next.node ?? null,
        gateOf(next) ?? null,
        canonicalJson(body),
        hash,
      );
      return { record: next, isNew: true };
    });
    if (!isNew) return record;
    // Under the write lock again, so that the anchor never goes back when two processes have just appended.
    transaction(database, path, anchor);
    if (listeners.size > 0) setImmediate(notify);
    seen = Math.max(seen, record.seq);
    return record;
  }

  function records(filter: RecordFilter = {}): AuditRecord[] {
    const { sql, values } = selectSql(filter);
    return guard(path, () => (database.prepare(sql).all(...values) as unknown as Row[]).map(recordOf));
  }

  function subscribe(onNews: () => void): () => void {
    // A wrapper of its own, so that the same function may subscribe twice.
    const listener = (): void => onNews();
    if (listeners.size === 0) {
      seen = head().seq;
      timer = setInterval(look, pollMs);
    }
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) clearInterval(timer);
    };
  }

  function verify(): VerifyReport {
    try {
      return verifyDatabase(database, path);
    } catch (error) {
      return { ok: false, records: 0, head: { ...genesis }, problems: [(error as Error).message] };
    }
  }

  /** Writes what is there already: it reaches the disk like a record, and changes nothing. */
  function probe(): void {
    transaction(database, path, () => {
      const { user_version: version } = statements.version.get() as { user_version: number };
      database.exec(`PRAGMA user_version = ${version}`);
    });
  }

  function putDocument(kind: DocumentKind, document: JsonObject): string {
    const body = canonicalJson(document);
    const digest = sha256(body);
    if (guard(path, () => statements.document.get(kind, digest)) === undefined)
      transaction(database, path, () => statements.putDocument.run(kind, digest, new Date().toISOString(), body));
    return digest;
  }

  function getDocument<T>(kind: DocumentKind, digest: string): T | undefined {
    const row = guard(path, () => statements.document.get(kind, digest) as { body: string } | undefined);
    if (!row) return undefined;
    if (sha256(row.body) !== digest)
      throw new CutoverError('RecordBroken', `the stored ${kind} ${digest.slice(0, 12)} in ${path} was changed`);
    return JSON.parse(row.body) as T;
  }

  let installationId = '';
  function installation(): string {
    installationId ||=
      firstInstallation() ?? transaction(database, path, () => firstInstallation() ?? nameInstallation());
    return installationId;
  }

  const firstInstallation = (): string | undefined =>
    guard(path, () => {
      const [first] = statements.documents.all('installation') as { sha256: string }[];
      return first && getDocument<{ id: string }>('installation', first.sha256)?.id;
    });

  function nameInstallation(): string {
    const body = canonicalJson({ id: installationName(hostname()) });
    statements.putDocument.run('installation', sha256(body), new Date().toISOString(), body);
    return (JSON.parse(body) as { id: string }).id;
  }

  return {
    append,
    records,
    subscribe,
    probe,
    verify,
    putDocument,
    getDocument,
    listDocuments: (kind) =>
      guard(path, () =>
        (statements.documents.all(kind) as { sha256: string; at: string }[]).map((row) => ({ ...row })),
      ),
    installation,
    close: () => {
      clearInterval(timer);
      listeners.clear();
      if (database.isOpen) database.close();
    },
  };
}

/** The host is for people, the rest makes it one of a kind. */
const installationName = (host: string): string =>
  `${host
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
    .slice(0, 40)}-${randomBytes(4).toString('hex')}`.replace(/^-/, '');

function openDatabase(
  path: string,
  busyTimeoutMs: number,
): { database: DatabaseSync; statements: ReturnType<typeof prepareAll> } {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true });
    database = new DatabaseSync(path, { timeout: busyTimeoutMs });
    // WAL: readers never wait for a writer. FULL: a commit is on the disk before the effect that it announces.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
    const isNew = migrateSchema(database, path);
    // A new chain begins with its anchor: from then on an anchor that is missing was taken away.
    if (isNew && !existsSync(anchorPath(path))) writeAnchor(path, genesis);
    return { database, statements: prepareAll(database) };
  } catch (error) {
    if (database?.isOpen) database.close();
    if (error instanceof CutoverError) throw error;
    throw new CutoverError('StoreUnusable', `${path} cannot be opened as a database: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function prepareAll(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  return {
    head: prepare('SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1'),
    byKey: prepare('SELECT seq, body, hash FROM records WHERE key = ?'),
    bySeq: prepare('SELECT seq, body, hash FROM records WHERE seq = ?'),
    insert: prepare(
      'INSERT INTO records (seq, key, kind, at, actor, migration, node, gate, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    dataVersion: prepare('PRAGMA data_version'),
    version: prepare('PRAGMA user_version'),
    document: prepare('SELECT body FROM documents WHERE kind = ? AND sha256 = ?'),
    putDocument: prepare('INSERT INTO documents (kind, sha256, at, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING'),
    documents: prepare('SELECT sha256, at FROM documents WHERE kind = ? ORDER BY at, sha256'),
  };
}

/** Runs `work` under SQLite's write lock: at most one process at a time. */
function transaction<T>(database: DatabaseSync, path: string, work: () => T): T {
  return guard(path, () => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  });
}

/** SQLite's errors as ours. A damaged page is a broken record; the rest is a database that cannot be used. */
function guard<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof CutoverError) throw error;
    const { message, errcode } = error as Error & { errcode?: number };
    if (errcode === undefined) throw error;
    const isDamaged = (errcode & 0xff) === sqliteCorrupt || (errcode & 0xff) === sqliteNotADatabase;
    throw isDamaged
      ? new CutoverError('RecordBroken', `${path} is damaged: ${message}`, { cause: error })
      : new CutoverError('StoreUnusable', `${path} cannot be used: ${message}`, { cause: error });
  }
}

const sqliteCorrupt = 11;
const sqliteNotADatabase = 26;

/** Nothing is appended to a record that has lost its end or was replaced: that would hide it. */
function refuseBrokenEnd(path: string, head: Anchor, hashAt: (seq: number) => string | undefined): void {
  const anchor = readAnchor(path);
  const remedy = `keep the files as they are and tell your auditor; put back the right ${path}, or move it and its .head away to begin a new record`;
  if (anchor === undefined)
    throw new CutoverError(
      'RecordBroken',
      `${anchorPath(path)} is missing, so nobody can tell whether the record has lost its end`,
      { remedy },
    );
  if (anchor.seq > head.seq)
    throw new CutoverError('RecordBroken', `${path} ends at record ${head.seq}, but ${anchor.seq} were written`, {
      remedy,
    });
  const hash = anchor.seq === head.seq ? head.hash : anchor.seq === 0 ? genesis.hash : hashAt(anchor.seq);
  if (hash !== anchor.hash)
    throw new CutoverError(
      'RecordBroken',
      `record ${anchor.seq} in ${path} is not the one that was written: the database was replaced or written anew`,
      { remedy },
    );
}

function verifyDatabase(database: DatabaseSync, path: string): VerifyReport {
  const problems: string[] = [];
  const damage = (database.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[])[0]?.quick_check;
  if (damage !== 'ok') problems.push(`${path} is damaged: ${damage}`);
  const present = new Set(
    (database.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all() as { name: string }[]).map(
      ({ name }) => name,
    ),
  );
  for (const trigger of triggers.filter(({ name }) => !present.has(name)))
    problems.push(`the guard ${trigger.name}, which refuses changes, was taken out of ${path}`);

  let anchor: Anchor | undefined;
  try {
    anchor = readAnchor(path);
    if (anchor === undefined) problems.push(`${anchorPath(path)} is missing: a lost end could not be seen`);
  } catch (error) {
    problems.push((error as Error).message);
  }
  const report = guard(path, () => verifyChain(rowsOf(database, problems), anchor));
  for (const { kind, digest, body } of database
    .prepare('SELECT kind, sha256 AS digest, body FROM documents')
    .iterate() as Iterable<{ kind: string; digest: string; body: string }>)
    if (sha256(body) !== digest) problems.push(`the stored ${kind} ${digest.slice(0, 12)} was changed`);
  return { ...report, ok: report.ok && problems.length === 0, problems: [...report.problems, ...problems] };
}

/** Every record, and what is wrong with the row around it: the columns that filters use must say what the record says. */
function* rowsOf(database: DatabaseSync, problems: string[]): Generator<AuditRecord> {
  type FullRow = Row & {
    key: string;
    kind: string;
    at: string;
    actor: string;
    migration: string | null;
    node: string | null;
    gate: string | null;
  };
  for (const row of database.prepare('SELECT * FROM records ORDER BY seq').iterate() as unknown as Iterable<FullRow>) {
    let record: AuditRecord;
    try {
      record = recordOf(row);
    } catch (error) {
      problems.push((error as Error).message);
      continue;
    }
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
    for (const [column, found, wanted] of columns)
      if (found !== (wanted ?? null))
        problems.push(
          `record ${row.seq} is filed under ${column} ${found ?? 'nothing'}, but says ${wanted ?? 'nothing'}`,
        );
    yield record;
  }
}

function recordOf({ seq, body, hash }: Row): AuditRecord {
  try {
    return { ...(JSON.parse(body) as Omit<AuditRecord, 'hash'>), hash };
  } catch (error) {
    throw new CutoverError(
      'RecordBroken',
      `record ${seq} was changed after it was written: it cannot be read any more`,
      { cause: error },
    );
  }
}

function selectSql({ migration, node, gate, kind, actor, afterSeq, limit }: RecordFilter): {
  sql: string;
  values: (string | number)[];
} {
  const conditions: string[] = [];
  const values: (string | number)[] = [];
  const where = (sql: string, ...bound: (string | number)[]): void => {
    conditions.push(sql);
    values.push(...bound);
  };
  if (migration !== undefined) where('migration = ?', migration);
  if (node !== undefined) where('node = ?', node);
  if (gate !== undefined) where('gate = ?', gate);
  if (actor !== undefined) where('actor = ?', actor);
  if (kind !== undefined) where(`kind IN (${kind.map(() => '?').join(', ')})`, ...kind);
  if (afterSeq !== undefined) where('seq > ?', afterSeq);
  const sql = `SELECT seq, body, hash FROM records ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''} ORDER BY seq`;
  if (limit === undefined) return { sql, values };
  return { sql: `${sql} LIMIT ?`, values: [...values, limit] };
}

/** Only what JSON can carry, so that what is hashed is what is read back; half a surrogate pair has no UTF-8. */
const plain = (input: RecordInput): RecordInput =>
  JSON.parse(
    JSON.stringify(input, (_key, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value)),
  ) as RecordInput;
