import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, onTestFinished } from 'vitest';
import { openStore } from '../../src/store/sqlite.ts';
import type { RecordInput, Store } from '../../src/store/types.ts';

/** Path of a database in a folder that goes with the test. */
export function freshPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cutover-store-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'cutover.db');
}

export function open(path: string): Store {
  const store = openStore(path, { pollMs: 20 });
  onTestFinished(() => store.close());
  return store;
}

export const input = (number: number, rest: Partial<RecordInput> = {}): RecordInput => ({
  key: `key-${number}`,
  kind: 'step.ended',
  at: new Date(Date.UTC(2026, 0, 1, 0, 0, number)).toISOString(),
  actor: 'worker:one',
  migration: 'move-1',
  node: `worker-${(number % 3) + 1}`,
  step: 'evict',
  outcome: 'ok',
  evidence: { moved: number },
  ...rest,
});

/** Databases that were made once and are copied: every append waits for the disk. */
const made = new Map<string, string>();
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A database with `count` records and one plan, closed. */
export function written(path: string, count = 12, actor = 'worker:one'): string {
  const key = `${count} ${actor}`;
  const original = made.get(key) ?? make(count, actor);
  made.set(key, original);
  copyFileSync(original, path);
  copyFileSync(`${original}.head`, `${path}.head`);
  putKey(path);
  return path;
}

/** The same key for every database that is made here, so that one may be put in the place of another. */
export const secret = Buffer.alloc(32, 7);

export function putKey(path: string, key = secret): void {
  mkdirSync(join(dirname(path), 'keys'), { recursive: true, mode: 0o700 });
  writeFileSync(join(dirname(path), 'keys', 'record.key'), `${key.toString('hex')}\n`, { mode: 0o600 });
}

function make(count: number, actor: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'cutover-store-'));
  folders.push(folder);
  putKey(join(folder, 'cutover.db'));
  const store = openStore(join(folder, 'cutover.db'));
  for (let number = 1; number <= count; number++) store.append(input(number, { actor }));
  store.putDocument('plan', { a: 1 });
  store.close();
  return join(folder, 'cutover.db');
}

/** What somebody with the file and SQLite's shell can do; the guards are taken out and put back. */
export function tamper(path: string, change: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(path);
  const guards = database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").all() as {
    name: string;
    sql: string;
  }[];
  for (const { name } of guards) database.exec(`DROP TRIGGER ${name}`);
  change(database);
  for (const { sql } of guards) database.exec(sql);
  database.close();
}
