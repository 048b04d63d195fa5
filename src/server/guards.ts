import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { isIP } from 'node:net';
import { CutoverError } from '../errors.ts';
import { hiddenCharacter } from '../names.ts';
import type { ServerEnv } from './context.ts';
import { answerProof, digestOf } from './signature.ts';

/** What holds of every request before anything looks at what it asks. */

/** Largest body of a request, in bytes; a file of observed flows may be larger. */
const bodyBytes = { request: 1024 * 1024, flows: 4 * 1024 * 1024 };

const limited = (maxSize: number): MiddlewareHandler<ServerEnv> =>
  bodyLimit({
    maxSize,
    onError: () => {
      throw new CutoverError('TooLarge', `the body of the request is larger than ${maxSize / 1024 / 1024} MiB`);
    },
  });
const [limitRequest, limitFlows] = [limited(bodyBytes.request), limited(bodyBytes.flows)];

/** @throws CutoverError TooLarge */
export const limitBody: MiddlewareHandler<ServerEnv> = (c, next) =>
  (/^\/v1\/plans\/[^/]+\/policy$/.test(c.req.path) ? limitFlows : limitRequest)(c, next);

/**
 * Keeps web pages away: one that rebinds its DNS name to this address says so in Host, one of another origin in Origin.
 * @throws CutoverError NotAllowed
 */
export function refuseForeignPages(c: Context<ServerEnv>, names: readonly string[]): void {
  const host = c.req.header('host') ?? '';
  const name = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '') : '';
  if (name !== 'localhost' && isIP(name) === 0 && !names.some((known) => known.toLowerCase() === name))
    throw new CutoverError('NotAllowed', `this server does not go by the name ${hostWord(name)}`, {
      remedy: 'ask it by its address, or start it with --server-name NAME',
    });
  const origin = c.req.header('origin');
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
    throw new CutoverError('NotAllowed', 'a page of another origin may not use this server', {
      remedy: 'use the CLI, or a program that sends no Origin',
    });
}

const hostWord = (name: string): string => (name === '' ? 'that the request gives' : name.slice(0, 253));

/** The path and the query are percent-encoded UTF-8 without hidden characters. @throws CutoverError Usage */
export function plainPath(c: Context<ServerEnv>): void {
  const { pathname, search } = new URL(c.req.url);
  let text: string;
  try {
    text = decodeURIComponent(pathname + search.replaceAll('+', ' '));
  } catch {
    throw new CutoverError('Usage', 'the address of the request has a percent sign that encodes no UTF-8', {
      remedy: 'write a percent sign as %25',
    });
  }
  const hidden = hiddenCharacter(text);
  if (hidden)
    throw new CutoverError('Usage', `the address of the request has a character that cannot be seen (${hidden})`);
}

/** Signs the answer to a signed request, so that nothing between can change it. A stream has no end to sign. */
export const proveAnswer =
  (token: string): MiddlewareHandler<ServerEnv> =>
  async (c, next) => {
    await next();
    const signature = c.get('signature');
    if (signature === undefined || c.res.headers.get('content-type')?.startsWith('text/event-stream')) return;
    const body = new Uint8Array(await c.res.arrayBuffer());
    c.res = new Response(body, c.res);
    c.res.headers.set('x-cutover-proof', answerProof(token, signature, c.res.status, digestOf(body)));
  };
