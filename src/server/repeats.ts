import type { MiddlewareHandler } from 'hono';
import { CutoverError } from '../errors.ts';
import type { ServerEnv } from './context.ts';
import { digestOf } from './signature.ts';

/** Requests that are remembered, newest last. What changes a migration is in the record, too, without a limit. */
const remembered = 2_000;

/** Of a request that was refused because its id belongs to another one. */
export const idUsed = (request: string): CutoverError =>
  new CutoverError(
    'RequestIdUsed',
    `the request id ${request} was used before, for another act, by another person or with another body; nothing was done`,
  );

/**
 * A request id stands for one actor, act and body: the same again gets the answer that the first one got, another one
 * is refused. Sets `fingerprint`, by which the record of the request tells the same after a restart.
 *
 * @throws CutoverError RequestIdUsed
 */
export function createRepeats(): MiddlewareHandler<ServerEnv> {
  const known = new Map<string, { fingerprint: string; answer?: Response }>();

  return async (c, next) => {
    const request = c.get('request');
    const body = new Uint8Array(await c.req.arrayBuffer());
    const fingerprint = digestOf(JSON.stringify([c.get('actor'), c.req.method, c.req.path, digestOf(body)]));
    c.set('fingerprint', fingerprint);
    const earlier = known.get(request);
    if (earlier && earlier.fingerprint !== fingerprint) throw idUsed(request);
    if (earlier?.answer) {
      c.res = earlier.answer.clone();
      return;
    }
    const entry: { fingerprint: string; answer?: Response } = { fingerprint };
    known.set(request, entry);
    if (known.size > remembered) known.delete(known.keys().next().value!);
    await next();
    if (c.res.ok && c.req.path.startsWith('/v1/migrations')) entry.answer = c.res.clone();
  };
}
