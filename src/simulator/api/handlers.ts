import { randomInt } from 'node:crypto';
import type { KubernetesObject } from '../types.ts';
import type { Context, Reply } from './api-server-types.ts';
import { applyDefaults } from './defaults.ts';
import { clone, isObject, type Any } from './json-values.ts';
import { list, matcherOf } from './list.ts';
import { serverSideApply } from './patch/apply.ts';
import { trackUpdate, type Writer } from './patch/managed-fields.ts';
import { applyJsonPatch, mergePatch } from './patch/merge.ts';
import { strategicMerge } from './patch/strategic.ts';
import { isTrue, type ApiRequest } from './request.ts';
import { apiVersionOf } from './resources.ts';
import { shapeOf, unknownFields } from './shapes.ts';
import { badRequest, conflict, methodNotAllowed, notFound, staleVersion, statusError } from './status-error.ts';
import { metadataOf, tableOf } from './tables.ts';
import { validate } from './validation.ts';
import { encode, storageOf, toServed, toStored } from './wire.ts';

/** One object as the request wants to see it: itself, as a table row, or its metadata. */
export function replyWith({ clock }: Context, request: ApiRequest, object: KubernetesObject, code = 200): Reply {
  const { served, format, query } = request;
  if (format === 'metadata') return { code, body: metadataOf(object) };
  const shown = toServed(served, object);
  if (format === 'object') return { code, body: `${encode(shown)}\n` };
  const metadata = { resourceVersion: object.metadata.resourceVersion };
  return {
    code,
    body: tableOf(served, [shown], metadata, { now: clock.now(), include: query.get('includeObject') ?? 'Metadata' }),
  };
}

export const handleList = ({ store, clock }: Context, request: ApiRequest): Reply => ({
  code: 200,
  body: list(store, request, clock.now()),
});

/** @throws StatusError 404 */
export function current({ store }: Context, { served, namespace, name = '' }: ApiRequest): KubernetesObject {
  const found = store.get(storageOf(served), served.namespaced ? namespace : undefined, name);
  if (found === undefined) throw notFound(served.resource, name);
  return found;
}

export const handleGet = (context: Context, request: ApiRequest): Reply =>
  replyWith(context, request, current(context, request));

export function handleCreate(context: Context, request: ApiRequest): Reply {
  const { store } = context;
  const { served, namespace, body, dryRun } = request;
  if (request.name !== undefined) throw methodNotAllowed();
  const object = received(request, body);
  const { metadata } = object;
  if (served.namespaced) {
    metadata.namespace ??= namespace!;
    requireNamespace(context, namespace ?? '');
  } else delete metadata.namespace;
  const generateName = metadata['generateName'];
  if (!metadata.name && typeof generateName === 'string' && generateName !== '') {
    metadata.name = `${generateName}${randomSuffix()}`;
  }
  delete metadata.resourceVersion;
  if (served.hasStatus && served.resource !== 'nodes') delete object['status'];
  const warnings = checkFields(request, object);
  applyDefaults(storageOf(served), object);
  validate(served, object);
  metadata['managedFields'] = trackUpdate(undefined, object, writerOf(context, request));
  const created = store.create(storageOf(served), toStored(served, object), { dryRun });
  return withWarnings(replyWith(context, request, created, 201), warnings);
}

