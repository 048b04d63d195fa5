import type { KubernetesObject } from '../types.ts';
import type { Context, Reply } from './api-server-types.ts';
import { evict } from './eviction.ts';
import { current, rfc3339 } from './handlers.ts';
import { clone, isObject, type Any } from './json-values.ts';
import { applyJsonPatch, mergePatch } from './patch/merge.ts';
import { isTrue, type ApiRequest } from './request.ts';
import { badRequest, conflict, invalid, methodNotAllowed, statusError } from './status-error.ts';
import { storageOf } from './wire.ts';

/** Everything below a resource but `/status`, which is handled with the resource, and exec, which is a socket. */
export function handleSubresource(context: Context, request: ApiRequest): Reply {
  const { served, subresource } = request;
  if (subresource === 'scale' && served.hasScale) return scale(context, request);
  if (served.resource === 'pods') {
    if (subresource === 'eviction' && request.verb === 'create') return evict(context, request);
    if (subresource === 'binding' && request.verb === 'create') return bind(context, request);
    if (subresource === 'log' && request.verb === 'get') return logs(context, request);
  }
  if (served.resource === 'namespaces' && subresource === 'finalize') {
    return { code: 200, body: current(context, request) };
  }
  throw statusError(404, 'NotFound', 'the server could not find the requested resource');
}

function scaleOf({ metadata, spec, status = {} }: KubernetesObject) {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const matchLabels: { [key: string]: string } = spec.selector?.matchLabels ?? {};
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: spec.replicas ?? 1 },
    status: { replicas: status.replicas ?? 0, selector: labels.join(',') },
  };
}

function scale(context: Context, request: ApiRequest): Reply {
  const live = current(context, request);
  const before = scaleOf(live);
  if (request.verb === 'get') return { code: 200, body: before };
  const next = nextScale(request, before);
  const { name, namespace, resourceVersion } = live.metadata;
  const given = next.metadata?.resourceVersion;
  if (given && given !== resourceVersion) {
    const why = 'the object has been modified; please apply your changes to the latest version and try again';
    throw conflict(request.served.resource, name, why);
  }
  const replicas = next.spec?.replicas ?? 0;
  if (!Number.isInteger(replicas) || replicas < 0) {
    const message = `Invalid value: ${replicas}: must be greater than or equal to 0`;
    throw invalid('Scale', 'autoscaling', name, [{ field: 'spec.replicas', reason: 'FieldValueInvalid', message }]);
  }
  if (request.dryRun) return { code: 200, body: { ...before, spec: { replicas } } };
  const scaled = context.store.mutate(storageOf(request.served), namespace, name, ({ spec }) => {
    spec.replicas = replicas;
  });
  return { code: 200, body: scaleOf(scaled!) };
}

function nextScale({ verb, headers, body }: ApiRequest, before: Any): Any {
  if (verb === 'update') return body;
  if (verb !== 'patch') throw methodNotAllowed();
  return headers['content-type']?.startsWith('application/json-patch')
    ? applyJsonPatch(before, body)
    : mergePatch(before, body);
}

/** What a scheduler posts: the pod belongs to a node from now on. */
function bind({ store, clock, ...rest }: Context, request: ApiRequest): Reply {
  const pod = current({ store, clock, ...rest }, request);
  const node = request.body?.target?.name;
  if (typeof node !== 'string' || node === '') throw badRequest('target.name: Required value');
  const { name, namespace, deletionTimestamp } = pod.metadata;
  if (deletionTimestamp !== undefined)
    throw conflict('pods/binding', name, `pod ${name} is being deleted, cannot be assigned to a host`);
  if (pod['spec'].nodeName) {
    throw conflict('pods/binding', name, `pod ${name} is already assigned to node "${pod['spec'].nodeName}"`);
  }
  store.mutate('pods', namespace, name, (next) => {
    next['spec'].nodeName = node;
    const others = (next['status'].conditions ?? []).filter((each: Any) => each.type !== 'PodScheduled');
    const lastTransitionTime = rfc3339(clock.now());
    next['status'].conditions = [
      ...others,
      { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime },
    ];
  });
  return { code: 201, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' } };
}

/** The container that was asked for, or the only one. @throws StatusError 400 as the API server words it */
export function containerOf(pod: KubernetesObject, asked: string | null): string {
  const { name } = pod.metadata;
  const containers: string[] = (pod['spec'].containers ?? []).map((each: Any) => each.name);
  const inits: string[] = (pod['spec'].initContainers ?? []).map((each: Any) => each.name);
  if (asked) {
    if (![...containers, ...inits].includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return asked;
  }
  if (containers.length === 1) return containers[0]!;
  const init = inits.length === 0 ? '' : ` or one of the init containers: [${inits.join(' ')}]`;
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${containers.join(' ')}]${init}`,
  );
}

function logs(context: Context, request: ApiRequest): Reply {
  const { query } = request;
  const pod = current(context, request);
  const container = containerOf(pod, query.get('container'));
  if (!pod['spec'].nodeName) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  const tailLines = query.get('tailLines');
  if (tailLines !== null && !(Number(tailLines) >= 0)) throw badRequest(`tailLines: Invalid value: ${tailLines}`);
  const text = context.kubelets.logs(pod, container, {
    ...(tailLines === null ? {} : { tailLines: Number(tailLines) }),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
  });
  const limit = Number(query.get('limitBytes') ?? 0);
  return { code: 200, body: limit > 0 ? text.slice(0, limit) : text, contentType: 'text/plain' };
}

const REVIEWS =
  /\/(selfsubjectaccessreviews|subjectaccessreviews|localsubjectaccessreviews|selfsubjectrulesreviews|selfsubjectreviews)$/;
export const isReview = (path: string) => REVIEWS.test(path);

/** Reviews that kubectl and clients post: everybody may do everything here. */
export function review(path: string, body: unknown): Reply | undefined {
  const kind = REVIEWS.exec(path)?.[1];
  if (kind === undefined || !isObject(body)) return undefined;
  return { code: 201, body: { ...clone(body), status: reviewStatus(kind) } };
}

function reviewStatus(kind: string) {
  if (kind === 'selfsubjectreviews') {
    return { userInfo: { username: 'kubernetes-admin', groups: ['kubeadm:cluster-admins', 'system:authenticated'] } };
  }
  if (kind !== 'selfsubjectrulesreviews') return { allowed: true };
  return {
    resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
    nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
    incomplete: false,
  };
}
