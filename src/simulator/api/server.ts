import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ApiFault, ApiServerOptions, Context, FaultRequest, Reply } from './api-server-types.ts';
import { bootstrap } from './bootstrap.ts';
import { aggregated, coreVersions, groupList, groupOf, KUBERNETES_VERSION, resourceList } from './discovery.ts';
import { exec } from './exec.ts';
import {
  handleCreate,
  handleDelete,
  handleDeleteCollection,
  handleGet,
  handleList,
  handlePatch,
  handleUpdate,
} from './handlers.ts';
import { openApiIndex, openApiV2, openApiV3 } from './openapi.ts';
import { parseBody, readBody, requestOf, targetOf, type ApiRequest } from './request.ts';
import { createResourceTable } from './resources.ts';
import { badRequest, methodNotAllowed, statusError, statusOf, type StatusDetails } from './status-error.ts';
import { handleSubresource, isReview, review } from './subresources.ts';
import { watch } from './watch.ts';

export interface ApiServer {
  /** `http://127.0.0.1:<port>` */
  url: string;
  /** Ends every watch and connection. */
  stop(): Promise<void>;
}

/**
 * The Kubernetes API over plain HTTP, on the objects of the store. Makes the namespaces and the `kubernetes` Service
 * that every cluster has.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { store, clock, kubelets, latencyMs = 0, faults, bookmarkIntervalMs = 10_000 } = options;
  const table = createResourceTable(store);
  const context: Context = { store, clock, kubelets, table, bookmarkIntervalMs };
  const watches = new Set<() => void>();
  bootstrap(store);

  async function answer(message: IncomingMessage, response: ServerResponse) {
    const url = new URL(message.url ?? '/', 'http://localhost');
    try {
      const bytes = await readBody(message);
      const delay = typeof latencyMs === 'number' ? latencyMs : latencyMs();
      if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
      const target = targetOf(table, url.pathname);
      // A kind that is not served is 404, whatever was sent.
      const isRead = target !== undefined || isReview(url.pathname);
      const body = isRead ? parseBody(bytes, message.headers['content-type']) : undefined;
      const request = target && requestOf(target, message, url, body);
      const fault = faults?.next(faultRequest(message, url, request));
      if (fault !== undefined && !(fault.inStream === true && request?.verb === 'watch')) throw faultError(fault);
      if (fault !== undefined) {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(faultError(fault)) })}\n`);
        return;
      }
      if (request?.verb === 'watch' && request.subresource === undefined) {
        const end = watch({ store, clock, bookmarkIntervalMs }, request, response);
        watches.add(end);
        response.on('close', () => watches.delete(end));
        return;
      }
      send(response, request === undefined ? plain(message, url, body) : route(context, request));
    } catch (error) {
      if (response.headersSent) response.destroy();
      else send(response, failure(error));
    }
  }

  /** Everything that is no resource: discovery, versions, health, OpenAPI, reviews. */
  function plain(message: IncomingMessage, url: URL, body: unknown): Reply {
    const path = url.pathname.replace(/\/$/, '') || '/';
    const reviewed = message.method === 'POST' ? review(path, body) : undefined;
    const reply =
      reviewed ?? (message.method === 'GET' || message.method === 'HEAD' ? document(message, path) : undefined);
    if (reply === undefined) throw statusError(404, 'NotFound', 'the server could not find the requested resource');
    return reply;
  }

  function document({ headers }: IncomingMessage, path: string): Reply | undefined {
    const accept = headers.accept ?? '';
    const ok = (body: object | undefined): Reply | undefined => body && { code: 200, body };
    if (['/healthz', '/livez', '/readyz'].some((each) => path === each || path.startsWith(`${each}/`))) {
      return { code: 200, body: 'ok', contentType: 'text/plain; charset=utf-8' };
    }
    if (path === '/version') return ok(KUBERNETES_VERSION);
    if (path === '/api' || path === '/apis') {
      const wanted = /g=apidiscovery\.k8s\.io;v=(v2beta1|v2);as=APIGroupDiscoveryList/.exec(accept)?.[1];
      if (wanted === undefined) return ok(path === '/api' ? coreVersions(headers.host ?? '') : groupList(table));
      const contentType = `application/json;g=apidiscovery.k8s.io;v=${wanted};as=APIGroupDiscoveryList`;
      return { code: 200, body: aggregated(table, path === '/api', wanted), contentType };
    }
    const [, root, group = '', version] = path.split('/');
    if (root === 'api' && path.split('/').length === 3) return ok(resourceList(table, '', group));
    if (root === 'apis' && path.split('/').length <= 4) {
      return ok(version === undefined ? groupOf(table, group) : resourceList(table, group, version));
    }
    if (path === '/openapi/v3') return ok(openApiIndex(table));
    if (path.startsWith('/openapi/v3/')) return ok(openApiV3(table, path.slice('/openapi/v3/'.length)));
    if (path === '/openapi/v2') {
      if (accept !== '' && !/json|\*\/\*/.test(accept))
        throw statusError(406, 'NotAcceptable', 'only application/json is served');
      return ok(openApiV2(table));
    }
    if (path === '/')
      return ok({
        paths: ['/api', '/apis', '/healthz', '/livez', '/openapi/v2', '/openapi/v3', '/readyz', '/version'],
      });
    return undefined;
  }

  const server = createServer((message, response) => void answer(message, response));
  server.keepAliveTimeout = 60_000;
  server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    const url = new URL(message.url ?? '/', 'http://localhost');
    socket.on('error', () => socket.destroy());
    try {
      const target = targetOf(table, url.pathname);
      if (target?.served.resource !== 'pods' || target.subresource !== 'exec')
        throw badRequest('only pods/exec is a socket');
      const request = requestOf(target, message, url, undefined);
      const fault = faults?.next(faultRequest(message, url, request));
      if (fault !== undefined) throw faultError(fault);
      exec(context, request, message, socket, head);
    } catch (error) {
      refuseUpgrade(socket, error);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  const { address, port } = server.address() as AddressInfo;

  return {
    url: `http://${address}:${port}`,
    async stop() {
      table.stop();
      for (const end of watches) end();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function route(context: Context, request: ApiRequest): Reply {
  const { verb, subresource, served } = request;
  const isStatus = subresource === 'status' && served.hasStatus;
  if (subresource !== undefined && !isStatus) return handleSubresource(context, request);
  if (served.namespaced && request.namespace === undefined && !['list', 'watch'].includes(verb))
    throw methodNotAllowed();
  if (isStatus && !['get', 'update', 'patch'].includes(verb)) throw methodNotAllowed();
  const handler = {
    get: handleGet,
    list: handleList,
    create: handleCreate,
    update: handleUpdate,
    patch: handlePatch,
    delete: handleDelete,
    deletecollection: handleDeleteCollection,
  }[verb];
  if (handler === undefined) throw methodNotAllowed();
  return handler(context, request);
}

function faultRequest({ method = 'GET' }: IncomingMessage, url: URL, request: ApiRequest | undefined): FaultRequest {
  const { verb = method.toLowerCase(), namespace, name, subresource } = request ?? {};
  return {
    method,
    path: url.pathname,
    verb,
    resource: request?.served.resource ?? '',
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

function faultError({ status, retryAfter }: ApiFault) {
  if (status === 429) {
    const message = 'Too many requests, please try again later.';
    return statusError(429, 'TooManyRequests', message, { retryAfterSeconds: retryAfter ?? 1 });
  }
  if (status === 410) return statusError(410, 'Expired', 'The resourceVersion for the provided watch is too old.');
  return statusError(500, 'InternalError', 'Internal error occurred: etcdserver: request timed out');
}

function failure(error: unknown): Reply {
  const status = statusOf(error);
  const { retryAfterSeconds } = (status['details'] ?? {}) as StatusDetails;
  const token = (error as { continue?: string }).continue;
  const body = token === undefined ? status : { ...status, metadata: { continue: token } };
  const headers: Record<string, string> = {};
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(retryAfterSeconds);
  return { code: status.code, body, headers };
}

function send(response: ServerResponse, { code, body, contentType = 'application/json', headers = {} }: Reply) {
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
  response.writeHead(code, { 'content-type': contentType, 'content-length': Buffer.byteLength(text), ...headers });
  response.end(text);
}

function refuseUpgrade(socket: Duplex, error: unknown) {
  const status = statusOf(error);
  const text = JSON.stringify(status);
  socket.end(
    `HTTP/1.1 ${status.code} ${String(status['reason'])}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}
