import { DatabaseSync } from 'node:sqlite';
import { CutoverError } from '../errors.ts';

/** `CUTO` in ASCII: how SQLite files say whose they are. */
const applicationId = 0x4355544f;

/**
 * What the tables refuse. A record is written once: no UPDATE, no DELETE, and no INSERT OR REPLACE either, which would
 * be a delete that fires no delete trigger.
 */
const triggers = [
  {
    name: 'records_no_update',
    sql: "BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only'); END",
  },
  {
    name: 'records_no_delete',
    sql: "BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only'); END",
  },
  {
    name: 'records_in_order',
    sql: `BEFORE INSERT ON records
      WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM records) OR EXISTS (SELECT 1 FROM records WHERE key = NEW.key)
      BEGIN SELECT RAISE(ABORT, 'records are append-only'); END`,
  },
  {
    name: 'documents_no_update',
    sql: "BEFORE UPDATE ON documents BEGIN SELECT RAISE(ABORT, 'documents never change'); END",
  },
  {
    name: 'documents_no_delete',
    sql: "BEFORE DELETE ON documents BEGIN SELECT RAISE(ABORT, 'documents never change'); END",
  },
];

/** Version 1 had no key: nothing in it proves that it is as it was written, so it is refused rather than trusted. */
const unkeyedVersion = 1;

/**
 * One entry for each version of the schema after the one without a key, in order; what is released is never changed, a
 * new one is added.
 */
const migrations: readonly string[] = [
  `
  CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    migration TEXT,
    node TEXT,
    gate TEXT,
    body TEXT NOT NULL, -- canonical JSON of the record without its hash
    hash TEXT NOT NULL,
    mac TEXT NOT NULL -- of the hash, by the record's key
  ) STRICT;
  CREATE INDEX records_by_migration ON records (migration, seq);
  CREATE INDEX records_by_node ON records (node, seq);
  CREATE TABLE documents (
    kind TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    at TEXT NOT NULL,
    body TEXT NOT NULL, -- canonical JSON
    seq INTEGER NOT NULL UNIQUE, -- 1, 2, 3 without a gap: the anchor says how many there are
    mac TEXT NOT NULL, -- of the other columns, by the record's key
    PRIMARY KEY (kind, sha256)
  ) STRICT, WITHOUT ROWID;
  ${triggers.map(({ name, sql }) => `CREATE TRIGGER ${name} ${sql};`).join('\n')}
  `,
];

const newest = unkeyedVersion + migrations.length;

/**
 * Brings the database to the newest schema; two processes may do so at once.
 *
 * @param begin called for a database that was empty, before another process can see its tables
 * @throws CutoverError StoreUnusable when it belongs to another program, to a newer Cutover, or to one without a key
 */
export function migrateSchema(database: DatabaseSync, path: string, begin: () => void): void {
  if (version(database) === newest && isOurs(database)) return;
  database.exec('BEGIN IMMEDIATE');
  try {
    const from = version(database);
    const tables = (database.prepare('SELECT count(*) AS count FROM sqlite_schema').get() as { count: number }).count;
    if (tables > 0 && !isOurs(database))
      throw new CutoverError('StoreUnusable', `${path} is the database of another program`);
    if (from > newest)
      throw new CutoverError(
        'StoreUnusable',
        `${path} was written by a newer Cutover (its schema is ${from}, this one knows ${newest})`,
        {
          remedy: 'use that version',
        },
      );
    if (tables > 0 && from <= unkeyedVersion)
      throw new CutoverError(
        'StoreUnusable',
        `${path} was written by a Cutover whose records have no key, so this one cannot tell whether they were changed`,
        {
          remedy: `export it with the version that wrote it (cutover audit export), then move ${path} and its .head away to begin a new record`,
        },
      );
    if (tables === 0) begin();
    for (const sql of migrations.slice(Math.max(0, from - unkeyedVersion))) database.exec(sql);
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${newest}; COMMIT`);
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/**
 * How tables, indexes and guards differ from those that Cutover makes: one that is missing, was replaced by another one
 * of the same name, or was added. One sentence each.
 */
export function schemaProblems(database: DatabaseSync, path: string): string[] {
  const fresh = new DatabaseSync(':memory:');
  for (const sql of migrations) fresh.exec(sql);
  const [wanted, found] = [objects(fresh), objects(database)];
  fresh.close();
  const named = (type: string, name: string): string =>
    type === 'trigger' ? `the guard ${name}, which refuses changes,` : `the ${type} ${name}`;
  const problems: string[] = [];
  for (const [name, { type, sql }] of wanted) {
    const there = found.get(name);
    if (there === undefined) problems.push(`${named(type, name)} was taken out of ${path}`);
    else if (there.type !== type || there.sql !== sql)
      problems.push(`${named(type, name)} was replaced by another one in ${path}`);
  }
  for (const [name, { type }] of found)
    if (!wanted.has(name)) problems.push(`the ${type} ${name} in ${path} is none of Cutover's`);
  return problems;
}

function objects(database: DatabaseSync): Map<string, { type: string; sql: string | null }> {
  const rows = database.prepare('SELECT type, name, sql FROM sqlite_schema').all() as {
    type: string;
    name: string;
    sql: string | null;
  }[];
  // `sqlite_stat1` and its like are made by ANALYZE, and say nothing about rows.
  return new Map(
    rows.filter(({ name }) => !name.startsWith('sqlite_stat')).map(({ name, type, sql }) => [name, { type, sql }]),
  );
}

const version = (database: DatabaseSync): number =>
  (database.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
const isOurs = (database: DatabaseSync): boolean =>
  (database.prepare('PRAGMA application_id').get() as { application_id: number }).application_id === applicationId;
