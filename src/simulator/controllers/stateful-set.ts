import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import {
  controllerUid,
  isFinished,
  isReady,
  isTerminating,
  keyOf,
  podFromTemplate,
  splitKey,
  templateHash,
} from './pods.ts';

const RESOURCE = 'statefulsets.apps';

/** Pods with names that stay: `db-0`, `db-1`, in order; no volumes. A pod's successor waits until the pod is gone. */
export function runStatefulSets({ store, pods, random, queue, onStop }: ControllerContext): void {
  const keys = new Map<string, string>();
  const work = queue('statefulset', sync);

  const remember = (set: KubernetesObject) => {
    keys.set(set.metadata.uid!, keyOf(set));
    work.add(keyOf(set));
  };
  store.list(RESOURCE).forEach(remember);
  onStop(
    store.watch(RESOURCE, ({ type, object }) => {
      if (type === 'DELETED') keys.delete(object.metadata.uid!);
      else remember(object);
    }),
  );
  pods.onChange((before, after) => {
    const key = keys.get(controllerUid((after ?? before)!) ?? '');
    if (key !== undefined) work.add(key);
  });

  function sync(key: string): void {
    const [namespace, name] = splitKey(key);
    const set = store.get(RESOURCE, namespace, name);
    if (set === undefined || isTerminating(set)) return;
    const hash = templateHash(set.spec.template);
    const revision = `${name}-${hash}`;
    step(set, revision);
    writeStatus(set, revision);
  }

  /** The one next thing to do, or nothing while a pod is on its way. */
  function step(set: KubernetesObject, revision: string): void {
    const owned = new Map(pods.ownedBy(set.metadata.uid!).map((pod) => [pod.metadata.name, pod]));
    const ordered = set.spec.podManagementPolicy !== 'Parallel';
    for (let ordinal = 0; ordinal < set.spec.replicas; ordinal++) {
      const pod = owned.get(`${set.metadata.name}-${ordinal}`);
      if (pod === undefined) create(set, ordinal, revision);
      else if (isFinished(pod) && !isTerminating(pod)) store.delete('pods', pod.metadata.namespace, pod.metadata.name);
      if (ordered && (pod === undefined || !isReady(pod) || isTerminating(pod))) return;
    }
    const highestFirst = [...owned.values()].sort((left, right) => ordinalOf(right) - ordinalOf(left));
    const surplus = highestFirst.find((pod) => ordinalOf(pod) >= set.spec.replicas);
    const stale = highestFirst.find((pod) => pod.metadata.labels?.['controller-revision-hash'] !== revision);
    if (set.spec.updateStrategy?.type === 'OnDelete' && surplus === undefined) return;
    const next = surplus ?? stale;
    const settled = highestFirst.every((pod) => isReady(pod) && !isTerminating(pod));
    if (next !== undefined && settled) store.delete('pods', next.metadata.namespace, next.metadata.name);
  }

  function create(set: KubernetesObject, ordinal: number, revision: string): void {
    const name = `${set.metadata.name}-${ordinal}`;
    const pod = podFromTemplate(set, random, name);
    pod.metadata.labels = {
      ...pod.metadata.labels,
      'controller-revision-hash': revision,
      'statefulset.kubernetes.io/pod-name': name,
      'apps.kubernetes.io/pod-index': String(ordinal),
    };
    pod.spec.hostname = name;
    store.create('pods', pod);
    store.event(
      set,
      'Normal',
      'SuccessfulCreate',
      `create Pod ${name} in StatefulSet ${set.metadata.name} successful`,
      'statefulset-controller',
    );
  }

  function writeStatus(set: KubernetesObject, revision: string): void {
    const live = pods.ownedBy(set.metadata.uid!).filter((pod) => !isTerminating(pod));
    const ready = live.filter(isReady).length;
    const updated = live.filter((pod) => pod.metadata.labels?.['controller-revision-hash'] === revision).length;
    store.mutate(RESOURCE, set.metadata.namespace, set.metadata.name, (object) => {
      object.status = {
        ...object.status,
        observedGeneration: object.metadata.generation,
        replicas: live.length,
        readyReplicas: ready || undefined,
        availableReplicas: ready,
        currentReplicas: updated || undefined,
        updatedReplicas: updated || undefined,
        currentRevision: updated === live.length ? revision : (object.status?.currentRevision ?? revision),
        updateRevision: revision,
      };
    });
  }
}

const ordinalOf = ({ metadata }: KubernetesObject) => Number(metadata.name.slice(metadata.name.lastIndexOf('-') + 1));
