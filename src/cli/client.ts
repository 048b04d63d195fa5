import { randomUUID } from 'node:crypto';
import { CutoverError } from '../errors.ts';
import { fromErrorBody } from '../server/errors.ts';

export interface ApiOptions {
  /** `http://127.0.0.1:7777` */
  url: string;
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

export function createApi({ url, token, actor, timeoutMs }: ApiOptions): Api {
  const send = async (
    path: string,
    init: RequestInit,
    { query = {}, timeoutMs: limit = timeoutMs, signal }: ApiRequest,
  ): Promise<Response> => {
    const target = new URL(`${url.replace(/\/+$/, '')}${path}`);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined && value !== '') target.searchParams.set(name, String(value));
    const limits = [...(limit > 0 ? [AbortSignal.timeout(limit)] : []), ...(signal ? [signal] : [])];
    const headers = {
      ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
      ...(actor === '' ? {} : { 'x-cutover-actor': encodeURIComponent(actor) }),
      ...(init.headers as Record<string, string> | undefined),
    };
    try {
      const response = await fetch(target, { ...init, headers, signal: AbortSignal.any(limits) });
      if (!response.ok) throw fromErrorBody(await response.json().catch(() => undefined), response.status);
      return response;
    } catch (error) {
      throw unreachable(error, url, limit, signal);
    }
  };

  return {
    url,
    get: async <T>(path: string, request: ApiRequest = {}) => (await send(path, {}, request)).json() as Promise<T>,
    text: async (path, request = {}) => (await send(path, {}, request)).text(),
    post: async <T>(path: string, body: unknown, request: ApiRequest = {}) => {
      const init = {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', 'x-request-id': request.requestId ?? randomUUID() },
      };
      try {
        return (await (await send(path, init, request)).json()) as T;
      } catch (error) {
        const safe =
          error instanceof CutoverError &&
          (error.details as { safeToRepeat?: boolean } | undefined)?.safeToRepeat === true;
        if (!safe) throw error;
        return (await (await send(path, init, request)).json()) as T;
      }
    },
    events: async (path, onEvent, signal) => {
      const response = await send(path, { headers: { accept: 'text/event-stream' } }, { timeoutMs: 0, signal });
      let buffer = '';
      const decoder = new TextDecoder();
      for await (const chunk of response.body ?? []) {
        buffer += decoder.decode(chunk as Uint8Array, { stream: true });
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
  };
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
  return new CutoverError('ServerUnreachable', `no Cutover server answers at ${url}`, { cause: error });
}
