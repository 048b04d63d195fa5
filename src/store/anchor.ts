import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { CutoverError } from '../errors.ts';
import type { Anchor } from './chain.ts';

/**
 * The head of the chain in a file beside the database, `<database>.head`: one line of JSON, `{"seq":…,"hash":"…"}`.
 *
 * It is written after the commit of the record it names and before anybody else may append (the writer holds SQLite's
 * write lock for both). A crash in between leaves it one record behind, never ahead; the next append brings it up to
 * date. So a database that ends before its anchor has lost records. What nobody can see is the loss of the one record
 * that a crash left without its anchor.
 *
 * The line has a fixed width and is written over in place, which a power cut leaves old or new, since it fits a sector.
 * It reaches the disk with the first record of each second: a disk takes milliseconds for it, in which a worker does
 * nothing else. So a power cut, and it alone, may leave the anchor some seconds behind.
 *
 * Somebody who may write both files can fake both: keep the head hash of each `audit export` elsewhere.
 */
export const anchorPath = (database: string): string => `${database}.head`;

const width = 128;
const lineOf = ({ seq, hash }: Anchor): string => `${JSON.stringify({ seq, hash }).padEnd(width - 1)}\n`;

/** @returns undefined when there is no file. @throws CutoverError RecordBroken when it is no anchor */
export function readAnchor(database: string): Anchor | undefined {
  const path = anchorPath(database);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
    // Somebody may be writing over it: what two reads agree on is whole.
    for (let before = ''; text !== before; text = readFileSync(path, 'utf8')) before = text;
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

/** Writes over the anchor there is. `sync`: it is on the disk afterwards. @throws CutoverError StoreUnusable */
export function moveAnchor(database: string, anchor: Anchor, { sync }: { sync: boolean }): void {
  const path = anchorPath(database);
  try {
    const file = openSync(path, 'r+');
    try {
      // Written by an earlier version: growing it in place would not be safe against a power cut.
      if (fstatSync(file).size !== width) return writeAnchor(database, anchor);
      writeSync(file, lineOf(anchor), 0);
      if (sync) fdatasyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof CutoverError) throw error;
    throw new CutoverError('StoreUnusable', `${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

/** The first anchor of a record. @throws CutoverError StoreUnusable */
export function writeAnchor(database: string, anchor: Anchor): void {
  const path = anchorPath(database);
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeSync(file, lineOf(anchor));
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
