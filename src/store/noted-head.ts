import { CutoverError } from '../errors.ts';
import { bareHash } from '../plan/hash.ts';
import type { NotedHead } from './types.ts';

/** Reads `SEQ:HASH`, as `audit verify` prints it, or `sha256:HASH`. @throws CutoverError Usage */
export function notedHead(written: string): NotedHead {
  const [, seq, hash] = /^(?:(\d{1,15}):)?((?:sha256:)?[0-9a-f]{64})$/i.exec(written.trim()) ?? [];
  if (hash === undefined)
    throw new CutoverError('Usage', `"${written.slice(0, 80)}" is no head of a record`, {
      remedy: 'write SEQ:HASH as `cutover audit verify` prints it, or sha256:HASH',
    });
  return { ...(seq !== undefined && { seq: Number(seq) }), hash: bareHash(hash) };
}
