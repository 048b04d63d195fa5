import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import {
  amountOf,
  controllerUid,
  isReady,
  isTerminating,
  keyOf,
  ownerReference,
  setCondition,
  splitKey,
  templateHash,
} from './pods.ts';

const RESOURCE = 'deployments.apps';
const SETS = 'replicasets.apps';
const REVISION = 'deployment.kubernetes.io/revision';

/** Rolls from one ReplicaSet to the next when the template changes. */
export function runDeployments({ store, clock, pods, queue, onStop }: ControllerContext): void {
  const keys = new Map<string, string>();
  const sets = new Map<string, Map<string, KubernetesObject>>();
  const work = queue('deployment', sync);

  const keep = (set: KubernetesObject, there: boolean) => {
    const owner = controllerUid(set);
    if (owner === undefined) return;
    let owned = sets.get(owner);
    if (owned === undefined) sets.set(owner, (owned = new Map()));
    if (there) owned.set(set.metadata.name, set);
    else owned.delete(set.metadata.name);
    const key = keys.get(owner);
    if (key !== undefined) work.add(key);
  };
  const remember = (deployment: KubernetesObject) => {
    keys.set(deployment.metadata.uid!, keyOf(deployment));
    work.add(keyOf(deployment));
  };
  store.list(SETS).forEach((set) => keep(set, true));
  store.list(RESOURCE).forEach(remember);
  onStop(store.watch(SETS, ({ type, object }) => keep(object, type !== 'DELETED')));
  onStop(
    store.watch(RESOURCE, ({ type, object }) => {
      if (type !== 'DELETED') return remember(object);
      keys.delete(object.metadata.uid!);
      sets.delete(object.metadata.uid!);
    }),
  );

  function sync(key: string): void {
    const [namespace, name] = splitKey(key);
    const deployment = store.get(RESOURCE, namespace, name);
    if (deployment === undefined || isTerminating(deployment)) return;
    const hash = templateHash(deployment.spec.template);
    const current = currentSet(deployment, hash);
    const old = ownedSets(deployment).filter((set) => set.metadata.name !== current.metadata.name);
    if (deployment.spec.paused !== true) {
      if (deployment.spec.strategy?.type === 'Recreate') recreate(deployment, current, old);
      else roll(deployment, current, old);
    }
    prune(deployment, old);
    writeStatus(deployment, current.metadata.name);
  }

  const ownedSets = (deployment: KubernetesObject) => [...(sets.get(deployment.metadata.uid!)?.values() ?? [])];

  function currentSet(deployment: KubernetesObject, hash: string): KubernetesObject {
    const { namespace, name, uid } = deployment.metadata;
    const setName = `${name}-${hash}`;
    const existing = store.get(SETS, namespace, setName);
    const newest = ownedSets(deployment).reduce((most, set) => Math.max(most, revisionOf(set)), 0);
    if (existing !== undefined && controllerUid(existing) === uid) {
      // Going back to an earlier template makes it the newest revision again.
      if (revisionOf(existing) === newest) return existing;
      return store.mutate(SETS, namespace, setName, (set) => {
        set.metadata.annotations = { ...set.metadata.annotations, [REVISION]: String(newest + 1) };
      })!;
    }
    const { template } = deployment.spec;
    const labels = { ...template.metadata?.labels, 'pod-template-hash': hash };
    return store.create(SETS, {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: setName,
        namespace: namespace!,
        labels,
        annotations: { [REVISION]: String(newest + 1) },
        ownerReferences: [ownerReference(deployment)],
      },
      spec: {
        replicas: newest === 0 ? deployment.spec.replicas : 0,
        selector: {
          ...deployment.spec.selector,
          matchLabels: { ...deployment.spec.selector?.matchLabels, 'pod-template-hash': hash },
        },
        template: { ...structuredClone(template), metadata: { ...template.metadata, labels } },
      },
    });
  }

  function scaleTo(deployment: KubernetesObject, set: KubernetesObject, replicas: number): void {
    if (set.spec.replicas === replicas) return;
    const way = replicas > set.spec.replicas ? 'up' : 'down';
    store.event(
      deployment,
      'Normal',
      'ScalingReplicaSet',
      `Scaled ${way} replica set ${set.metadata.name} from ${set.spec.replicas} to ${replicas}`,
      'deployment-controller',
    );
    store.mutate(SETS, set.metadata.namespace, set.metadata.name, (object) => {
      object.spec.replicas = replicas;
    });
  }

  function roll(deployment: KubernetesObject, current: KubernetesObject, old: KubernetesObject[]): void {
    const { replicas, strategy } = deployment.spec;
    if (old.every((set) => set.spec.replicas === 0)) return scaleTo(deployment, current, replicas);
    const surge = amountOf(strategy?.rollingUpdate?.maxSurge ?? '25%', replicas, 'up');
    const asked = amountOf(strategy?.rollingUpdate?.maxUnavailable ?? '25%', replicas, 'down');
    // Both 0 would never move (deployment util ResolveFenceposts).
    const maxUnavailable = surge === 0 && asked === 0 ? 1 : asked;
    const wanted = (set: KubernetesObject): number => set.spec.replicas;
    const total = [current, ...old].reduce((sum, set) => sum + wanted(set), 0);
    scaleTo(
      deployment,
      current,
      Math.min(replicas, Math.max(wanted(current), wanted(current) + replicas + surge - total)),
    );

    const now = store.get(SETS, current.metadata.namespace, current.metadata.name)!;
    const available = [now, ...old].reduce((sum, set) => sum + readyOf(set), 0);
    const pending = wanted(now) - readyOf(now);
    let spare = total + (wanted(now) - wanted(current)) - (replicas - maxUnavailable) - pending;
    let room = available - (replicas - maxUnavailable);
    for (const set of old.sort((left, right) => revisionOf(left) - revisionOf(right))) {
      const broken = Math.min(wanted(set) - readyOf(set), Math.max(0, spare));
      const healthy = Math.min(wanted(set) - broken, Math.max(0, Math.min(room, spare - broken)));
      spare -= broken + healthy;
      room -= healthy;
      scaleTo(deployment, set, wanted(set) - broken - healthy);
    }
  }

  function recreate(deployment: KubernetesObject, current: KubernetesObject, old: KubernetesObject[]): void {
    old.forEach((set) => scaleTo(deployment, set, 0));
    if (old.every((set) => pods.ownedBy(set.metadata.uid!).length === 0))
      scaleTo(deployment, current, deployment.spec.replicas);
  }

  function prune(deployment: KubernetesObject, old: KubernetesObject[]): void {
    const finished = old.filter((set) => set.spec.replicas === 0 && (set.status?.replicas ?? 0) === 0);
    const surplus = finished.length - (deployment.spec.revisionHistoryLimit ?? 10);
    finished
      .sort((left, right) => revisionOf(left) - revisionOf(right))
      .slice(0, Math.max(0, surplus))
      .forEach((set) => store.delete(SETS, set.metadata.namespace, set.metadata.name));
  }

  const readyOf = (set: KubernetesObject) =>
    pods.ownedBy(set.metadata.uid!).filter((pod) => isReady(pod) && !isTerminating(pod)).length;

  function writeStatus(deployment: KubernetesObject, currentName: string): void {
    const all = ownedSets(deployment);
    const current = all.find((set) => set.metadata.name === currentName);
    const live = (set: KubernetesObject) => pods.ownedBy(set.metadata.uid!).filter((pod) => !isTerminating(pod)).length;
    const replicas = all.reduce((sum, set) => sum + live(set), 0);
    const ready = all.reduce((sum, set) => sum + readyOf(set), 0);
    const updated = current === undefined ? 0 : live(current);
    const wanted: number = deployment.spec.replicas;
    const least = wanted - amountOf(deployment.spec.strategy?.rollingUpdate?.maxUnavailable ?? 0, wanted, 'down');
    const complete = updated === wanted && replicas === wanted && ready === wanted;
    store.mutate(RESOURCE, deployment.metadata.namespace, deployment.metadata.name, (object) => {
      object.metadata.annotations = {
        ...object.metadata.annotations,
        [REVISION]: String(current === undefined ? 1 : revisionOf(current)),
      };
      object.status = {
        ...object.status,
        observedGeneration: object.metadata.generation,
        replicas: replicas || undefined,
        updatedReplicas: updated || undefined,
        readyReplicas: ready || undefined,
        availableReplicas: ready || undefined,
        unavailableReplicas: Math.max(0, wanted - ready) || undefined,
      };
      setCondition(
        object,
        ready >= least
          ? {
              type: 'Available',
              status: 'True',
              reason: 'MinimumReplicasAvailable',
              message: 'Deployment has minimum availability.',
            }
          : {
              type: 'Available',
              status: 'False',
              reason: 'MinimumReplicasUnavailable',
              message: 'Deployment does not have minimum availability.',
            },
        clock.now(),
      );
      setCondition(
        object,
        complete
          ? {
              type: 'Progressing',
              status: 'True',
              reason: 'NewReplicaSetAvailable',
              message: `ReplicaSet "${currentName}" has successfully progressed.`,
            }
          : {
              type: 'Progressing',
              status: 'True',
              reason: 'ReplicaSetUpdated',
              message: `ReplicaSet "${currentName}" is progressing.`,
            },
        clock.now(),
      );
    });
  }
}

const revisionOf = (set: KubernetesObject) => Number(set.metadata.annotations?.[REVISION] ?? 0);
