import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import { matchesNode, tolerates, untolerated, UNSCHEDULABLE } from './placement.ts';
import type { Toleration } from './placement.ts';
import {
  amountOf,
  controllerUid,
  isFinished,
  isReady,
  isTerminating,
  keyOf,
  ownerReference,
  podFromTemplate,
  splitKey,
  templateHash,
} from './pods.ts';

/** What the controller adds to every pod (pkg/controller/daemon/util AddOrUpdateDaemonPodTolerations). */
const ownTolerations: Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: UNSCHEDULABLE, operator: 'Exists', effect: 'NoSchedule' },
];
const hostNetworkToleration: Toleration = {
  key: 'node.kubernetes.io/network-unavailable',
  operator: 'Exists',
  effect: 'NoSchedule',
};

const RESOURCE = 'daemonsets.apps';

/** A look at a set goes over all nodes: with many of them, looks are this far apart (real ms for each node). */
const PAUSE_MS_PER_NODE = 0.05;

/** One pod on each node that fits, rolled node by node when the template changes. */
export function runDaemonSets({ store, nodes, pods, random, queue, onStop }: ControllerContext): void {
  const keys = new Map<string, string>();
  const hashes = new Map<string, { generation: number | undefined; hash: string }>();
  const work = queue('daemonset', sync, () => Math.floor(nodes.size * PAUSE_MS_PER_NODE));

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
  nodes.onPlacementChange(() => keys.forEach((key) => work.add(key)));

  function remember(set: KubernetesObject): void {
    keys.set(set.metadata.uid!, keyOf(set));
    work.add(keyOf(set));
  }

  function sync(key: string): void {
    const [namespace, name] = splitKey(key);
    const set = store.get(RESOURCE, namespace, name);
    if (set === undefined || isTerminating(set)) return;
    const hash = hashOf(set);
    keepRevision(set, hash);
    const counts = placeAll(set, hash);
    if (set.spec.updateStrategy?.type !== 'OnDelete') roll(set, hash, counts.desired);
    writeStatus(set, hash, counts);
  }

  /** Hashing a template is dear, and only a new generation has a new one. */
  function hashOf({ metadata, spec }: KubernetesObject): string {
    const known = hashes.get(metadata.uid!);
    if (known !== undefined && known.generation === metadata.generation) return known.hash;
    const hash = templateHash(spec.template);
    hashes.set(metadata.uid!, { generation: metadata.generation, hash });
    return hash;
  }

  /** Where the set's pods are, and pods made and taken away so that each node has what it should. */
  function placeAll(set: KubernetesObject, hash: string): { desired: number; current: number; misscheduled: number } {
    const tolerations = tolerationsOf(set);
    const byNode = Map.groupBy(pods.ownedBy(set.metadata.uid!), targetOf);
    const counts = { desired: 0, current: 0, misscheduled: 0 };
    for (const node of nodes.all()) {
      const there = byNode.get(node.metadata.name) ?? [];
      const matches = matchesNode(set.spec.template.spec, node);
      const run =
        matches &&
        untolerated(node, tolerations, ['NoSchedule', 'NoExecute']).length === 0 &&
        takesPods(node, tolerations);
      const stay = matches && untolerated(node, tolerations, ['NoExecute']).length === 0;
      if (run) counts.desired++;
      if (run && there.length > 0) counts.current++;
      if (!run && there.length > 0) counts.misscheduled++;
      // A pod that still terminates keeps its place: the successor comes when it is gone.
      if (run && there.length === 0) createPod(set, hash, node.metadata.name, tolerations);
      if (stay) there.filter((pod) => isFinished(pod) && !isTerminating(pod)).forEach((pod) => deletePod(set, pod));
      else there.filter((pod) => !isTerminating(pod)).forEach((pod) => deletePod(set, pod));
    }
    return counts;
  }

  function createPod(set: KubernetesObject, hash: string, node: string, tolerations: Toleration[]): void {
    const pod = podFromTemplate(set, random);
    pod.metadata.labels = {
      ...pod.metadata.labels,
      'controller-revision-hash': hash,
      'pod-template-generation': String(set.metadata.generation),
    };
    pod.spec.tolerations = tolerations;
    pod.spec.affinity = {
      ...pod.spec.affinity,
      nodeAffinity: {
        ...pod.spec.affinity?.nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
        },
      },
    };
    store.create('pods', pod);
    store.event(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`, 'daemonset-controller');
  }

  function deletePod(set: KubernetesObject, pod: KubernetesObject): void {
    store.delete('pods', pod.metadata.namespace, pod.metadata.name);
    store.event(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`, 'daemonset-controller');
  }

  /** RollingUpdate: old pods that are not ready go at once, others as far as maxUnavailable lets them. */
  function roll(set: KubernetesObject, hash: string, desired: number): void {
    const owned = pods.ownedBy(set.metadata.uid!);
    const old = owned.filter((pod) => revisionOf(pod) !== hash && !isTerminating(pod));
    if (old.length === 0) return;
    const limit = Math.max(1, amountOf(set.spec.updateStrategy?.rollingUpdate?.maxUnavailable ?? 1, desired, 'up'));
    const unavailable = desired - owned.filter((pod) => isReady(pod) && !isTerminating(pod)).length;
    const broken = old.filter((pod) => !isReady(pod));
    const room = Math.max(0, limit - unavailable);
    const next = [...broken, ...old.filter((pod) => isReady(pod)).slice(0, room)];
    next.forEach((pod) => deletePod(set, pod));
  }

  function keepRevision(set: KubernetesObject, hash: string): void {
    const { namespace, name } = set.metadata;
    const revision = `${name}-${hash}`;
    if (store.get('controllerrevisions.apps', namespace, revision) !== undefined) return;
    const earlier = store
      .list('controllerrevisions.apps', { namespace: namespace! })
      .filter((each) => controllerUid(each) === set.metadata.uid);
    store.create('controllerrevisions.apps', {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: {
        name: revision,
        namespace: namespace!,
        labels: { ...set.metadata.labels, 'controller-revision-hash': hash },
        ownerReferences: [ownerReference(set)],
      },
      data: { spec: { template: { ...structuredClone(set.spec.template), $patch: 'replace' } } },
      revision: 1 + earlier.reduce((most, each) => Math.max(most, each.revision), 0),
    });
  }

  function writeStatus(set: KubernetesObject, hash: string, counts: ReturnType<typeof placeAll>): void {
    const running = pods.ownedBy(set.metadata.uid!).filter((pod) => {
      const node = nodes.get(targetOf(pod));
      return node !== undefined && matchesNode(set.spec.template.spec, node);
    });
    const ready = running.filter(isReady).length;
    const status = {
      currentNumberScheduled: counts.current,
      numberMisscheduled: counts.misscheduled,
      desiredNumberScheduled: counts.desired,
      numberReady: ready,
      observedGeneration: set.metadata.generation,
      updatedNumberScheduled: running.filter((pod) => revisionOf(pod) === hash).length,
      numberAvailable: ready || undefined,
      numberUnavailable: Math.max(0, counts.desired - ready) || undefined,
    };
    store.mutate(RESOURCE, set.metadata.namespace, set.metadata.name, (object) => {
      object.status = { ...object.status, ...status };
    });
  }
}

const revisionOf = (pod: KubernetesObject) => pod.metadata.labels?.['controller-revision-hash'];

/** Where a pod is or is bound for. */
const targetOf = (pod: KubernetesObject): string =>
  pod.spec.nodeName ??
  pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms?.[0]
    ?.matchFields?.[0]?.values?.[0] ??
  '';

const takesPods = (node: KubernetesObject, tolerations: Toleration[]) =>
  node.spec?.unschedulable !== true || tolerates(tolerations, { key: UNSCHEDULABLE, effect: 'NoSchedule' });

function tolerationsOf({ spec }: KubernetesObject): Toleration[] {
  const { tolerations = [], hostNetwork } = spec.template.spec;
  return [...tolerations, ...ownTolerations, ...(hostNetwork === true ? [hostNetworkToleration] : [])];
}
