import type { DatabaseSync } from 'node:sqlite';
import { CutoverError } from '../errors.ts';

/** `CUTO` in ASCII: how SQLite files say whose they are. */
const applicationId = 0x4355544f;

/**
 * What the tables refuse. A record is written once: no UPDATE, no DELETE, and no INSERT OR REPLACE either, which would
 * be a delete that fires no delete trigger.
 */
export const triggers = [
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

/** One entry for each version of the schema, in order; what is released is never changed, a new one is added. */
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
    hash TEXT NOT NULL
  ) STRICT;
  CREATE INDEX records_by_migration ON records (migration, seq);
  CREATE INDEX records_by_node ON records (node, seq);
  CREATE TABLE documents (
    kind TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    at TEXT NOT NULL,
    body TEXT NOT NULL, -- canonical JSON
    PRIMARY KEY (kind, sha256)
  ) STRICT, WITHOUT ROWID;
  ${triggers.map(({ name, sql }) => `CREATE TRIGGER ${name} ${sql};`).join('\n')}
  `,
];

/**
 * Brings the database to the newest schema; two processes may do so at once.
 *
 * @returns whether the database was empty
 * @throws CutoverError StoreUnusable when it belongs to another program or a newer Cutover
 */
export function migrateSchema(database: DatabaseSync, path: string): boolean {
  if (version(database) === migrations.length && isOurs(database)) return false;
  database.exec('BEGIN IMMEDIATE');
  try {
    const from = version(database);
    const tables = (database.prepare('SELECT count(*) AS count FROM sqlite_schema').get() as { count: number }).count;
    if (tables > 0 && !isOurs(database))
      throw new CutoverError('StoreUnusable', `${path} is the database of another program`);
    if (from > migrations.length)
      throw new CutoverError(
        'StoreUnusable',
        `${path} was written by a newer Cutover (its schema is ${from}, this one knows ${migrations.length})`,
        {
          remedy: 'use that version',
        },
      );
    for (const sql of migrations.slice(from)) database.exec(sql);
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${migrations.length}; COMMIT`);
    return from === 0 && tables === 0;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

const version = (database: DatabaseSync): number =>
  (database.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
const isOurs = (database: DatabaseSync): boolean =>
  (database.prepare('PRAGMA application_id').get() as { application_id: number }).application_id === applicationId;
