import { closeSync, fdatasyncSync, fstatSync, openSync, readFileSync, writeSync } from 'node:fs';
import { CutoverError } from '../errors.ts';
import type { RecordKey } from './key.ts';
import { writeWhole } from './private-files.ts';
import type { SealedHead } from './types.ts';

/**
 * The head of the chain in a file beside the database, `<database>.head`: one line of JSON, sealed with the record's key.
 *
 * It is written after the commit of the record it names and before anybody else may append (the writer holds SQLite's
 * write lock for both). A crash in between leaves it one record behind, never ahead; the next append brings it up to
 * date first. So a database that ends before its anchor has lost records.
 *
 * The line has a fixed width and is written over in place, which a power cut leaves old or new, since it fits a sector.
 * It reaches the disk at least every `anchorEveryRecords` records and with the first record of each second: a disk takes
 * milliseconds for it, in which a worker does nothing else. So a power cut, and it alone, may leave the anchor some
 * records behind, and never more than `anchorMayLag`: an anchor that is older was put back.
 *
 * An older database with the anchor that was beside it then is whole by everything that is in these two files. That is
 * found only by an anchor outside (outside.ts) or by a head that was noted (`audit verify --head`).
 */
export const anchorPath = (database: string): string => `${database}.head`;

export const anchorEveryRecords = 16;
/** Twice that: each of several processes may have committed one record that it has not anchored yet. */
export const anchorMayLag = 2 * anchorEveryRecords;

const width = 320;
const lineOf = (head: SealedHead): string => `${JSON.stringify(head).padEnd(width - 1)}\n`;

/** @returns undefined when it is no head at all; whether it is sealed is another question */
export function parseHead(text: string): SealedHead | undefined {
  try {
    const { seq, hash, documents, at, mac } = JSON.parse(text) as SealedHead;
    const isNumber = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
    if (
      isNumber(seq) &&
      isNumber(documents) &&
      /^[0-9a-f]{64}$/.test(hash) &&
      typeof at === 'string' &&
      typeof mac === 'string'
    )
      return { seq, hash, documents, at, mac };
  } catch {
    // Not JSON is as wrong as JSON of another shape.
  }
  return undefined;
}

export function sealHead(key: RecordKey, { seq, hash, documents, at }: Omit<SealedHead, 'mac'>): SealedHead {
  const head = { seq, hash, documents, at };
  return { ...head, mac: key.seal('head', head) };
}

export function isHeadSealed(key: RecordKey, { seq, hash, documents, at, mac }: SealedHead): boolean {
  return key.isSealed('head', { seq, hash, documents, at }, mac);
}

/** @returns undefined when there is no file. @throws CutoverError RecordBroken when it is no anchor of this key */
export function readAnchor(database: string, key: RecordKey): SealedHead | undefined {
  const path = anchorPath(database);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
    // Another process may be writing over it: what two reads agree on is whole.
    for (let before = ''; text !== before; text = readFileSync(path, 'utf8')) before = text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CutoverError('StoreUnusable', `${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  const head = parseHead(text);
  if (head === undefined || text !== lineOf(head))
    throw new CutoverError('RecordBroken', `${path} does not say where the record ends: it was changed`);
  if (!isHeadSealed(key, head))
    throw new CutoverError(
      'RecordBroken',
      `${path} was not written with the key in ${key.file}: the anchor was changed, or the key is another one`,
    );
  return head;
}

/** Writes over the anchor there is. `sync`: it is on the disk afterwards. @throws CutoverError StoreUnusable */
export function moveAnchor(database: string, head: SealedHead, { sync }: { sync: boolean }): void {
  const path = anchorPath(database);
  try {
    const file = openSync(path, 'r+');
    try {
      // Growing it in place would not be safe against a power cut.
      if (fstatSync(file).size !== width) return writeAnchor(database, head);
      writeSync(file, lineOf(head), 0);
      if (sync) fdatasyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof CutoverError) throw error;
    throw new CutoverError('StoreUnusable', `${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws CutoverError StoreUnusable when the anchor there is could not be moved now */
export function probeAnchor(database: string): void {
  const path = anchorPath(database);
  try {
    closeSync(openSync(path, 'r+'));
  } catch (error) {
    throw new CutoverError('StoreUnusable', `${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

/** The first anchor of a record. @throws CutoverError StoreUnusable */
export function writeAnchor(database: string, head: SealedHead): void {
  const path = anchorPath(database);
  try {
    // Without reaching the disk a power cut may leave an empty file under the new name, which would look like an attack.
    writeWhole(path, lineOf(head));
  } catch (error) {
    throw new CutoverError('StoreUnusable', `${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}
