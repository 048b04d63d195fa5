import { randomUUID } from 'node:crypto';
import type { KubernetesObject, ObjectStore, SimClock, WatchEvent } from '../types.ts';
import { applyDefaults } from './defaults.ts';
import { recordEvent } from './event-recorder.ts';
import { createGarbageCollector } from './garbage-collector.ts';
import { clone, equal, freeze } from './json-values.ts';
import { fieldMatcher, fieldRequirements, labelMatcher, type Matcher } from './selectors.ts';
import { createAddressAllocator } from './service-addresses.ts';
import { alreadyExists, conflict, notFound, staleVersion } from './status-error.ts';

/** A change with what was there before: a selector watch needs it to tell "left the selection" from "changed". */
export interface StoredEvent extends WatchEvent {
  previous?: KubernetesObject;
}

/** The store as the API server sees it. */
export interface ApiObjectStore extends ObjectStore {
  /** `dryRun` answers what would be stored. */
  create(resource: string, object: KubernetesObject, options?: { dryRun?: boolean }): KubernetesObject;
  /** `whole` is for resources without a status subresource: the status is written with the rest. */
  update(
    resource: string,
    object: KubernetesObject,
    options?: { subresource?: 'status'; whole?: boolean; dryRun?: boolean },
  ): KubernetesObject;
  watch(resource: string, onEvent: (event: StoredEvent, resource: string) => void): () => void;
  /** Changes of one resource after that version, oldest first; undefined when the history no longer reaches back. */
  history(resource: string, since: number): StoredEvent[] | undefined;
  /** Forgets the history, as etcd's compaction does: every older watch gets 410. */
  compact(): void;
  /** First address of the service range: that of the `kubernetes` Service. */
  readonly apiServiceAddress: string;
  /** The object of that uid, and of which resource it is. */
  byUid(uid: string): { resource: string; object: KubernetesObject } | undefined;
}

export interface StoreOptions {
  /** Changes kept for each resource. @default 4096 */
  historySize?: number;
  /** Service addresses are given out from it. @default 10.96.0.0/12 */
  serviceCidr?: string;
}

interface Shelf {
  /** namespace -> name -> object; `` for cluster-scoped ones. */
  namespaces: Map<string, Map<string, KubernetesObject>>;
  /** Pods by the node they are bound to: every kubelet asks for its own. */
  byNode: Map<string, Set<KubernetesObject>>;
  watchers: Set<(event: StoredEvent, resource: string) => void>;
  history: StoredEvent[];
  /** Version of the newest change that the history has dropped. */
  compacted: number;
}

const DEFAULT_GRACE_SECONDS = 30;
const WITHOUT_GENERATION = new Set(['namespaces', 'nodes', 'services', 'leases.coordination.k8s.io']);
/** As of a cluster that has run for a while: what came before is compacted, and a watch from there gets 410. */
const FIRST_VERSION = 1000;

