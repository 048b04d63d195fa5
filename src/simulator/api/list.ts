import type { KubernetesObject } from '../types.ts';
import type { ApiObjectStore } from './object-store.ts';
import { isTrue, type ApiRequest } from './request.ts';
import { apiVersionOf } from './resources.ts';
import { fieldMatcher, labelMatcher, type Matcher } from './selectors.ts';
import { badRequest, expired, statusError } from './status-error.ts';
import { listKind, metadataOf, tableOf } from './tables.ts';
import { encode, storageOf, toServed } from './wire.ts';

interface Continue {
  rv: number;
  /** `namespace/name` of the last object that was handed out. */
  after: string;
}

const keyOf = ({ metadata }: KubernetesObject) => `${metadata.namespace ?? ''}/${metadata.name}`;

/** In the order of etcd's keys. */
const byKey = (left: KubernetesObject, right: KubernetesObject) => {
  const [one, other] = [keyOf(left), keyOf(right)];
  return one < other ? -1 : one > other ? 1 : 0;
};

/** What a request selects, whatever its verb: namespace, name, labels, fields. */
export function matcherOf({ served, namespace, name, query }: ApiRequest): Matcher {
  const labels = query.get('labelSelector');
  const fields = query.get('fieldSelector');
  const byLabel = labels ? labelMatcher(labels) : undefined;
  const byField = fields ? fieldMatcher(storageOf(served), fields) : undefined;
  return (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) &&
    (name === undefined || object.metadata.name === name) &&
    (byLabel?.(object) ?? true) &&
    (byField?.(object) ?? true);
}

/** GET of a collection: JSON text of a List, a Table, or a PartialObjectMetadataList. */
export function list(store: ApiObjectStore, request: ApiRequest, now: number): string {
  const { query } = request;
  const token = readContinue(query.get('continue'));
  const exact = token?.rv ?? exactVersion(query);
  requireKnownVersion(store, query.get('resourceVersion'));
  const selected = exact === undefined ? select(store, request) : snapshot(store, request, exact);
  const ordered = selected.toSorted(byKey);
  const from = token === undefined ? 0 : ordered.findIndex((object) => keyOf(object) > token.after);
  const rest = from < 0 ? [] : ordered.slice(from);
  const limit = Number(query.get('limit') ?? 0);
  const items = limit > 0 ? rest.slice(0, limit) : rest;
  const version = exact ?? store.resourceVersion;
  const left = rest.length - items.length;
  const metadata = {
    resourceVersion: String(version),
    ...(left > 0 ? { continue: writeContinue({ rv: version, after: keyOf(items.at(-1)!) }) } : {}),
    // The API server cannot count what a selector leaves out.
    ...(left > 0 && !query.get('labelSelector') && !query.get('fieldSelector') ? { remainingItemCount: left } : {}),
  };
  return render(request, items, metadata, now);
}

function select(store: ApiObjectStore, { served, namespace, query }: ApiRequest): KubernetesObject[] {
  const labelSelector = query.get('labelSelector') ?? '';
  const fieldSelector = query.get('fieldSelector') ?? '';
  return store.list(storageOf(served), {
    ...(namespace === undefined ? {} : { namespace }),
    labelSelector,
    fieldSelector,
  });
}

/** The collection as it was at that version: the changes since then are taken back. @throws StatusError 410 */
function snapshot(store: ApiObjectStore, request: ApiRequest, version: number): KubernetesObject[] {
  const resource = storageOf(request.served);
  const since = store.history(resource, version);
  if (since === undefined) {
    const again = { rv: store.resourceVersion, after: readContinue(request.query.get('continue'))?.after ?? '' };
    const error = expired(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
    );
    throw Object.assign(error, { continue: writeContinue(again) });
  }
  const objects = new Map(store.list(resource).map((object) => [keyOf(object), object]));
  for (const { object, previous } of since.toReversed()) {
    if (previous === undefined) objects.delete(keyOf(object));
    else objects.set(keyOf(object), previous);
  }
  return [...objects.values()].filter(matcherOf(request));
}

const exactVersion = (query: URLSearchParams) =>
  query.get('resourceVersionMatch') === 'Exact' ? Number(query.get('resourceVersion')) : undefined;

/** A version of the future is answered by a timeout. @throws StatusError 504 */
export function requireKnownVersion(store: ApiObjectStore, asked: string | null): void {
  if (asked === null || asked === '') return;
  const version = Number(asked);
  if (!Number.isInteger(version) || version < 0)
    throw badRequest(`Invalid value: "${asked}": invalid resource version`);
  if (version <= store.resourceVersion) return;
  throw statusError(504, 'Timeout', `Too large resource version: ${asked}, current: ${store.resourceVersion}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

function readContinue(token: string | null): Continue | undefined {
  if (token === null || token === '') return undefined;
  try {
    const { v, rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (v === 'meta.k8s.io/v1' && Number.isInteger(rv) && typeof start === 'string') return { rv, after: start };
  } catch {
    // Told below, like a token of another shape.
  }
  throw badRequest('continue key is not valid: it is not one that this server gave out');
}

const writeContinue = ({ rv, after }: Continue) =>
  Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv, start: after })).toString('base64url');

function render(
  { served, format, query }: ApiRequest,
  items: KubernetesObject[],
  metadata: object,
  now: number,
): string {
  if (format === 'table') {
    const include = query.get('includeObject') ?? 'Metadata';
    const shown = include === 'Object' ? items.map((each) => toServed(served, each)) : items;
    return JSON.stringify(tableOf(served, shown, metadata, { now, include }));
  }
  if (format === 'metadata') {
    const kind = 'PartialObjectMetadataList';
    return JSON.stringify({ kind, apiVersion: 'meta.k8s.io/v1', metadata, items: items.map(metadataOf) });
  }
  const { kind } = listKind(served);
  const texts = items.map((each) => encode(toServed(served, each)));
  return `{"kind":"${kind}","apiVersion":"${apiVersionOf(served)}","metadata":${JSON.stringify(metadata)},"items":[${texts.join(',')}]}\n`;
}

export const wantsBookmarks = ({ query }: ApiRequest) => isTrue(query.get('allowWatchBookmarks'));