export function handleUpdate(context: Context, request: ApiRequest): Reply {
  const next = received(request, request.body);
  const { metadata } = next;
  if (metadata.name !== undefined && metadata.name !== request.name) {
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${request.name})`);
  }
  metadata.name = request.name!;
  if (request.served.namespaced) metadata.namespace ??= request.namespace!;
  const warnings = checkFields(request, next);
  const live = current(context, request);
  return withWarnings(replyWith(context, request, save(context, request, live, next)), warnings);
}

export function handlePatch(context: Context, request: ApiRequest): Reply {
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim();
  if (type === 'application/apply-patch+yaml') return applyConfig(context, request);
  const live = current(context, request);
  const shown = toServed(request.served, live);
  const patched = patchBy(type, request, shown);
  if (!isObject(patched) || !isObject(patched['metadata'])) throw badRequest('the patch leaves no object');
  const next = patched as KubernetesObject;
  // A patch cannot move an object.
  if (next.metadata.name !== live.metadata.name || next.metadata.namespace !== live.metadata.namespace) {
    throw badRequest('the patch must not change metadata.name and metadata.namespace');
  }
  const warnings = checkFields(request, next);
  return withWarnings(replyWith(context, request, save(context, request, live, next)), warnings);
}

function patchBy(type: string, { served, body }: ApiRequest, live: KubernetesObject): Any {
  if (type === 'application/json-patch+json') return applyJsonPatch(live, body);
  if (type === 'application/merge-patch+json') return mergePatch(live, requireObject(body));
  if (type === 'application/strategic-merge-patch+json' && served.custom === undefined) {
    return strategicMerge(live, requireObject(body), shapeOf(served));
  }
  const accepted = [
    'application/json-patch+json',
    'application/merge-patch+json',
    ...(served.custom === undefined ? ['application/strategic-merge-patch+json'] : []),
    'application/apply-patch+yaml',
  ];
  throw statusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
}

function applyConfig(context: Context, request: ApiRequest): Reply {
  const { store } = context;
  const { served, query, dryRun, name } = request;
  if (!query.get('fieldManager'))
    throw badRequest(
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
  const config = received(request, request.body);
  if (config.metadata.name !== undefined && config.metadata.name !== name) {
    throw badRequest(`the name of the object (${config.metadata.name}) does not match the name on the URL (${name})`);
  }
  config.metadata.name = name!;
  if (served.namespaced) config.metadata.namespace ??= request.namespace!;
  const warnings = checkFields(request, config);
  const live = store.get(storageOf(served), served.namespaced ? request.namespace : undefined, name!);
  const writer = writerOf(context, request);
  const force = isTrue(query.get('force'));
  if (live === undefined) {
    if (request.subresource !== undefined || config.metadata.resourceVersion) throw notFound(served.resource, name!);
    if (served.namespaced) requireNamespace(context, request.namespace ?? '');
    const object = serverSideApply(undefined, config, writer, force);
    const defaulted = clone(object);
    applyDefaults(storageOf(served), defaulted);
    validate(served, defaulted);
    const created = store.create(storageOf(served), object, { dryRun });
    return withWarnings(replyWith(context, request, created, 201), warnings);
  }
  const given = config.metadata.resourceVersion;
  if (given && given !== live.metadata.resourceVersion) throw staleVersion(served.resource, name!);
  const next = serverSideApply(toServed(served, live), config, writer, force);
  next.metadata.resourceVersion = live.metadata.resourceVersion!;
  return withWarnings(replyWith(context, request, save(context, request, live, next, true)), warnings);
}

/** Validates and writes what a PUT or a patch made of the live object. */
function save(
  context: Context,
  request: ApiRequest,
  live: KubernetesObject,
  changed: KubernetesObject,
  isApplied = false,
): KubernetesObject {
  const { store } = context;
  const { served, dryRun } = request;
  const subresource = request.subresource === 'status' ? ('status' as const) : undefined;
  const next = clone(changed);
  const { uid, resourceVersion } = next.metadata;
  if (uid !== undefined && uid !== live.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.metadata.uid}`;
    throw conflict(served.resource, live.metadata.name, why);
  }
  if (resourceVersion && resourceVersion !== live.metadata.resourceVersion) {
    throw staleVersion(served.resource, live.metadata.name);
  }
  if (subresource === undefined) {
    applyDefaults(storageOf(served), next);
    validate(served, next, live);
  }
  if (!isApplied) {
    const shown = toServed(served, live);
    // What the server fills in and what this subresource cannot reach is not the writer's.
    const reachable = subresource === 'status' ? { ...shown, status: next['status'] } : next;
    const managedFields = next.metadata['managedFields'];
    const tracked = { ...reachable, metadata: { ...reachable.metadata, managedFields } };
    const fields = trackUpdate(shown, tracked, writerOf(context, request));
    if (fields.length === 0) delete next.metadata['managedFields'];
    else next.metadata['managedFields'] = fields;
  }
  const options = { ...(subresource === undefined ? {} : { subresource }), whole: !served.hasStatus, dryRun };
  return store.update(storageOf(served), toStored(served, next), options);
}

export function handleDelete(context: Context, request: ApiRequest): Reply {
  const { store } = context;
  const { served, namespace, name = '', dryRun } = request;
  const live = current(context, request);
  const options = deleteOptions(request);
  const { resourceVersion } = options;
  if (resourceVersion !== undefined && resourceVersion !== live.metadata.resourceVersion) {
    const why = `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${live.metadata.resourceVersion}`;
    throw conflict(served.resource, name, why);
  }
  if (dryRun) return replyWith(context, request, live);
  const deleted = store.delete(storageOf(served), served.namespaced ? namespace : undefined, name, options);
  const remains = store.get(storageOf(served), live.metadata.namespace, name)?.metadata.uid === live.metadata.uid;
  // An object that waits for its end is answered itself; pods always are.
  if (remains || served.resource === 'pods') return replyWith(context, request, deleted ?? live);
  const details = {
    name,
    ...(served.group === '' ? {} : { group: served.group }),
    kind: served.plural,
    uid: live.metadata.uid,
  };
  return { code: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } };
}

