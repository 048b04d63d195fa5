import { setTimeout as sleep } from 'node:timers/promises';
import { HttpMethod, IsomorphicFetchHttpLibrary, RequestContext } from '@kubernetes/client-node';
import { CutoverError } from '../errors.ts';
import type { LoadedKubeconfig } from './kubeconfig.ts';

export interface ApiRequest {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  query?: { [name: string]: string | undefined };
  body?: unknown;
  contentType?: string;
  /** Media types of the answer. @default application/json */
  accept?: string;
  /** Of one try, ms. Default 30 s. */
  timeoutMs?: number;
  /** True when an answer that looks like throttling or a server error is what the caller asked for. */
  isAnswer?: (answer: ApiAnswer) => boolean;
}

export interface ApiAnswer {
  code: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the server sent, parsed
  body: any;
  /** Of the header Retry-After, ms; 0 when there is none. */
  retryAfterMs: number;
}

export type Send = (request: ApiRequest) => Promise<ApiAnswer>;

const maxTries = 6;
/** A server that is not there is reported soon: somebody may wait at a prompt, and Temporal tries again by itself. */
const maxConnectTries = 3;
/** The longest single wait that a Retry-After can ask for. */
const maxWaitMs = 10_000;
const retriedCodes = [429, 500, 502, 503, 504];

/**
 * One request to the API server, by the credentials of a kubeconfig, over one connection pool. Every request that
 * Cutover makes may be repeated, so throttling, server errors and lost connections are tried again, within bounds.
 *
 * Objects travel as plain JSON. client-node's own `KubernetesObjectApi` maps built-in kinds to the fields that its
 * generated models know and drops the rest, which would change a manifest on its way.
 *
 * @throws CutoverError ClusterUnreachable | KubeconfigInvalid
 */
export function createSend({ config, server, source }: LoadedKubeconfig): Send {
  const http = new IsomorphicFetchHttpLibrary();

  const once = async (request: ApiRequest): Promise<ApiAnswer> => {
    const url = new URL(server + request.path);
    for (const [name, value] of Object.entries(request.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, value);
    const context = new RequestContext(url.toString(), HttpMethod[request.method]);
    try {
      await config.applySecurityAuthentication(context);
    } catch (cause) {
      throw new CutoverError('KubeconfigInvalid', `the credentials of ${source} cannot be loaded: ${reasonOf(cause)}`, {
        cause,
      });
    }
    context.setHeaderParam('Accept', request.accept ?? 'application/json');
    if (request.body !== undefined) {
      context.setHeaderParam('Content-Type', request.contentType ?? 'application/json');
      context.setBody(JSON.stringify(request.body));
    }
    context.setSignal(AbortSignal.timeout(request.timeoutMs ?? 30_000));
    const response = await http.send(context).toPromise();
    const text = await response.body.text();
    return {
      code: response.httpStatusCode,
      body: parse(text),
      retryAfterMs: Number(response.headers['retry-after'] ?? 0) * 1000 || 0,
    };
  };

  return async (request) => {
    for (let tried = 1; ; tried++) {
      let answer: ApiAnswer;
      try {
        answer = await once(request);
      } catch (cause) {
        if (cause instanceof CutoverError) throw cause;
        if (isCertificateProblem(cause)) {
          throw new CutoverError(
            'KubeconfigInvalid',
            `the certificate of ${server} does not fit ${source}: ${reasonOf(cause)}`,
            { cause },
          );
        }
        if (tried < maxConnectTries) {
          await sleep(backoffMs(tried));
          continue;
        }
        throw new CutoverError('ClusterUnreachable', `nothing answers at ${server} (${source}): ${reasonOf(cause)}`, {
          cause,
        });
      }
      if (!retriedCodes.includes(answer.code) || request.isAnswer?.(answer)) return answer;
      if (tried >= maxTries) {
        throw new CutoverError(
          'ClusterUnreachable',
          `${server} keeps answering ${answer.code} to ${request.method} ${request.path}: ${statusMessage(answer)}`,
          { details: { code: answer.code } },
        );
      }
      await sleep(Math.min(maxWaitMs, answer.retryAfterMs || backoffMs(tried)));
    }
  };
}

/** The error of an answer that is none: what was asked, the code, and the server's own words. */
export function refused({ method, path }: Pick<ApiRequest, 'method' | 'path'>, answer: ApiAnswer): CutoverError {
  const remedy =
    answer.code === 401
      ? { remedy: 'renew the credentials of the kubeconfig' }
      : answer.code === 403
        ? { remedy: 'give the user of the kubeconfig that permission' }
        : {};
  return new CutoverError('KubernetesRefused', `${method} ${path}: ${answer.code}, ${statusMessage(answer)}`, {
    ...remedy,
    details: { code: answer.code, reason: String(answer.body?.reason ?? '') },
  });
}

/** HTTP status of an error that `refused` made, 0 of anything else. */
export const codeOf = (error: unknown): number =>
  error instanceof CutoverError ? ((error.details as { code?: number } | undefined)?.code ?? 0) : 0;

export const backoffMs = (tried: number): number => Math.min(5_000, 100 * 2 ** tried) * (0.5 + Math.random() / 2);

const statusMessage = ({ body }: ApiAnswer): string =>
  String(body?.message ?? body ?? '').slice(0, 400) || 'without a message';

function parse(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** undici says `fetch failed` and keeps the reason in `cause`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  if (error.cause instanceof AggregateError && error.cause.errors[0] instanceof Error)
    return reasonOf(error.cause.errors[0]);
  if (error.cause instanceof Error) return reasonOf(error.cause);
  const code = (error as NodeJS.ErrnoException).code;
  const words: { [code: string]: string } = {
    ECONNREFUSED: 'connection refused',
    ENOTFOUND: 'no such host',
    ECONNRESET: 'connection reset',
  };
  return (code && words[code]) ?? error.message.split('\n')[0]!;
}

function isCertificateProblem(error: unknown): boolean {
  const code = (error as { cause?: { code?: string } }).cause?.code ?? '';
  return /CERT|UNABLE_TO|SELF_SIGNED|ALTNAME|ISSUER/.test(code);
}
