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

/** A set's template, of one generation of the set. */
interface Template {
  generation: number | undefined;
  hash: string;
  tolerations: Toleration[];
  /** By the node as it is: objects of the store are replaced when they change. */
  places: WeakMap<KubernetesObject, Place>;
}

/** What a node means to a template: whether it is selected, gets a pod, and keeps one that it has. */
interface Place {
  matches: boolean;
  run: boolean;
  stay: boolean;
}

/** One pod on each node that fits, rolled node by node when the template changes. */
export function runDaemonSets({ store, nodes, pods, random, queue, onStop }: ControllerContext): void {
  const keys = new Map<string, string>();
  const templates = new Map<string, Template>();
  const work = queue('daemonset', sync, () => Math.floor(nodes.size * PAUSE_MS_PER_NODE));

  onStop(
    store.watch(RESOURCE, ({ type, object }) => {
      if (type !== 'DELETED') return remember(object);
      keys.delete(object.metadata.uid!);
      templates.delete(object.metadata.uid!);
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
    const template = templateOf(set);
    keepRevision(set, template.hash);
    const counts = placeAll(set, template);
    if (set.spec.updateStrategy?.type !== 'OnDelete') roll(set, template.hash, counts.desired);
    writeStatus(set, template, counts);
  }

  /** Hashing a template and comparing it with every node is dear, and only a new generation has a new one. */
  function templateOf(set: KubernetesObject): Template {
    const { uid = '', generation } = set.metadata;
    const known = templates.get(uid);
    if (known !== undefined && known.generation === generation) return known;
    const hash = templateHash(set.spec.template);
    const template = { generation, hash, tolerations: tolerationsOf(set), places: new WeakMap() };
    templates.set(uid, template);
    return template;
  }

  function placeOn(node: KubernetesObject, set: KubernetesObject, { places, tolerations }: Template): Place {
    const known = places.get(node);
    if (known !== undefined) return known;
    const matches = matchesNode(set.spec.template.spec, node);
    const run =
      matches &&
      untolerated(node, tolerations, ['NoSchedule', 'NoExecute']).length === 0 &&
      takesPods(node, tolerations);
    const stay = matches && untolerated(node, tolerations, ['NoExecute']).length === 0;
    const place = { matches, run, stay };
    places.set(node, place);
    return place;
  }

  /** Where the set's pods are, and pods made and taken away so that each node has what it should. */
  function placeAll(
    set: KubernetesObject,
    template: Template,
  ): { desired: number; current: number; misscheduled: number } {
    const byNode = Map.groupBy(pods.ownedBy(set.metadata.uid!), targetOf);
    const counts = { desired: 0, current: 0, misscheduled: 0 };
    for (const node of nodes.all()) {
      const there = byNode.get(node.metadata.name) ?? [];
      const { run, stay } = placeOn(node, set, template);
      if (run) counts.desired++;
      if (run && there.length > 0) counts.current++;
      if (!run && there.length > 0) counts.misscheduled++;
      // A pod that still terminates keeps its place: the successor comes when it is gone.
      if (run && there.length === 0) createPod(set, template, node.metadata.name);
      if (stay) there.filter((pod) => isFinished(pod) && !isTerminating(pod)).forEach((pod) => deletePod(set, pod));
      else there.filter((pod) => !isTerminating(pod)).forEach((pod) => deletePod(set, pod));
    }
    return counts;
  }

  function createPod(set: KubernetesObject, { hash, tolerations }: Template, node: string): void {
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

  function writeStatus(set: KubernetesObject, template: Template, counts: ReturnType<typeof placeAll>): void {
    const running = pods.ownedBy(set.metadata.uid!).filter((pod) => {
      const node = nodes.get(targetOf(pod));
      return node !== undefined && placeOn(node, set, template).matches;
    });
    const ready = running.filter(isReady).length;
    const status = {
      currentNumberScheduled: counts.current,
      numberMisscheduled: counts.misscheduled,
      desiredNumberScheduled: counts.desired,
      numberReady: ready,
      observedGeneration: set.metadata.generation,
      updatedNumberScheduled: running.filter((pod) => revisionOf(pod) === template.hash).length,
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
