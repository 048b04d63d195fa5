import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CutoverError } from '../errors.ts';
import { makeSecret } from '../store/private-files.ts';
import type { PayloadKey } from './codec.ts';

/** `keys/temporal.keys` in the home, or the file that CUTOVER_TEMPORAL_KEYS_FILE names (a mounted secret). */
export const temporalKeysFile = (home: string, env: NodeJS.ProcessEnv = process.env): string =>
  env['CUTOVER_TEMPORAL_KEYS_FILE'] || join(home, 'keys', 'temporal.keys');

/**
 * The keys by which this installation's server and workers read what Temporal holds: a line each, `<id> <64 hex digits>`. The first
 * one writes; to rotate, put a new line first, start every process again, and take the old line away once no migration needs it.
 * The file in the home is made at the first start; one that CUTOVER_TEMPORAL_KEYS_FILE names has to be there.
 *
 * @throws CutoverError Usage when it is missing, open to others, or no list of keys
 */
export function temporalKeys(home: string, env: NodeJS.ProcessEnv = process.env): PayloadKey[] {
  const file = temporalKeysFile(home, env);
  const isOurs = !env['CUTOVER_TEMPORAL_KEYS_FILE'];
  if (isOurs) makeSecret(file, `${today()} ${randomBytes(32).toString('hex')}\n`, 'the keys for Temporal');
  let lines: string[];
  try {
    const { mode } = statSync(file);
    if ((mode & 0o027) !== 0)
      throw new CutoverError('Usage', `the keys for Temporal, ${file}, are open to other users`, {
        remedy: `chmod ${isOurs ? '600' : '600 (or 440 for a mounted secret)'} ${file}`,
      });
    lines = readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
  } catch (cause) {
    if (cause instanceof CutoverError) throw cause;
    throw new CutoverError('Usage', `the keys for Temporal, ${file}, cannot be read: ${(cause as Error).message}`, {
      remedy: 'put the file there that the other processes of this installation use',
      cause,
    });
  }
  return lines.length > 0 ? lines.map((line, index) => keyOf(line, index + 1, file)) : [keyOf('', 1, file)];
}

/** Names a key by the day on which it was made: people see which is the older one. */
const today = (): string => new Date().toISOString().slice(0, 10);

function keyOf(line: string, number: number, file: string): PayloadKey {
  const [, id, secret] = /^([\w.-]{1,32})\s+([0-9a-f]{64})$/.exec(line) ?? [];
  if (id === undefined || secret === undefined)
    throw new CutoverError('Usage', `line ${number} of ${file} is no key: it has to be an id and 64 hex digits`, {
      remedy: 'put the right file back',
    });
  return { id, secret: Buffer.from(secret, 'hex') };
}