/** The registry in memory. Objects that come out are frozen; writes replace them. */
export function createObjectStore(clock: SimClock, options: StoreOptions = {}): ApiObjectStore {
  const historySize = options.historySize ?? 4096;
  const shelves = new Map<string, Shelf>();
  const everything = newShelf();
  const uids = new Map<string, { resource: string; object: KubernetesObject }>();
  const pending: { resource: string; event: StoredEvent }[] = [];
  let version = FIRST_VERSION;
  let delivering = false;

  function newShelf(): Shelf {
    return { namespaces: new Map(), byNode: new Map(), watchers: new Set(), history: [], compacted: FIRST_VERSION };
  }

  function shelf(resource: string): Shelf {
    if (resource === '*') return everything;
    let found = shelves.get(resource);
    if (found === undefined) shelves.set(resource, (found = newShelf()));
    return found;
  }

  const now = () => new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');

  const find = (resource: string, namespace: string | undefined, name: string) =>
    shelves
      .get(resource)
      ?.namespaces.get(namespace ?? '')
      ?.get(name);

  /** Puts a new state in place (or takes the object away), indexes it and tells the watchers. */
  function write(resource: string, next: KubernetesObject | undefined, previous: KubernetesObject | undefined) {
    version += 1;
    const on = shelf(resource);
    const subject = (next ?? previous)!;
    subject.metadata.resourceVersion = String(version);
    freeze(subject);
    const { name, namespace = '', uid = '' } = subject.metadata;
    const before = next === undefined ? find(resource, namespace, name) : previous;
    if (before !== undefined) on.byNode.get(before['spec']?.nodeName ?? '')?.delete(before);
    if (next === undefined) {
      const names = on.namespaces.get(namespace);
      names?.delete(name);
      if (names?.size === 0) on.namespaces.delete(namespace);
      uids.delete(uid);
      collector.forget(uid, before);
      addresses.release(resource, subject);
    } else {
      let names = on.namespaces.get(namespace);
      if (names === undefined) on.namespaces.set(namespace, (names = new Map()));
      names.set(name, next);
      uids.set(uid, { resource, object: next });
      collector.index(next, before);
      if (resource === 'pods') {
        const node = next['spec']?.nodeName ?? '';
        let bound = on.byNode.get(node);
        if (bound === undefined) on.byNode.set(node, (bound = new Set()));
        bound.add(next);
      }
    }
    const type = next === undefined ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED';
    const event: StoredEvent = { type, object: subject, resourceVersion: version };
    if (before !== undefined) event.previous = before;
    remember(on, event);
    deliver(resource, event);
  }

  function remember(on: Shelf, event: StoredEvent) {
    on.history.push(event);
    // Trimmed in bulk: shifting one at a time would copy the array at every write.
    if (on.history.length < historySize * 2) return;
    const dropped = on.history.splice(0, on.history.length - historySize);
    on.compacted = dropped.at(-1)!.resourceVersion;
  }

  /** A watcher may write: its change is told to everybody after the present one, so that all see the same order. */
  function deliver(resource: string, event: StoredEvent) {
    pending.push({ resource, event });
    if (delivering) return;
    delivering = true;
    try {
      for (let at = 0; at < pending.length; at += 1) {
        const item = pending[at]!;
        for (const tell of [...shelf(item.resource).watchers, ...everything.watchers]) tell(item.event, item.resource);
      }
    } finally {
      pending.length = 0;
      delivering = false;
    }
  }

  /** Takes it out of the registry; what it owned is collected. */
  function erase(resource: string, object: KubernetesObject) {
    write(resource, undefined, clone(object));
    collector.ownerGone(object);
    if (object.metadata.namespace !== undefined) finishNamespace(object.metadata.namespace);
  }

  /** An object that waits for its deletion goes when nothing holds it any more. */
  const isReleased = (resource: string, { metadata }: KubernetesObject) =>
    metadata.deletionTimestamp !== undefined &&
    ((metadata['finalizers'] as string[] | undefined) ?? []).length === 0 &&
    !(resource === 'pods' && ((metadata['deletionGracePeriodSeconds'] as number | undefined) ?? 0) > 0) &&
    resource !== 'namespaces';

  function replace(resource: string, current: KubernetesObject, next: KubernetesObject): KubernetesObject {
    next.metadata.uid = current.metadata.uid!;
    next.metadata.creationTimestamp = current.metadata.creationTimestamp!;
    next.metadata.resourceVersion = current.metadata.resourceVersion!;
    if (current.metadata.generation !== undefined) next.metadata.generation = current.metadata.generation;
    if (equal(current, next)) return current;
    if (current.metadata.generation !== undefined && !equal(current['spec'], next['spec'])) {
      next.metadata.generation = current.metadata.generation + 1;
    }
    if (isReleased(resource, next)) {
      erase(resource, current);
      return next;
    }
    write(resource, next, current);
    return next;
  }

  function remove(resource: string, namespace: string | undefined, name: string) {
    const current = find(resource, namespace, name);
    if (current !== undefined) erase(resource, current);
  }

  function graceOf(resource: string, object: KubernetesObject, asked: number | undefined): number {
    if (resource !== 'pods' || object['spec']?.nodeName === undefined) return 0;
    if (['Succeeded', 'Failed'].includes(object['status']?.phase)) return 0;
    return Math.max(0, asked ?? object['spec'].terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS);
  }

  function remaining(object: KubernetesObject): number {
    return (object.metadata['deletionGracePeriodSeconds'] as number | undefined) ?? 0;
  }

  function markDeleted(resource: string, object: KubernetesObject, grace: number, finalizers: string[]) {
    const next = clone(object);
    next.metadata.deletionTimestamp = new Date(clock.now() + grace * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
    next.metadata['deletionGracePeriodSeconds'] = grace;
    if (next.metadata.generation !== undefined) next.metadata.generation += 1;
    if (finalizers.length > 0) next.metadata['finalizers'] = finalizers;
    if (resource === 'namespaces') next['status'] = { ...next['status'], phase: 'Terminating' };
    write(resource, next, object);
    return next;
  }

  const store: ApiObjectStore = {
    get resourceVersion() {
      return version;
    },
    get: find,
    list(resource, { namespace, labelSelector, fieldSelector } = {}) {
      const on = shelves.get(resource);
      if (on === undefined) return [];
      const matches: Matcher[] = [];
      if (labelSelector) matches.push(labelMatcher(labelSelector));
      if (fieldSelector) matches.push(fieldMatcher(resource, fieldSelector));
      const found: KubernetesObject[] = [];
      const take = (object: KubernetesObject) => {
        if (matches.every((match) => match(object))) found.push(object);
      };
      const node = resource === 'pods' && fieldSelector ? boundTo(fieldSelector) : undefined;
      if (node !== undefined) {
        for (const pod of on.byNode.get(node) ?? []) if (!namespace || pod.metadata.namespace === namespace) take(pod);
      } else if (namespace) on.namespaces.get(namespace)?.forEach(take);
      else for (const names of on.namespaces.values()) names.forEach(take);
      return found;
    },
    create(resource, object, { dryRun = false } = {}) {
      const next = clone(object);
      const { metadata } = next;
      if (find(resource, metadata.namespace, metadata.name) !== undefined) throw alreadyExists(resource, metadata.name);
      metadata.uid = randomUUID();
      metadata.creationTimestamp ??= now();
      delete metadata.deletionTimestamp;
      delete metadata['deletionGracePeriodSeconds'];
      if (next['spec'] !== undefined && !WITHOUT_GENERATION.has(resource)) metadata.generation = 1;
      applyDefaults(resource, next);
      if (dryRun) return next;
      addresses.allocate(resource, next);
      write(resource, next, undefined);
      collector.collectOrphan(resource, next);
      return next;
    },
    update(resource, object, { subresource, whole = false, dryRun = false } = {}) {
      const { name, namespace, resourceVersion } = object.metadata;
      const current = find(resource, namespace, name);
      if (current === undefined) throw notFound(resource, name);
      if (resourceVersion && resourceVersion !== current.metadata.resourceVersion) throw staleVersion(resource, name);
      const given = clone(object);
      if (subresource === 'status') {
        const next = { ...clone(current), status: given['status'] };
        if (given.metadata['managedFields'] !== undefined)
          next.metadata['managedFields'] = given.metadata['managedFields'];
        return dryRun ? next : replace(resource, current, next);
      }
      if (!whole && current['status'] === undefined) delete given['status'];
      else if (!whole) given['status'] = current['status'];
      for (const field of ['deletionTimestamp', 'deletionGracePeriodSeconds']) {
        if (current.metadata[field] === undefined) delete given.metadata[field];
        else given.metadata[field] = current.metadata[field];
      }
      applyDefaults(resource, given);
      if (dryRun) return { ...given, metadata: { ...given.metadata, uid: current.metadata.uid! } };
      addresses.keep(resource, current, given);
      return replace(resource, current, given);
    },
    mutate(resource, namespace, name, change) {
      const current = find(resource, namespace, name);
      if (current === undefined) return undefined;
      const next = clone(current);
      change(next);
      return replace(resource, current, clone(next));
    },
    delete(resource, namespace, name, { gracePeriodSeconds, uid, propagation } = {}) {
      const current = find(resource, namespace, name);
      if (current === undefined) throw notFound(resource, name);
      if (uid !== undefined && uid !== current.metadata.uid) {
        // Of the kind, not of the resource: rest.BeforeDelete says it so.
        throw conflict(
          current.kind,
          name,
          `the UID in the precondition (${uid}) does not match the UID in record (${current.metadata.uid}). The object might have been deleted and then recreated`,
        );
      }
      const finalizers = collector.finalizersFor(current, propagation);
      const grace = graceOf(resource, current, gracePeriodSeconds);
      const held = finalizers.length > 0 || grace > 0 || resource === 'namespaces';
      if (!held) {
        if (propagation === 'Orphan') collector.orphan(current);
        erase(resource, current);
        return current;
      }
      const deleting = current.metadata.deletionTimestamp !== undefined;
      if (deleting && grace >= remaining(current)) return current;
      const marked = markDeleted(resource, current, grace, finalizers);
      if (propagation === 'Foreground') collector.deleteForeground(marked);
      if (resource === 'namespaces') emptyNamespace(name);
      return find(resource, namespace, name) ?? marked;
    },
    remove,
    watch(resource, onEvent) {
      const { watchers } = shelf(resource);
      const own = (event: StoredEvent, of: string) => onEvent(event, of);
      watchers.add(own);
      return () => void watchers.delete(own);
    },
    event: (about, type, reason, message, source) =>
      recordEvent(store, { about, type, reason, message, source, time: now() }),
    history(resource, since) {
      const { history, compacted } = shelf(resource);
      if (since < compacted) return undefined;
      let at = history.length;
      while (at > 0 && history[at - 1]!.resourceVersion > since) at -= 1;
      return history.slice(at);
    },
    compact() {
      version += 1;
      for (const each of shelves.values()) {
        each.history = [];
        each.compacted = version;
      }
    },
    byUid: (uid) => uids.get(uid),
    get apiServiceAddress() {
      return addresses.first;
    },
  };

  /** Everything in the namespace is deleted; the namespace itself goes with the last of it. */
  function emptyNamespace(namespace: string) {
    for (const [resource, { namespaces }] of shelves) {
      // Deleting takes names out of the map, and may drop the map itself.
      const names = [...(namespaces.get(namespace)?.keys() ?? [])];
      for (const name of names) {
        if (find(resource, namespace, name) !== undefined) store.delete(resource, namespace, name);
      }
    }
    finishNamespace(namespace);
  }

  function finishNamespace(namespace: string) {
    const object = find('namespaces', undefined, namespace);
    if (object?.metadata.deletionTimestamp === undefined) return;
    for (const { namespaces } of shelves.values()) if (namespaces.has(namespace)) return;
    erase('namespaces', object);
  }

  const collector = createGarbageCollector(store, clock);
  const addresses = createAddressAllocator(options.serviceCidr ?? '10.96.0.0/12');
  return store;
}

/** The node that `spec.nodeName=x` asks for, when the selector pins one. */
function boundTo(fieldSelector: string): string | undefined {
  return fieldRequirements(fieldSelector).find(({ field, negated }) => field === 'spec.nodeName' && !negated)?.value;
}
