import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import { tolerates, UNSCHEDULABLE } from './placement.ts';
import type { Taint, Toleration } from './placement.ts';
import { isFinished, isReady, isTerminating, setCondition, timestamp } from './pods.ts';

/** How often the real controller looks (--node-monitor-period), in simulated ms. */
const MONITOR_PERIOD_MS = 5000;
const SHORTEST_REAL_PERIOD_MS = 50;
const PERIOD_AT_SPEED_0_MS = 1000;

const NOT_READY = 'node.kubernetes.io/not-ready';
const UNREACHABLE = 'node.kubernetes.io/unreachable';

/**
 * A node whose kubelet is silent for longer than the grace becomes Unknown and tainted; its pods stop being Ready and,
 * when nothing tolerates the taint any longer, are deleted. What the heartbeat says in the meantime is the kubelet's.
 */
export function runNodeLifecycle(context: ControllerContext): void {
  const { store, clock, nodes, pods, queue, isAlive, nodeGraceMs, onStop } = context;
  const silentSince = new Map<string, number>();
  const work = queue('node-lifecycle', sync);
  let timer = setTimeout(monitor, 0);
  timer.unref();
  onStop(() => clearTimeout(timer));
  onStop(store.watch('nodes', ({ type, object }) => void (type !== 'DELETED' && work.add(object.metadata.name))));
  for (const node of nodes.all()) work.add(node.metadata.name);

  /** Looking costs one boolean a node: cheaper than heartbeats that write a Lease for each. */
  function monitor(): void {
    for (const { metadata } of nodes.all()) {
      if (isAlive(metadata.name)) silentSince.delete(metadata.name);
      else if (!silentSince.has(metadata.name)) silentSince.set(metadata.name, clock.elapsed());
      else if (clock.elapsed() - silentSince.get(metadata.name)! > nodeGraceMs) markUnknown(metadata.name);
    }
    const period =
      clock.speed === 0 ? PERIOD_AT_SPEED_0_MS : Math.max(SHORTEST_REAL_PERIOD_MS, MONITOR_PERIOD_MS / clock.speed);
    timer = setTimeout(monitor, period);
    timer.unref();
  }

  function markUnknown(name: string): void {
    const before = nodes.get(name);
    if (before === undefined || readiness(before) === 'Unknown') return;
    store.mutate('nodes', undefined, name, (node) => {
      for (const type of ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready']) {
        setCondition(
          node,
          { type, status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' },
          clock.now(),
        );
      }
    });
    store.event(before, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`, 'node-controller');
    for (const pod of pods.onNode(name).filter(isReady)) {
      store.mutate('pods', pod.metadata.namespace, pod.metadata.name, (object) => {
        setCondition(object, { type: 'Ready', status: 'False' }, clock.now());
      });
    }
  }

  /** Taints follow the Ready condition, and the mark of a cordoned node. */
  function sync(name: string): void {
    const node = nodes.get(name);
    if (node === undefined) return;
    const taints: Taint[] = node.spec?.taints ?? [];
    const wanted = wantedTaints(node);
    const kept = taints.filter((taint) => !ownTaints.includes(taint.key) || wanted.some((each) => isSame(each, taint)));
    const added = wanted.filter((taint) => !taints.some((each) => isSame(each, taint)));
    if (added.length === 0 && kept.length === taints.length) return;
    store.mutate('nodes', undefined, name, (object) => {
      const next = [...kept, ...added.map((taint) => ({ ...taint, timeAdded: timestamp(clock.now()) }))];
      object.spec ??= {};
      if (next.length === 0) delete object.spec.taints;
      else object.spec.taints = next;
    });
  }
}

const ownTaints = [NOT_READY, UNREACHABLE, UNSCHEDULABLE];

const isSame = (left: Taint, right: Taint) => left.key === right.key && left.effect === right.effect;

function wantedTaints(node: KubernetesObject): Taint[] {
  const key = { True: undefined, False: NOT_READY, Unknown: UNREACHABLE }[readiness(node)];
  return [
    ...(key === undefined ? [] : (['NoSchedule', 'NoExecute'] as const).map((effect) => ({ key, effect }))),
    ...(node.spec?.unschedulable === true ? [{ key: UNSCHEDULABLE, effect: 'NoSchedule' } as const] : []),
  ];
}

/** Deletes pods that do not tolerate a NoExecute taint of their node, or no longer do. */
export function runTaintEviction({ store, clock, nodes, pods, queue }: ControllerContext): void {
  const since = new Map<string, number>();
  const work = queue('taint-eviction', sync);
  nodes.onPlacementChange((name) => work.add(name));
  pods.onChange((before, after) => {
    if (after?.spec.nodeName && before?.spec.nodeName !== after.spec.nodeName) work.add(after.spec.nodeName);
  });

  function sync(name: string): void {
    const taints = ((nodes.get(name)?.spec?.taints ?? []) as Taint[]).filter(({ effect }) => effect === 'NoExecute');
    for (const key of since.keys()) {
      if (key.startsWith(`${name}/`) && !taints.some((taint) => key === `${name}/${taint.key}`)) since.delete(key);
    }
    for (const { key } of taints) if (!since.has(`${name}/${key}`)) since.set(`${name}/${key}`, clock.elapsed());
    if (taints.length === 0) return;
    for (const pod of pods.onNode(name)) {
      if (isTerminating(pod) || isFinished(pod)) continue;
      const left = Math.min(
        ...taints.map((taint) => patience(pod, taint) - (clock.elapsed() - since.get(`${name}/${taint.key}`)!)),
      );
      if (left <= 0) evict(pod);
      else if (left < Infinity && clock.speed > 0) work.addAfter(name, left + 1);
    }
  }

  function evict(pod: KubernetesObject): void {
    store.event(
      pod,
      'Normal',
      'TaintManagerEviction',
      `Marking for deletion Pod ${pod.metadata.namespace}/${pod.metadata.name}`,
      'taint-eviction-controller',
    );
    store.delete('pods', pod.metadata.namespace, pod.metadata.name);
  }
}

/** How long the pod puts up with the taint, in simulated ms. */
function patience(pod: KubernetesObject, taint: Taint): number {
  const fitting = ((pod.spec.tolerations ?? []) as Toleration[]).filter((each) => tolerates([each], taint));
  if (fitting.length === 0) return 0;
  return Math.min(
    ...fitting.map(({ tolerationSeconds }) => (tolerationSeconds === undefined ? Infinity : tolerationSeconds * 1000)),
  );
}

type Readiness = 'True' | 'False' | 'Unknown';
const readiness = (node: KubernetesObject): Readiness =>
  node.status?.conditions?.find((each: { type: string }) => each.type === 'Ready')?.status ?? 'False';
