import type { KubernetesObject, SimClock } from '../types.ts';
import type { ApiObjectStore } from './object-store.ts';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN_CHECK_MS = 1000;

type OwnerReference = NonNullable<KubernetesObject['metadata']['ownerReferences']>[number] & {
  blockOwnerDeletion?: boolean;
};

const owners = (object: KubernetesObject | undefined): OwnerReference[] =>
  (object?.metadata.ownerReferences as OwnerReference[] | undefined) ?? [];

/** What the garbage collector of the controller manager does, by ownerReferences: background, foreground, orphan. */
export function createGarbageCollector(store: ApiObjectStore, clock: SimClock) {
  /** uid of the owner -> uids of what it owns. */
  const dependents = new Map<string, Set<string>>();

  function link(owner: string, dependent: string) {
    let owned = dependents.get(owner);
    if (owned === undefined) dependents.set(owner, (owned = new Set()));
    owned.add(dependent);
  }

  function unlink(owner: string, dependent: string) {
    const owned = dependents.get(owner);
    owned?.delete(dependent);
    if (owned?.size === 0) dependents.delete(owner);
  }

  const ownedBy = (uid: string) =>
    [...(dependents.get(uid) ?? [])].map((each) => store.byUid(each)).filter((each) => each !== undefined);

  const dropOwner = (resource: string, object: KubernetesObject, uid: string) =>
    store.mutate(resource, object.metadata.namespace, object.metadata.name, ({ metadata }) => {
      const left = owners(object).filter((owner) => owner.uid !== uid);
      if (left.length === 0) delete metadata.ownerReferences;
      else metadata.ownerReferences = left;
    });

  /** Dependents of an owner that is gone: with another living owner they stay, without they are deleted. */
  function collect(resource: string, object: KubernetesObject, gone: string) {
    const others = owners(object).filter(({ uid }) => uid !== gone && store.byUid(uid) !== undefined);
    if (others.length > 0) dropOwner(resource, object, gone);
    else if (object.metadata.deletionTimestamp === undefined) {
      store.delete(resource, object.metadata.namespace, object.metadata.name);
    }
  }

  function finishForeground(uid: string) {
    const owner = store.byUid(uid);
    const finalizers = (owner?.object.metadata['finalizers'] as string[] | undefined) ?? [];
    if (owner === undefined || !finalizers.includes(FOREGROUND)) return;
    const blocking = ownedBy(uid).some(({ object }) =>
      owners(object).some((each) => each.uid === uid && each.blockOwnerDeletion === true),
    );
    if (blocking) return;
    const { namespace, name } = owner.object.metadata;
    store.mutate(owner.resource, namespace, name, ({ metadata }) => {
      metadata['finalizers'] = finalizers.filter((each) => each !== FOREGROUND);
    });
  }

  return {
    index(next: KubernetesObject, previous: KubernetesObject | undefined) {
      const before = owners(previous);
      const after = owners(next);
      if (before.length === 0 && after.length === 0) return;
      const uid = next.metadata.uid!;
      for (const owner of before) unlink(owner.uid, uid);
      for (const owner of after) link(owner.uid, uid);
    },
    forget(uid: string, object: KubernetesObject | undefined) {
      for (const owner of owners(object)) unlink(owner.uid, uid);
    },
    ownerGone(object: KubernetesObject) {
      const uid = object.metadata.uid!;
      for (const { resource, object: dependent } of ownedBy(uid)) collect(resource, dependent, uid);
      for (const owner of owners(object)) finishForeground(owner.uid);
    },
    /** An object made for an owner that is gone already (its controller was slow) is collected a moment later. */
    collectOrphan(resource: string, object: KubernetesObject) {
      const claimed = owners(object);
      if (claimed.length === 0 || claimed.some(({ uid }) => store.byUid(uid) !== undefined)) return;
      clock.after(ORPHAN_CHECK_MS, () => {
        const current = store.byUid(object.metadata.uid!)?.object;
        const alive = owners(current).some(({ uid }) => store.byUid(uid) !== undefined);
        if (current === undefined || alive || owners(current).length === 0) return;
        if (current.metadata.deletionTimestamp !== undefined) return;
        store.delete(resource, current.metadata.namespace, current.metadata.name);
      });
    },
    /** Finalizers that the object carries through this deletion. */
    finalizersFor(object: KubernetesObject, propagation: string | undefined): string[] {
      const own = (object.metadata['finalizers'] as string[] | undefined) ?? [];
      if (propagation !== 'Foreground' || own.includes(FOREGROUND)) return own;
      return ownedBy(object.metadata.uid!).length === 0 ? own : [...own, FOREGROUND];
    },
    deleteForeground(owner: KubernetesObject) {
      const uid = owner.metadata.uid!;
      for (const { resource, object } of ownedBy(uid)) {
        const others = owners(object).filter((each) => each.uid !== uid && store.byUid(each.uid) !== undefined);
        if (others.length > 0) dropOwner(resource, object, uid);
        else if (object.metadata.deletionTimestamp === undefined) {
          store.delete(resource, object.metadata.namespace, object.metadata.name, { propagation: 'Foreground' });
        }
      }
      finishForeground(uid);
    },
    orphan(owner: KubernetesObject) {
      const uid = owner.metadata.uid!;
      for (const { resource, object } of ownedBy(uid)) dropOwner(resource, object, uid);
    },
  };
}
