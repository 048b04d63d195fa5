import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CutoverError } from '../errors.ts';
import { canonicalJson } from '../plan/hash.ts';
import { keepPrivate, makeSecret } from './private-files.ts';
import type { Say } from './private-files.ts';

/** What a code is made for: a code of one kind of thing is never taken for another's. */
type Sealed = 'record' | 'document' | 'head';

/**
 * The key of the record: what only the processes of this installation can make. The chain of hashes alone proves order
 * and wholeness, and whoever writes the database can make one; the codes (HMAC-SHA-256, RFC 2104) prove who made it.
 */
export interface RecordKey {
  /** Where it is. */
  file: string;
  /** 64 hex digits over the canonical JSON of `value`. */
  seal(what: Sealed, value: unknown): string;
  /** Whether `code` is what `seal` gives. */
  isSealed(what: Sealed, value: unknown, code: unknown): boolean;
}

/** `keys/record.key` beside the database, or the file that CUTOVER_RECORD_KEY_FILE names: another disk, a mounted secret. */
export const recordKeyFile = (database: string, env: NodeJS.ProcessEnv = process.env): string =>
  env['CUTOVER_RECORD_KEY_FILE'] || join(dirname(database), 'keys', 'record.key');

/**
 * Makes the key when there is none. Called for a new record only: a record that exists and has lost its key must not
 * get another one, which would make all of it look forged.
 */
export const ensureRecordKey = (file: string): void =>
  makeSecret(file, `${randomBytes(32).toString('hex')}\n`, 'the key of the record');

/** @throws CutoverError StoreUnusable when it is missing, open to others, or no key */
export function readRecordKey(file: string, { isOurs, say }: { isOurs: boolean; say?: Say | undefined }): RecordKey {
  // A mounted secret may belong to root and be read through a group; the one that Cutover made is its owner's alone.
  if (isOurs) keepPrivate(file, say);
  else if (((statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o027) !== 0)
    throw new CutoverError('StoreUnusable', `the key of the record, ${file}, is open to other users`, {
      remedy: 'chmod 600 (or 440 for a mounted secret)',
    });
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new CutoverError(
      'StoreUnusable',
      isMissing
        ? `the key of the record is missing: ${file}. Without it no record can be written or verified, and a new key would make the old records look forged`
        : `the key of the record, ${file}, cannot be read: ${(cause as Error).message}`,
      {
        remedy: isMissing
          ? 'put the key back, or name it with CUTOVER_RECORD_KEY_FILE; to begin a new record, move the database and its .head away'
          : 'check the permissions of the file',
        cause,
      },
    );
  }
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new CutoverError('StoreUnusable', `${file} is no key of a record: a key is 64 hex digits`, {
      remedy: 'put the right file back',
    });
  return recordKey(Buffer.from(text, 'hex'), file);
}

/** @param secret 32 bytes */
export function recordKey(secret: Uint8Array, file = ''): RecordKey {
  const key = createSecretKey(secret);
  const seal = (what: Sealed, value: unknown): string =>
    createHmac('sha256', key)
      .update(`cutover ${what}\n${canonicalJson(value)}`)
      .digest('hex');
  return {
    file,
    seal,
    isSealed: (what, value, code) =>
      typeof code === 'string' &&
      /^[0-9a-f]{64}$/.test(code) &&
      timingSafeEqual(Buffer.from(code, 'hex'), Buffer.from(seal(what, value), 'hex')),
  };
}
