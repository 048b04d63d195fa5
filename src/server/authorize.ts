import type { Context } from 'hono';
import { CutoverError } from '../errors.ts';
import type { ServerEnv } from './context.ts';
import { digestOf, equalSecrets, parseAuthorization, requestSignature } from './signature.ts';

/** A signature counts this long, in ms: clocks of two machines differ. */
const signatureAgeMs = 5 * 60_000;
/** Requests without the right token that are answered in a minute, all callers together; the rest get a short 429. */
const refusalsAMinute = 120;

/**
 * Lets a request through that knows the token: by a signature (the CLI), or by sending it (`Authorization: Bearer`).
 * One that does not is counted, and written down nowhere: the name that it gives proves nothing.
 */
export function createAuthorizer(token: string, onRefused: (refused: number) => void) {
  const nonces = new Map<string, number>();
  let refused = 0;
  let minute = 0;
  let inMinute = 0;

  /** Refuses a nonce that was used before; forgets those whose signature no longer counts. */
  function isFirstUse(nonce: string, time: number, now: number): boolean {
    for (const [old, at] of nonces) {
      if (at > now - 2 * signatureAgeMs) break;
      nonces.delete(old);
    }
    if (nonces.has(nonce) || Math.abs(now - time) > signatureAgeMs) return false;
    nonces.set(nonce, now);
    return true;
  }

  async function knowsToken(c: Context<ServerEnv>): Promise<boolean> {
    const header = c.req.header('authorization') ?? '';
    const bearer = /^Bearer (.+)$/i.exec(header)?.[1];
    if (bearer !== undefined) return equalSecrets(bearer, token);
    const given = parseAuthorization(header);
    if (!given) return false;
    const { pathname, search } = new URL(c.req.url);
    const signature = requestSignature(token, {
      method: c.req.method,
      target: pathname + search,
      actor: c.req.header('x-cutover-actor') ?? '',
      request: c.req.header('x-request-id') ?? '',
      ...given,
    });
    // The body is read only when the rest is right.
    const right =
      equalSecrets(signature, given.signature) &&
      isFirstUse(given.nonce, given.time, Date.now()) &&
      digestOf(new Uint8Array(await c.req.arrayBuffer())) === given.body;
    // Only then its answer is signed: an answer to somebody else's signature would pass for one to that request.
    if (right) c.set('signature', signature);
    return right;
  }

  return {
    /** Requests without the right token since this process began. */
    refused: () => refused,
    /** @throws CutoverError Unauthorized | TooManyRequests */
    check: async (c: Context<ServerEnv>): Promise<void> => {
      if (token !== '' && (await knowsToken(c))) return;
      const now = Math.floor(Date.now() / 60_000);
      if (now !== minute) [minute, inMinute] = [now, 0];
      if (inMinute === 0) onRefused(refused + 1);
      refused++;
      if (++inMinute > refusalsAMinute)
        throw new CutoverError('TooManyRequests', 'too many requests came without the right token in this minute');
      throw new CutoverError('Unauthorized', 'the token is missing or wrong');
    },
  };
}
