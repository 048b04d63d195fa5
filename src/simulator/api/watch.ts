import type { ServerResponse } from 'node:http';
import type { KubernetesObject, SimClock } from '../types.ts';
import { matcherOf, requireKnownVersion, wantsBookmarks } from './list.ts';
import type { ApiObjectStore, StoredEvent } from './object-store.ts';
import { isTrue, type ApiRequest } from './request.ts';
import { apiVersionOf } from './resources.ts';
import { badRequest, expired, statusOf } from './status-error.ts';
import { metadataOf, tableOf } from './tables.ts';
import { encode, storageOf, toServed } from './wire.ts';

/** The API server ends a watch without `timeoutSeconds` after 30 to 60 minutes. */
const DEFAULT_TIMEOUT_SECONDS = 1800;

export interface WatchOptions {
  store: ApiObjectStore;
  clock: SimClock;
  bookmarkIntervalMs: number;
}

/**
 * Streams changes until the client leaves, `timeoutSeconds` end or the server stops. A version that the history no
 * longer reaches is answered in the stream by an ERROR event with code 410.
 * @returns the way to end it
 */
export function watch(
  { store, clock, bookmarkIntervalMs }: WatchOptions,
  request: ApiRequest,
  response: ServerResponse,
) {
  const { served, query } = request;
  const asked = query.get('resourceVersion') ?? '';
  requireKnownVersion(store, asked);
  const wantsInitial = query.get('sendInitialEvents');
  if (isTrue(wantsInitial) && query.get('resourceVersionMatch') !== 'NotOlderThan') {
    throw badRequest('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  }
  const resource = storageOf(served);
  const matches = matcherOf(request);
  const sendState = wantsInitial === null ? asked === '' || asked === '0' : isTrue(wantsInitial);
  const missed = sendState || asked === '' || asked === '0' ? [] : store.history(resource, Number(asked));

  response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
  response.flushHeaders();
  if (missed === undefined) {
    const error = expired(`too old resource version: ${asked} (${store.resourceVersion})`);
    response.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(error) })}\n`);
    return () => undefined;
  }

  let first = true;
  const send = (type: string, object: KubernetesObject) => {
    response.write(`{"type":"${type}","object":${body(object, first)}}\n`);
    first = false;
  };

  function body(object: KubernetesObject, definitions: boolean): string {
    if (request.format === 'metadata') return JSON.stringify(metadataOf(object));
    if (request.format === 'object') return encode(toServed(served, object));
    const include = query.get('includeObject') ?? 'Metadata';
    const metadata = { resourceVersion: object.metadata.resourceVersion };
    const options = { now: clock.now(), include, definitions };
    return JSON.stringify(tableOf(served, [toServed(served, object)], metadata, options));
  }

  const bookmark = (initialEnd: boolean) => {
    const metadata = {
      name: '',
      resourceVersion: String(store.resourceVersion),
      ...(initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    };
    const object = { kind: served.kind, apiVersion: apiVersionOf(served), metadata };
    const { kind, apiVersion } = object;
    const text =
      request.format === 'table'
        ? JSON.stringify({
            kind: 'Table',
            apiVersion: 'meta.k8s.io/v1',
            metadata: { resourceVersion: metadata.resourceVersion },
            columnDefinitions: null,
            rows: [{ cells: [], object: { kind, apiVersion, metadata } }],
          })
        : JSON.stringify(object);
    response.write(`{"type":"BOOKMARK","object":${text}}\n`);
  };

  function forward({ type, object, previous }: StoredEvent) {
    const isIn = type !== 'DELETED' && matches(object);
    const wasIn = previous !== undefined && matches(previous);
    // Leaving the selection looks like a deletion, entering it like a creation; the version is that of the change.
    if (isIn) send(wasIn ? 'MODIFIED' : 'ADDED', object);
    else if (wasIn) send('DELETED', type === 'DELETED' ? object : withVersion(previous, object));
  }

  if (sendState) {
    for (const object of store.list(resource)) if (matches(object)) send('ADDED', object);
    if (isTrue(wantsInitial) && wantsBookmarks(request)) bookmark(true);
  }
  missed.forEach(forward);

  const unsubscribe = store.watch(resource, forward);
  const bookmarks = wantsBookmarks(request) ? setInterval(() => bookmark(false), bookmarkIntervalMs) : undefined;
  const seconds = Number(query.get('timeoutSeconds') ?? 0) || DEFAULT_TIMEOUT_SECONDS;
  const timeout = setTimeout(() => end(), Math.min(seconds * 1000, 2 ** 31 - 1));
  const end = () => {
    unsubscribe();
    clearInterval(bookmarks);
    clearTimeout(timeout);
    response.end();
  };
  response.on('close', end);
  return end;
}

const withVersion = (object: KubernetesObject, { metadata }: KubernetesObject): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: metadata.resourceVersion! },
});
