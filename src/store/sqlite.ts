import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { canonicalJson, sha256 } from '../plan/hash.ts';
import {
  anchorEveryRecords,
  anchorMayLag,
  anchorPath,
  moveAnchor,
  probeAnchor,
  readAnchor,
  sealHead,
  writeAnchor,
} from './anchor.ts';
import { chained, genesis } from './chain.ts';
import type { Anchor } from './chain.ts';
import { gateOf } from './gate-of.ts';
import { ensureRecordKey, readRecordKey, recordKeyFile } from './key.ts';
import type { RecordKey } from './key.ts';
import { parseOutside } from './outside.ts';
import { keepPrivate } from './private-files.ts';
import type { Say } from './private-files.ts';
import { recordOf } from './rows.ts';
import type { Row } from './rows.ts';
import { migrateSchema } from './schema.ts';
import type {
  AuditRecord,
  DocumentKind,
  NotedHead,
  RecordFilter,
  RecordInput,
  SealedHead,
  Store,
  VerifyReport,
} from './types.ts';
import { verifyDatabase } from './verify.ts';

export interface StoreOptions {
  /**
   * How long to wait for another process that writes, in ms. Default 1,000: meanwhile this process does nothing else, not even
   * say that it lives; whoever cannot go on without the record tries again (activities/outage.ts).
   */
  busyTimeoutMs?: number;
  /** How often `subscribe` looks for what other processes wrote, in ms. Default 250. */
  pollMs?: number;
  /** CUTOVER_RECORD_KEY_FILE (see key.ts) and CUTOVER_ANCHOR (see outside.ts) are read from it. @default process.env */
  env?: NodeJS.ProcessEnv;
  /** Called with one sentence for what a person should know: files that other users could open. */
  say?: Say;
}

/** See anchor.ts. */
const anchorEveryMs = 1_000;

/**
 * Opens the database of plans and records, and makes it and its key when there is none. Synchronous, for this process;
 * any number of processes may have it open and append.
 *
 * @throws CutoverError StoreUnusable when the file cannot be opened, has lost its key, or belongs to another user or
 * program, a newer Cutover, or one whose records had no key
 */
