import type { JsonObject } from '../json.ts';

/** A Kubernetes object as JSON. Known kinds are narrowed where they are used. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    generation?: number;
    labels?: { [key: string]: string };
    annotations?: { [key: string]: string };
    deletionTimestamp?: string;
    creationTimestamp?: string;
    ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean }[];
    [key: string]: unknown;
  };
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- Kubernetes objects are open
  [key: string]: any;
}

export interface ObjectRef {
  apiVersion: string;
  kind: string;
  name: string;
  namespace?: string;
}

export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

/** The small surface of the Kubernetes API that Cutover needs, over `@kubernetes/client-node`. */
export interface KubernetesClient {
  /** UID of kube-system, URL and version of the server. */
  cluster(): Promise<{ uid: string; server: string; version: string }>;
  /** What the API server says of itself (`/readyz?verbose`): the names of the parts that are not ready; empty when all are. */
  unready(): Promise<string[]>;
  get(ref: ObjectRef): Promise<KubernetesObject | undefined>;
  list(kind: { apiVersion: string; kind: string }, options?: ListOptions): Promise<KubernetesObject[]>;
  /**
   * The names alone, of a kind without namespaces. Travels as a table without objects (the API's Table with
   * `includeObject=None`, as `kubectl get` prints it): 200 bytes a node, where a real Node object has 10 to 20 KB.
   */
  names(kind: { apiVersion: string; kind: string }, options?: ListOptions): Promise<string[]>;
  /** Server-side apply as field manager `cutover`; creates or merges. `force` takes fields over from other managers. */
  apply(
    object: KubernetesObject | (JsonObject & { apiVersion: string; kind: string }),
    options?: { force?: boolean },
  ): Promise<KubernetesObject>;
  /** Creates it. @throws KubernetesRefused with `details.code` 409 when one of that name exists */
  create(object: KubernetesObject): Promise<KubernetesObject>;
  /** JSON merge patch, optionally of the status subresource. */
  mergePatch(ref: ObjectRef, patch: JsonObject, options?: { subresource?: 'status' }): Promise<KubernetesObject>;
  /** Deletes; true when it existed. `preconditionUid` guards against deleting a successor. */
  delete(
    ref: ObjectRef,
    options?: { preconditionUid?: string; propagation?: 'Foreground' | 'Background' | 'Orphan' },
  ): Promise<boolean>;
  /** One try of policy/v1 Eviction. A 429 of a budget is an answer, not an error. */
  evict(pod: {
    namespace: string;
    name: string;
    uid: string;
  }): Promise<{ evicted: true } | { evicted: false; reason: string }>;
  /** Runs a command in a container and returns what it printed. @throws KubernetesRefused */
  exec(
    pod: { namespace: string; name: string; container?: string },
    command: string[],
    options?: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<{ stdout: string; stderr: string; exitCode: number }>;
  /**
   * Lists, then watches (and lists again after a 410), until `done` answers something, `signal` aborts or `timeoutMs` ends.
   * @returns what `done` answered, or undefined at the end of the time
   */
  waitFor<T>(
    kind: { apiVersion: string; kind: string },
    options: ListOptions & { timeoutMs: number; signal?: AbortSignal },
    done: (objects: KubernetesObject[]) => T | undefined,
  ): Promise<T | undefined>;
}
