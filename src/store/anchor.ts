import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { CutoverError } from '../errors.ts';
import type { Anchor } from './chain.ts';

/**
 * The head of the chain in a file beside the database, `<database>.head`: one line of JSON, `{"seq":…,"hash":"…"}`.
 *
 * It is written after the commit of the record it names and before anybody else may append (the writer holds SQLite's
 * write lock for both), by a rename, so that a reader sees the old line or the new one. A crash in between leaves it
 * one record behind, never ahead; the next append brings it up to date. So a database that ends before its anchor has
 * lost records. What nobody can see is the loss of the one record that a crash left without its anchor.
 *
 * Somebody who may write both files can fake both: keep the head hash of each `audit export` elsewhere.
 */
export const anchorPath = (database: string): string => `${database}.head`;

/** @returns undefined when there is no file. @throws CutoverError RecordBroken when it is no anchor */
export function readAnchor(database: string): Anchor | undefined {
  const path = anchorPath(database);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CutoverError('StoreUnusable', `${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    const { seq, hash } = JSON.parse(text) as Anchor;
    if (Number.isSafeInteger(seq) && seq >= 0 && /^[0-9a-f]{64}$/.test(hash)) return { seq, hash };
  } catch {
    // Falls through: not JSON is as wrong as JSON of another shape.
  }
  throw new CutoverError('RecordBroken', `${path} does not say where the record ends: somebody changed it`);
}

/** @throws CutoverError StoreUnusable */
export function writeAnchor(database: string, anchor: Anchor): void {
  const path = anchorPath(database);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeSync(file, `${JSON.stringify({ seq: anchor.seq, hash: anchor.hash })}\n`);
      // Without it a power cut may leave an empty file under the new name, which would look like an attack.
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new CutoverError('StoreUnusable', `${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}