export function openStore(
  path: string,
  { busyTimeoutMs = 1_000, pollMs = 250, env = process.env, say }: StoreOptions = {},
): Store {
  const outside = parseOutside(env['CUTOVER_ANCHOR']);
  const keyFile = recordKeyFile(path, env);
  const { database, statements, key } = openDatabase(path, {
    busyTimeoutMs,
    keyFile,
    isOurs: !env['CUTOVER_RECORD_KEY_FILE'],
    say,
  });
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

  const sealed = (): SealedHead => {
    const { documents } = statements.documentCount.get() as { documents: number };
    return sealHead(key, { ...head(), documents, at: new Date().toISOString() });
  };

  /** The last anchor that is certainly on the disk: when, in ms since the epoch, and of which record. */
  let synced = { at: 0, seq: 0 };
  function anchor(): void {
    const now = Date.now();
    const next = sealed();
    const sync = Math.abs(now - synced.at) >= anchorEveryMs || next.seq - synced.seq >= anchorEveryRecords;
    moveAnchor(path, next, { sync });
    if (sync) synced = { at: now, seq: next.seq };
  }

  /**
   * Under the write lock, before anything is written: nothing is added to a record that has lost its end or was
   * replaced, which would hide it. What another process committed and had no time to anchor is anchored now, so that
   * the anchor never falls behind by more than what runs at once.
   */
  function refuseBrokenEnd(): void {
    const last = head();
    const anchored = readAnchor(path, key);
    const remedy = `keep the files as they are and tell your auditor; put back the right ${path}, or move it and its .head away to begin a new record`;
    const broken = (message: string) => new CutoverError('RecordBroken', message, { remedy });
    if (anchored === undefined)
      throw broken(`${anchorPath(path)} is missing, so a lost end of the record could not be seen`);
    if (anchored.seq > last.seq) throw broken(`${path} ends at record ${last.seq}, but ${anchored.seq} were written`);
    const { documents } = statements.documentCount.get() as { documents: number };
    if (anchored.documents > documents)
      throw broken(`${path} has ${documents} documents, but ${anchored.documents} were stored`);
    const hash = anchored.seq === 0 ? genesis.hash : (statements.bySeq.get(anchored.seq) as Row | undefined)?.hash;
    if (hash !== anchored.hash)
      throw broken(
        `record ${anchored.seq} in ${path} is not the one that was written: the database was replaced or written anew`,
      );
    if (last.seq - anchored.seq > anchorMayLag)
      throw broken(
        `${anchorPath(path)} stands at record ${anchored.seq} and the record ends at ${last.seq}: an older anchor was put back, or records were added without Cutover`,
      );
    for (let seq = anchored.seq + 1; seq <= last.seq; seq++) {
      const row = statements.bySeq.get(seq) as Row | undefined;
      if (!row || !key.isSealed('record', { seq, hash: row.hash }, row.mac))
        throw broken(`record ${seq} in ${path} was not written with the key in ${key.file}`);
    }
    if (last.seq > anchored.seq || documents > anchored.documents) anchor();
  }

  function append(input: RecordInput): AuditRecord {
    const clean = plain(input);
    const known = guard(path, () => statements.byKey.get(clean.key) as Row | undefined);
    if (known) return recordOf(known);
    const { record, isNew } = transaction(database, path, () => {
      const twin = statements.byKey.get(clean.key) as Row | undefined;
      if (twin) return { record: recordOf(twin), isNew: false };
      refuseBrokenEnd();
      const next = chained(clean, head());
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
        key.seal('record', { seq: next.seq, hash }),
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

  function verify(noted?: NotedHead): VerifyReport {
    try {
      return guard(path, () => verifyDatabase(database, { path, key, outside, noted }));
    } catch (error) {
      return { ok: false, records: 0, head: { ...genesis }, problems: [(error as Error).message] };
    }
  }

  /** Writes what is there already: it reaches the disk like a record, and changes nothing. */
  function probe(): void {
    probeAnchor(path);
    transaction(database, path, () => {
      const { user_version: version } = statements.version.get() as { user_version: number };
      database.exec(`PRAGMA user_version = ${version}`);
    });
  }

  function putDocument(kind: DocumentKind, document: JsonObject): string {
    const body = canonicalJson(document);
    const digest = sha256(body);
    if (guard(path, () => statements.document.get(kind, digest)) !== undefined) return digest;
    transaction(database, path, () => {
      if (statements.document.get(kind, digest) !== undefined) return;
      refuseBrokenEnd();
      const seq = (statements.documentCount.get() as { documents: number }).documents + 1;
      const at = new Date().toISOString();
      statements.putDocument.run(kind, digest, at, body, seq, key.seal('document', { seq, kind, sha256: digest, at }));
    });
    transaction(database, path, anchor);
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
    if (installationId === '') {
      // Two that begin at once may both name it: the first one counts.
      if (firstInstallation() === undefined) putDocument('installation', { id: installationName(hostname()) });
      installationId = firstInstallation()!;
    }
    return installationId;
  }

  const firstInstallation = (): string | undefined =>
    guard(path, () => {
      const [first] = statements.documents.all('installation') as { sha256: string }[];
      return first && getDocument<{ id: string }>('installation', first.sha256)?.id;
    });

  return {
    append,
    records,
    subscribe,
    probe,
    verify,
    head: () => guard(path, sealed),
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
  {
    busyTimeoutMs,
    keyFile,
    isOurs,
    say,
  }: { busyTimeoutMs: number; keyFile: string; isOurs: boolean; say: Say | undefined },
): { database: DatabaseSync; statements: ReturnType<typeof prepareAll>; key: RecordKey } {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // SQLite makes a database with 0644, and its -wal and -shm with the mode of the database.
    if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600));
    for (const suffix of ['', '-wal', '-shm', '.head']) keepPrivate(`${path}${suffix}`, say);
    database = new DatabaseSync(path, { timeout: busyTimeoutMs });
    // WAL: readers never wait for a writer. FULL: a commit is on the disk before the effect that it announces.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
    migrateSchema(database, path, () => {
      // A new chain begins with its key and its anchor: from then on one that is missing was taken away.
      if (existsSync(anchorPath(path))) return;
      ensureRecordKey(keyFile);
      const key = readRecordKey(keyFile, { isOurs, say });
      writeAnchor(path, sealHead(key, { ...genesis, documents: 0, at: new Date().toISOString() }));
    });
    const key = readRecordKey(keyFile, { isOurs, say });
    return { database, statements: prepareAll(database), key };
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
    byKey: prepare('SELECT seq, body, hash, mac FROM records WHERE key = ?'),
    bySeq: prepare('SELECT seq, body, hash, mac FROM records WHERE seq = ?'),
    insert: prepare(
      'INSERT INTO records (seq, key, kind, at, actor, migration, node, gate, body, hash, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    dataVersion: prepare('PRAGMA data_version'),
    version: prepare('PRAGMA user_version'),
    document: prepare('SELECT body FROM documents WHERE kind = ? AND sha256 = ?'),
    putDocument: prepare('INSERT INTO documents (kind, sha256, at, body, seq, mac) VALUES (?, ?, ?, ?, ?, ?)'),
    documentCount: prepare('SELECT coalesce(max(seq), 0) AS documents FROM documents'),
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