interface DeleteOptions {
  gracePeriodSeconds?: number;
  uid?: string;
  resourceVersion?: string;
  propagation?: string;
}

/** From the body or, where that is silent, from the query. @throws StatusError 400 for an unknown policy */
export function deleteOptions({ body, query }: Pick<ApiRequest, 'body' | 'query'>): DeleteOptions {
  const given = isObject(body) ? body : {};
  const grace = given['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds');
  const orphans = given['orphanDependents'] ?? query.get('orphanDependents');
  const legacy =
    orphans === undefined || orphans === null ? undefined : String(orphans) === 'true' ? 'Orphan' : 'Background';
  const propagation = given['propagationPolicy'] ?? query.get('propagationPolicy') ?? legacy;
  if (propagation !== undefined && !['Orphan', 'Background', 'Foreground'].includes(propagation)) {
    throw badRequest(`invalid propagationPolicy: ${propagation}`);
  }
  const { uid, resourceVersion } = given['preconditions'] ?? {};
  return {
    ...(grace === undefined || grace === null ? {} : { gracePeriodSeconds: Number(grace) }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(propagation === undefined ? {} : { propagation }),
  };
}

export function handleDeleteCollection(context: Context, request: ApiRequest): Reply {
  const { store, clock } = context;
  const resource = storageOf(request.served);
  const selected = store.list(resource).filter(matcherOf(request));
  const reply = { code: 200, body: list(store, request, clock.now()) };
  if (request.dryRun) return reply;
  const options = deleteOptions(request);
  for (const { metadata } of selected) {
    if (store.get(resource, metadata.namespace, metadata.name)) {
      store.delete(resource, metadata.namespace, metadata.name, options);
    }
  }
  return reply;
}

export const rfc3339 = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

const writerOf = ({ clock }: Context, { served, fieldManager, subresource = '' }: ApiRequest): Writer => ({
  served,
  manager: fieldManager,
  subresource,
  time: rfc3339(clock.now()),
});

const requireObject = (body: Any): Any => {
  if (!isObject(body)) throw badRequest('the body of the request is no object');
  return body;
};

/** The object in the body, of the right kind and namespace. @throws StatusError 400 */
function received(request: ApiRequest, body: Any): KubernetesObject {
  const { served, namespace } = request;
  const object = clone(requireObject(body)) as KubernetesObject;
  const { kind } = served;
  const apiVersion = apiVersionOf(served);
  object.kind ??= kind;
  object.apiVersion ??= apiVersion;
  if (object.kind !== kind || object.apiVersion !== apiVersion) {
    throw badRequest(
      `the API version in the data (${object.apiVersion}, kind ${object.kind}) does not match the expected API version (${apiVersion}, kind ${kind})`,
    );
  }
  object.metadata ??= {} as KubernetesObject['metadata'];
  if (served.namespaced && object.metadata.namespace && object.metadata.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if (object.metadata.namespace === '') delete object.metadata.namespace;
  return object;
}

/** What `fieldValidation` asks: Strict refuses unknown fields, Warn (the default) tells of them. */
function checkFields({ served, query }: ApiRequest, object: KubernetesObject): string[] {
  const mode = query.get('fieldValidation') || 'Warn';
  if (mode === 'Ignore') return [];
  const unknown = unknownFields(shapeOf(served), object).map((path) => `unknown field "${path}"`);
  if (mode !== 'Strict' || unknown.length === 0) return unknown;
  throw badRequest(
    `${served.kind} in version "${served.version}" cannot be handled as a ${served.kind}: strict decoding error: ${unknown.join(', ')}`,
  );
}

/** As Warning headers (RFC 7234), which kubectl prints. */
const withWarnings = (reply: Reply, warnings: string[]): Reply =>
  warnings.length === 0
    ? reply
    : { ...reply, headers: { warning: warnings.map((each) => `299 - "${each.replaceAll('"', '\\"')}"`).join(', ') } };

function requireNamespace({ store }: Context, namespace: string) {
  const found = store.get('namespaces', undefined, namespace);
  if (found === undefined) throw notFound('namespaces', namespace);
  if (found.metadata.deletionTimestamp === undefined) return;
  throw statusError(
    403,
    'Forbidden',
    `unable to create new content in namespace ${namespace} because it is being terminated`,
    {
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    },
  );
}

/** Five characters that spell no words (apimachinery, util/rand). */
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const randomSuffix = () => Array.from({ length: 5 }, () => SUFFIX_ALPHABET[randomInt(SUFFIX_ALPHABET.length)]).join('');
