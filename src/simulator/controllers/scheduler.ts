import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import { hostPorts, matchesNode, pinnedNode, tolerates, untolerated, UNSCHEDULABLE } from './placement.ts';
import type { Toleration } from './placement.ts';
import { controllerUid, isFinished, isTerminating, keyOf, setCondition, splitKey } from './pods.ts';

const MAX_PODS = 110;
const ZONE = 'topology.kubernetes.io/zone';

/** Why a node cannot take a pod, worded as kube-scheduler does; undefined when it can. */
type Refusal = string | undefined;

/** Binds pods to nodes: the filters that decide during a migration, and a spread over zones and nodes. */
export function runScheduler({ store, clock, pods, nodes, queue }: ControllerContext): void {
  const unplaced = new Set<string>();
  const work = queue('scheduler', place);

  const consider = (pod: KubernetesObject) => {
    if (!pod.spec.nodeName && !isTerminating(pod) && !isFinished(pod)) work.add(keyOf(pod));
  };
  pods.onChange((before, after) => {
    if (after !== undefined && (before === undefined || before.spec.nodeName !== after.spec.nodeName)) consider(after);
    const freed = before?.spec.nodeName && (after === undefined || (isFinished(after) && !isFinished(before)));
    if (freed) retryUnplaced();
  });
  nodes.onPlacementChange(retryUnplaced);
  store.list('pods').forEach(consider);

  function retryUnplaced(): void {
    unplaced.forEach((key) => work.add(key));
    unplaced.clear();
  }

  function place(key: string): void {
    const [namespace, name] = splitKey(key);
    const pod = store.get('pods', namespace, name);
    if (pod === undefined || pod.spec.nodeName || isTerminating(pod) || pod.spec.schedulingGates?.length > 0) return;
    const refusals = new Map<string, number>();
    const candidates: KubernetesObject[] = [];
    for (const node of candidatesFor(pod)) {
      const why = refusal(pod, node);
      if (why === undefined) candidates.push(node);
      else refusals.set(why, (refusals.get(why) ?? 0) + 1);
    }
    const best = candidates.length > 1 ? bestOf(pod, candidates) : candidates[0];
    if (best === undefined) return refuse(pod, refusals);
    bind(pod, best.metadata.name);
  }

  function candidatesFor(pod: KubernetesObject): Iterable<KubernetesObject> {
    const pinned = pinnedNode(pod.spec);
    if (pinned === undefined) return nodes.all();
    const node = nodes.get(pinned);
    return node === undefined ? [] : [node];
  }

  function refusal(pod: KubernetesObject, node: KubernetesObject): Refusal {
    const tolerations: Toleration[] = pod.spec.tolerations ?? [];
    if (node.spec?.unschedulable === true && !tolerates(tolerations, { key: UNSCHEDULABLE, effect: 'NoSchedule' })) {
      return 'node(s) were unschedulable';
    }
    const [taint] = untolerated(node, tolerations, ['NoSchedule', 'NoExecute']);
    if (taint !== undefined) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
    if (!matchesNode(pod.spec, node)) return "node(s) didn't match Pod's node affinity/selector";
    const there = pods.onNode(node.metadata.name).filter((each) => !isFinished(each));
    const wanted = hostPorts(pod);
    if (wanted.length > 0 && there.some((each) => hostPorts(each).some((port) => wanted.includes(port)))) {
      return "node(s) didn't have free ports for the requested pod ports";
    }
    if (there.length >= MAX_PODS) return 'Too many pods';
    if (repelled(pod, node, there)) return "node(s) didn't match pod anti-affinity rules";
    return undefined;
  }

  /** Required anti-affinity by hostname, which is what keeps replicas on different nodes. */
  function repelled(pod: KubernetesObject, node: KubernetesObject, there: KubernetesObject[]): boolean {
    const terms = pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
    return terms.some(
      ({
        labelSelector,
        topologyKey,
      }: {
        labelSelector?: { matchLabels?: { [key: string]: string } };
        topologyKey: string;
      }) => {
        if (topologyKey !== 'kubernetes.io/hostname' || node.metadata.labels?.[topologyKey] === undefined) return false;
        const wanted = Object.entries(labelSelector?.matchLabels ?? {});
        return there.some(
          ({ metadata }) =>
            metadata.namespace === pod.metadata.namespace &&
            wanted.every(([key, value]) => metadata.labels?.[key] === value),
        );
      },
    );
  }

  /** Few siblings in the zone, then few on the node, then few pods at all; among equals the node that registered first. */
  function bestOf(pod: KubernetesObject, candidates: KubernetesObject[]): KubernetesObject | undefined {
    const owner = controllerUid(pod);
    const onNode = new Map<string, number>();
    const inZone = new Map<string, number>();
    for (const sibling of owner === undefined ? [] : pods.ownedBy(owner)) {
      const node = sibling.spec.nodeName as string | undefined;
      if (!node || isTerminating(sibling) || isFinished(sibling)) continue;
      onNode.set(node, (onNode.get(node) ?? 0) + 1);
      const zone = zoneOf(nodes.get(node));
      inZone.set(zone, (inZone.get(zone) ?? 0) + 1);
    }
    const score = (node: KubernetesObject) => [
      inZone.get(zoneOf(node)) ?? 0,
      onNode.get(node.metadata.name) ?? 0,
      pods.onNode(node.metadata.name).length,
    ];
    return candidates.reduce(
      (best, node) => {
        const own = score(node);
        return isLess(own, best.score) ? { node, score: own } : best;
      },
      { node: undefined as KubernetesObject | undefined, score: [Infinity] },
    ).node;
  }

  function bind(pod: KubernetesObject, node: string): void {
    const { namespace, name } = pod.metadata;
    unplaced.delete(keyOf(pod));
    store.mutate('pods', namespace, name, (object) => {
      object.spec.nodeName = node;
      setCondition(object, { type: 'PodScheduled', status: 'True' }, clock.now());
      const scheduled = object.status.conditions.find((each: { type: string }) => each.type === 'PodScheduled');
      delete scheduled.reason;
      delete scheduled.message;
    });
    store.event(
      pod,
      'Normal',
      'Scheduled',
      `Successfully assigned ${namespace}/${name} to ${node}`,
      'default-scheduler',
    );
  }

  function refuse(pod: KubernetesObject, refusals: Map<string, number>): void {
    const { namespace, name } = pod.metadata;
    unplaced.add(keyOf(pod));
    const total = nodes.size;
    const reasons = [...refusals].map(([why, count]) => `${count} ${why}`).sort();
    // A pod that is pinned to one node says what is wrong with that one; the others do not match by definition.
    const others = total - [...refusals.values()].reduce((sum, count) => sum + count, 0);
    if (others > 0) reasons.push(`${others} node(s) didn't satisfy plugin(s) [NodeAffinity]`);
    const message = `0/${total} nodes are available: ${reasons.join(', ')}. preemption: 0/${total} nodes are available: ${total} Preemption is not helpful for scheduling.`;
    store.mutate('pods', namespace, name, (object) => {
      setCondition(object, { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }, clock.now());
    });
    store.event(pod, 'Warning', 'FailedScheduling', message, 'default-scheduler');
  }
}

/** Compares number by number, the first that differs decides. */
function isLess(left: number[], right: number[]): boolean {
  const at = left.findIndex((value, index) => value !== right[index]);
  return at >= 0 && left[at]! < right[at]!;
}

const zoneOf = (node: KubernetesObject | undefined) => node?.metadata.labels?.[ZONE] ?? '';
