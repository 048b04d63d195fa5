import type { Logger } from 'pino';
import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { createDiscovery, pathOf, type Kind } from './discovery.ts';
import { execInPod } from './exec.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import { createSend, refused, type ApiAnswer, type ApiRequest } from './transport.ts';
import type { KubernetesClient, KubernetesObject, ListOptions, ObjectRef } from './types.ts';
import { waitFor } from './wait-for.ts';

const fieldManager = 'cutover';
const pageSize = 500;
/** Servers that know no tables answer with the objects. */
const asTable = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
/** A list whose pages expire under it (410) is begun again this often. */
const listTries = 3;
const conflictTries = 5;

export interface ClientOptions {
  /** Absolute path, `` for KUBECONFIG, ~/.kube/config or the pod's own service account. */
  kubeconfig: string;
  /** `` for the current context. */
  context: string;
  log?: Logger;
}

/**
 * The Kubernetes API as Cutover uses it. One connection pool for each client: share the client.
 *
 * @throws CutoverError KubeconfigInvalid at once; each call ClusterUnreachable | KubernetesRefused
 */
export function createKubernetesClient({ kubeconfig, context, log }: ClientOptions): KubernetesClient {
  const loaded = loadKubeconfig({ kubeconfig, context });
  const rawSend = createSend(loaded);
  const send = async (request: ApiRequest): Promise<ApiAnswer> => {
    const answer = await rawSend(request);
    log?.debug({ method: request.method, path: request.path, code: answer.code }, 'kubernetes');
    return answer;
  };
  const discovery = createDiscovery(send);

  const pathTo = async ({ apiVersion, kind, namespace, name }: ObjectRef): Promise<string> =>
    pathOf(await discovery.need({ apiVersion, kind }), namespace ?? 'default', name);

  /** @returns undefined when the kind is not served */
  const collectionOf = async (kind: Kind, { namespace, labelSelector, fieldSelector }: ListOptions) => {
    const resource = await discovery.find(kind);
    if (!resource) return undefined;
    const path = pathOf(resource, namespace);
    const query = { labelSelector, fieldSelector };
    // Objects in a list carry no kind of their own.
    const read = ({ items }: Page) => items!.map((item) => Object.assign(item, kind));
    return {
      path,
      query,
      list: () => listPages(path, { query }, read),
      names: () => listPages(path, { query: { ...query, includeObject: 'None' }, accept: asTable }, namesIn),
    };
  };

  async function listPages<T>(
    path: string,
    { query, accept }: Pick<ApiRequest, 'query' | 'accept'>,
    read: (page: Page) => T[],
  ): Promise<{ items: T[]; resourceVersion: string }> {
    for (let tried = 1; ; tried++) {
      const items: T[] = [];
      let page: string | undefined;
      let answer: ApiAnswer;
      do {
        answer = await send({
          method: 'GET',
          path,
          query: { ...query, limit: String(pageSize), continue: page },
          ...(accept === undefined ? {} : { accept }),
        });
        if (answer.code >= 400) break;
        for (const item of read(answer.body as Page)) items.push(item);
        page = answer.body.metadata?.continue || undefined;
      } while (page !== undefined);
      if (answer.code < 400) return { items, resourceVersion: String(answer.body.metadata?.resourceVersion ?? '') };
      // The definition of a custom kind was deleted since it was discovered.
      if (answer.code === 404) return { items: [], resourceVersion: '' };
      if (answer.code !== 410 || tried >= listTries) throw refused({ method: 'GET', path }, answer);
    }
  }

  const get: KubernetesClient['get'] = async (ref) => {
    const resource = await discovery.find(ref);
    if (!resource) return undefined;
    const path = pathOf(resource, ref.namespace ?? 'default', ref.name);
    const answer = await send({ method: 'GET', path });
    if (answer.code === 404) return undefined;
    if (answer.code >= 400) throw refused({ method: 'GET', path }, answer);
    return answer.body as KubernetesObject;
  };

  return {
    cluster: async () => {
      const system = await get({ apiVersion: 'v1', kind: 'Namespace', name: 'kube-system' });
      const version = await send({ method: 'GET', path: '/version' });
      if (version.code >= 400) throw refused({ method: 'GET', path: '/version' }, version);
      if (!system?.metadata.uid)
        throw new CutoverError('KubernetesRefused', `${loaded.server} shows no namespace kube-system`);
      return { uid: system.metadata.uid, server: loaded.server, version: String(version.body.gitVersion ?? '') };
    },

    unready: async () => {
      const answer = await send({ method: 'GET', path: '/readyz', query: { verbose: '' } });
      if (answer.code < 400) return [];
      const text = typeof answer.body === 'string' ? answer.body : String(answer.body?.message ?? '');
      const failed = [...text.matchAll(/^\[-\](\S+)/gm)].map(([, name]) => name!);
      return failed.length > 0 ? failed : [`/readyz answers ${answer.code}`];
    },

    get,

    list: async (kind, options = {}) => {
      const collection = await collectionOf(kind, options);
      return collection ? (await collection.list()).items : [];
    },

    names: async (kind, options = {}) => {
      const collection = await collectionOf(kind, options);
      return collection ? (await collection.names()).items : [];
    },

    apply: async (object, { force = false } = {}) => {
      const { apiVersion, kind } = object;
      const metadata = object['metadata'] as KubernetesObject['metadata'];
      const path = await pathTo({
        apiVersion,
        kind,
        name: metadata.name,
        ...(metadata.namespace ? { namespace: metadata.namespace } : {}),
      });
      const request: ApiRequest = {
        method: 'PATCH',
        path,
        query: { fieldManager, force: String(force) },
        body: withoutServerFields(object),
        contentType: 'application/apply-patch+yaml',
      };
      return written(request);
    },

    create: async (object) => {
      const path = pathOf(await discovery.need(object), object.metadata.namespace ?? 'default');
      return written({ method: 'POST', path, query: { fieldManager }, body: withoutServerFields(object) });
    },

    mergePatch: async (ref, patch, { subresource } = {}) => {
      const path = `${await pathTo(ref)}${subresource ? `/${subresource}` : ''}`;
      return written(
        { method: 'PATCH', path, query: { fieldManager }, body: patch, contentType: 'application/merge-patch+json' },
        patch,
      );
    },

    delete: async (ref, { preconditionUid, propagation } = {}) => {
      const resource = await discovery.find(ref);
      if (!resource) return false;
      const path = pathOf(resource, ref.namespace ?? 'default', ref.name);
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(preconditionUid ? { preconditions: { uid: preconditionUid } } : {}),
        ...(propagation ? { propagationPolicy: propagation } : {}),
      };
      const answer = await send({ method: 'DELETE', path, body });
      // 409: another object has taken the name, so the one that was meant is gone.
      if (answer.code === 404 || (answer.code === 409 && preconditionUid !== undefined)) return false;
      if (answer.code >= 400) throw refused({ method: 'DELETE', path }, answer);
      return true;
    },

    evict: async ({ namespace, name, uid }) => {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/eviction`;
      const body = {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name, namespace },
        deleteOptions: { preconditions: { uid } },
      };
      const answer = await send({ method: 'POST', path, body, isAnswer: isBudgetAnswer });
      if (answer.code < 400 || answer.code === 404) return { evicted: true };
      if (isBudgetAnswer(answer)) return { evicted: false, reason: budgetWords(answer) };
      if (answer.code === 409) {
        // Either a successor of the same name lives (ours is gone), or somebody wrote at the same moment.
        const now = await get({ apiVersion: 'v1', kind: 'Pod', namespace, name });
        return now?.metadata.uid === uid
          ? { evicted: false, reason: String(answer.body?.message ?? 'conflict') }
          : { evicted: true };
      }
      throw refused({ method: 'POST', path }, answer);
    },

    exec: (pod, command, options) => execInPod(loaded, pod, command, options),

    waitFor: async (kind, options, done) => {
      await discovery.need(kind);
      const collection = await collectionOf(kind, options);
      if (!collection)
        throw new CutoverError('KubernetesRefused', `the API server serves no kind ${kind.kind} of ${kind.apiVersion}`);
      return waitFor(loaded, collection, options, done);
    },
  };

  /** A patch without a precondition of its own may be repeated after a 409: it says what to write, not what was there. */
  async function written(request: ApiRequest, patch?: JsonObject): Promise<KubernetesObject> {
    const metadata = patch?.['metadata'] as JsonObject | undefined;
    const repeatable = patch !== undefined && metadata?.['resourceVersion'] === undefined;
    for (let tried = 1; ; tried++) {
      const answer = await send(request);
      if (answer.code < 400) return answer.body as KubernetesObject;
      if (answer.code !== 409 || !repeatable || tried >= conflictTries) throw refused(request, answer);
    }
  }
}

/** One answer to a list: objects, or a table of meta.k8s.io/v1. */
interface Page {
  items?: KubernetesObject[];
  columnDefinitions?: { format: string }[];
  rows?: { cells: unknown[] }[];
}

/** Of a table, the column that says so by its format holds the names. */
function namesIn({ items = [], columnDefinitions = [], rows }: Page): string[] {
  if (rows === undefined) return items.map(({ metadata }) => metadata.name);
  const column = columnDefinitions.findIndex(({ format }) => format === 'name');
  return rows.map(({ cells }) => String(cells[column]));
}

/** A 429 by a disruption budget carries it as a cause; without, the server is throttling. 500: more than one budget. */
function isBudgetAnswer({ code, body }: ApiAnswer): boolean {
  const causes = (body?.details?.causes ?? []) as { reason?: string }[];
  if (code === 429)
    return (
      causes.some(({ reason }) => reason === 'DisruptionBudget') || /disruption budget/i.test(String(body?.message))
    );
  return code === 500 && /more than one PodDisruptionBudget/i.test(String(body?.message));
}

function budgetWords({ body }: ApiAnswer): string {
  const causes = (body?.details?.causes ?? []) as { reason?: string; message?: string }[];
  const words = causes.find(({ reason }) => reason === 'DisruptionBudget')?.message ?? body?.message;
  return String(words ?? 'a disruption budget refuses it');
}

/** What the server fills in; server-side apply refuses managedFields, and the rest would be a precondition. */
function withoutServerFields(object: KubernetesObject | JsonObject): JsonObject {
  const { status: _status, ...rest } = object as JsonObject;
  const {
    managedFields: _m,
    resourceVersion: _r,
    uid: _u,
    creationTimestamp: _c,
    generation: _g,
    ...metadata
  } = (rest['metadata'] ?? {}) as JsonObject;
  return { ...rest, metadata };
}
