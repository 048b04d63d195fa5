import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/**
 * How the CLI and the server show each other that they know the token without sending it. Each side signs with the
 * token as the key (HMAC-SHA256); each kind of message has a label of its own, so that none can stand for another.
 */

export interface SignedRequest {
  method: string;
  /** Path and query below the address of the server: a proxy may put a prefix before it. */
  target: string;
  /** As in the header x-cutover-actor. */
  actor: string;
  /** As in the header x-request-id. */
  request: string;
  /** SHA-256 of the body, base64url. */
  body: string;
  /** ms since the epoch. */
  time: number;
  /** Used once. */
  nonce: string;
}

const hmac = (token: string, parts: readonly (string | number)[]): string =>
  createHmac('sha256', token).update(JSON.stringify(parts)).digest('base64url');

export const digestOf = (body: string | Uint8Array): string => createHash('sha256').update(body).digest('base64url');

/** What a server answers to `nonce` before a client tells it anything. */
export const serverProof = (token: string, nonce: string): string => hmac(token, ['cutover-server', nonce]);

export const requestSignature = (
  token: string,
  { method, target, actor, request, body, time, nonce }: SignedRequest,
): string => hmac(token, ['cutover-request', method, target, actor, request, body, time, nonce]);

/** Ties an answer to the request that it answers. */
export const answerProof = (token: string, signature: string, status: number, body: string): string =>
  hmac(token, ['cutover-answer', signature, status, body]);

/** Compares without telling by its time how much was right. */
export function equalSecrets(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

const scheme = 'Cutover';

export const authorizationOf = (
  { time, nonce, body }: Pick<SignedRequest, 'time' | 'nonce' | 'body'>,
  signature: string,
): string => `${scheme} time=${time}, nonce=${nonce}, body=${body}, signature=${signature}`;

export interface Authorization {
  time: number;
  nonce: string;
  body: string;
  signature: string;
}

/** The parts of such a header, undefined when it is another one. */
export function parseAuthorization(header: string): Authorization | undefined {
  const match = /^Cutover time=(\d{1,15}), nonce=([\w-]{16,64}), body=([\w-]{43}), signature=([\w-]{43})$/.exec(header);
  if (!match) return undefined;
  const [, time, nonce, body, signature] = match as unknown as [string, string, string, string, string];
  return { time: Number(time), nonce, body, signature };
}
