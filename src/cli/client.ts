import { randomBytes, randomUUID } from 'node:crypto';
import { CutoverError } from '../errors.ts';
import { fromErrorBody } from '../server/errors.ts';
import {
  answerProof,
  authorizationOf,
  digestOf,
  equalSecrets,
  requestSignature,
  serverProof,
} from '../server/signature.ts';
import { exchange, readWhole, type Transport } from './transport.ts';

export interface ApiOptions extends Transport {
  /** Never sent: requests are signed with it. */
  token: string;
  /** The acting person. */
  actor: string;
  timeoutMs: number;
}

export interface ApiRequest {
  query?: { [name: string]: string | number | undefined };
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Names the request; a new one by default. */
  requestId?: string;
}

/** The server's API as the commands use it. Every method throws CutoverError: the server's own, or ServerUnreachable. */
export interface Api {
  readonly url: string;
  get<T>(path: string, request?: ApiRequest): Promise<T>;
  text(path: string, request?: ApiRequest): Promise<string>;
  /** Safe to repeat: the request carries an id, and an outcome that is not known is asked for once more. */
  post<T>(path: string, body: unknown, request?: ApiRequest): Promise<T>;
  /** Server-sent events: calls back with each event's id until the stream ends or `signal` aborts. */
  events(
    path: string,
    onEvent: (event: { id: number; kind: string; data: string }) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

/** What the server answers before it has looked at the signature: refusals, from which nothing follows. */
const unsigned: ReadonlySet<number> = new Set([400, 401, 403, 408, 413, 429, 431]);

const newNonce = (): string => randomBytes(18).toString('base64url');

/**
 * The token stays here. Before anything else the server shows that it knows the token (whoever holds a port could ask
 * for it otherwise); then each request is signed, and each answer but a stream of events is signed by the server.
 */
export function createApi({ url, ca, token, actor, timeoutMs }: ApiOptions): Api {
  const transport: Transport = { url: url.replace(/\/+$/, ''), ...(ca === undefined ? {} : { ca }) };
  let proven = false;

  async function proveServer(signal: AbortSignal): Promise<void> {
    const nonce = newNonce();
    const headers = { 'x-cutover-nonce': nonce };
    const answer = await exchange(transport, { method: 'GET', target: '/v1/identity', headers, signal });
    const { proof } = (jsonIn(await readWhole(answer)) ?? {}) as { proof?: unknown };
    if (!equalSecrets(String(proof), serverProof(token, nonce))) throw notProven(url);
    proven = true;
  }

  const send = async <T>(
    path: string,
    init: { method: string; body?: string; headers?: Record<string, string> },
    { query = {}, timeoutMs: limit = timeoutMs, signal }: ApiRequest,
    read: (answer: Awaited<ReturnType<typeof exchange>>, check: (body: Buffer) => void) => Promise<T>,
  ): Promise<T> => {
    if (token === '') throw new CutoverError('Unauthorized', 'there is no token to ask the server with');
    const limits = AbortSignal.any([...(limit > 0 ? [AbortSignal.timeout(limit)] : []), ...(signal ? [signal] : [])]);
    const asked = Object.entries(query).flatMap(([name, value]): [string, string][] =>
      value === undefined || value === '' ? [] : [[name, String(value)]],
    );
    const { pathname, search, searchParams } = new URL(path, 'http://localhost');
    for (const [name, value] of asked) searchParams.set(name, value);
    const target = pathname + (asked.length > 0 ? `?${searchParams.toString()}` : search);
    const names = {
      ...(actor === '' ? {} : { 'x-cutover-actor': encodeURIComponent(actor) }),
      'x-request-id': randomUUID() as string,
      ...init.headers,
    };
    const what = { body: digestOf(init.body ?? ''), time: Date.now(), nonce: newNonce() };
    const signature = requestSignature(token, {
      method: init.method,
      target,
      actor: names['x-cutover-actor'] ?? '',
      request: names['x-request-id'],
      ...what,
    });
    const headers = { ...names, authorization: authorizationOf(what, signature) };
    try {
      // Once for reading; each time before something is told that others may not hear.
      if (!proven || init.body !== undefined) await proveServer(limits);
      const answer = await exchange(transport, { ...init, target, headers, signal: limits });
      const status = answer.statusCode ?? 0;
      const check = (body: Buffer): void => {
        const proof = String(answer.headers['x-cutover-proof']);
        if (!equalSecrets(proof, answerProof(token, signature, status, digestOf(body)))) throw notProven(url);
      };
      if (status < 200 || status > 299) {
        const body = await readWhole(answer);
        if (!unsigned.has(status)) check(body);
        throw fromErrorBody(jsonIn(body), status);
      }
      return await read(answer, check);
    } catch (error) {
      throw unreachable(error, url, limit, signal);
    }
  };
  const text = (path: string, init: Parameters<typeof send>[1], request: ApiRequest): Promise<string> =>
    send(path, init, request, async (answer, check) => {
      const body = await readWhole(answer);
      check(body);
      return body.toString();
    });

  return {
    url,
    get: async <T>(path: string, request: ApiRequest = {}) =>
      JSON.parse(await text(path, { method: 'GET' }, request)) as T,
    text: (path, request = {}) => text(path, { method: 'GET' }, request),
    post: async <T>(path: string, body: unknown, request: ApiRequest = {}) => {
      const init = {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', 'x-request-id': request.requestId ?? randomUUID() },
      };
      try {
        return JSON.parse(await text(path, init, request)) as T;
      } catch (error) {
        const safe =
          error instanceof CutoverError &&
          (error.details as { safeToRepeat?: boolean } | undefined)?.safeToRepeat === true;
        if (!safe) throw error;
        return JSON.parse(await text(path, init, request)) as T;
      }
    },
    events: (path, onEvent, signal) =>
      send(
        path,
        { method: 'GET', headers: { accept: 'text/event-stream' } },
        { timeoutMs: 0, signal },
        async (answer) => {
          let buffer = '';
          answer.setEncoding('utf8');
          for await (const chunk of answer) {
            buffer += chunk as string;
            const blocks = buffer.split('\n\n');
            buffer = blocks.pop() ?? '';
            for (const block of blocks) {
              const fields = new Map(
                block
                  .split('\n')
                  .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trimStart()]),
              );
              const id = Number(fields.get('id'));
              if (id > 0) onEvent({ id, kind: fields.get('event') ?? '', data: fields.get('data') ?? '' });
            }
          }
        },
      ),
  };
}

const notProven = (url: string): CutoverError =>
  new CutoverError('Unauthorized', `what answers at ${url} does not prove that it knows the token`, {
    remedy:
      'the token was not sent. Find out who listens there; if it is your server, set CUTOVER_TOKEN, CUTOVER_TOKEN_FILE or CUTOVER_HOME to what it uses',
  });

function jsonIn(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function unreachable(error: unknown, url: string, timeoutMs: number, signal: AbortSignal | undefined): unknown {
  if (error instanceof CutoverError || signal?.aborted) return error;
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return new CutoverError(
      'ServerUnreachable',
      `the Cutover server at ${url} did not answer within ${timeoutMs / 1000} s`,
      {
        remedy: 'see `cutover status` before you repeat it, or give it longer with --request-timeout',
      },
    );
  const { code = '' } = error as NodeJS.ErrnoException;
  if (/CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO/.test(code))
    return new CutoverError(
      'ServerUnreachable',
      `the certificate of ${url} is not trusted: ${(error as Error).message}`,
      {
        remedy: 'set CUTOVER_CA_FILE to the certificate of the authority that signed it',
        cause: error,
      },
    );
  return new CutoverError('ServerUnreachable', `no Cutover server answers at ${url}`, { cause: error });
}
