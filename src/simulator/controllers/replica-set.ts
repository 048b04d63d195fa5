import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import { controllerUid, isActive, isReady, isTerminating, keyOf, podFromTemplate, splitKey } from './pods.ts';

const RESOURCE = 'replicasets.apps';

/** Keeps the wanted number of pods alive. A pod that terminates no longer counts: its successor is made at once. */
export function runReplicaSets({ store, pods, random, queue, onStop }: ControllerContext): void {
  const keys = new Map<string, string>();
  const work = queue('replicaset', sync);

  onStop(
    store.watch(RESOURCE, ({ type, object }) => {
      if (type === 'DELETED') keys.delete(object.metadata.uid!);
      else remember(object);
    }),
  );
  store.list(RESOURCE).forEach(remember);
  pods.onChange((before, after) => {
    const key = keys.get(controllerUid((after ?? before)!) ?? '');
    if (key !== undefined) work.add(key);
  });

  function remember(set: KubernetesObject): void {
    keys.set(set.metadata.uid!, keyOf(set));
    work.add(keyOf(set));
  }

  function sync(key: string): void {
    const [namespace, name] = splitKey(key);
    const set = store.get(RESOURCE, namespace, name);
    if (set === undefined) return;
    if (!isTerminating(set)) scale(set);
    writeStatus(set);
  }

  function scale(set: KubernetesObject): void {
    const active = pods.ownedBy(set.metadata.uid!).filter(isActive);
    const missing = set.spec.replicas - active.length;
    for (let made = 0; made < missing; made++) {
      const pod = store.create('pods', podFromTemplate(set, random));
      store.event(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`, 'replicaset-controller');
    }
    for (const pod of active.sort(expendableFirst).slice(0, Math.max(0, -missing))) {
      store.delete('pods', pod.metadata.namespace, pod.metadata.name);
      store.event(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`, 'replicaset-controller');
    }
  }

  function writeStatus(set: KubernetesObject): void {
    const active = pods.ownedBy(set.metadata.uid!).filter(isActive);
    const ready = active.filter(isReady).length;
    const status = {
      replicas: active.length,
      fullyLabeledReplicas: active.length || undefined,
      readyReplicas: ready || undefined,
      availableReplicas: ready || undefined,
      observedGeneration: set.metadata.generation,
    };
    store.mutate(RESOURCE, set.metadata.namespace, set.metadata.name, (object) => {
      object.status = { ...object.status, ...status };
    });
  }
}

/** Unbound before bound, unready before ready, young before old (controller.ActivePods). */
function expendableFirst(left: KubernetesObject, right: KubernetesObject): number {
  const rank = (pod: KubernetesObject) => (pod.spec.nodeName ? 2 : 0) + (isReady(pod) ? 1 : 0);
  return (
    rank(left) - rank(right) ||
    (right.metadata.creationTimestamp ?? '').localeCompare(left.metadata.creationTimestamp ?? '')
  );
}
