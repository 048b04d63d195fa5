import { kinds } from '../../kubernetes/kinds.ts';
import { workloadOwner } from '../../kubernetes/owner.ts';
import type { KubernetesObject } from '../../kubernetes/types.ts';
import { conditionsOf, isReady } from '../../probe/pods.ts';
import { count, defineCheck, pass, some, warn } from '../define.ts';

type Facts = {
  /** ISO; `` when no migration is under way. */
  since: string;
  blocked: BlockedWorkload[];
  /** Pods that are not Ready, and were not before the migration either. */
  before: number;
};

export type BlockedWorkload = {
  /** `Deployment shop/web`, or the pod itself when nobody owns it. */
  owner: string;
  pods: string[];
  nodes: string[];
  /** `CrashLoopBackOff`, `Pending: 0/4 nodes are available`, `not Ready`. */
  reason: string;
  /** ISO, of the first of them. */
  since: string;
};

const longestList = 100;
/** A pod that has just been moved may still be starting. */
const graceMs = 60_000;

/**
 * Workloads that came to a standstill since the migration began, by their owner. What was broken before is counted and
 * not blamed on it. A warning: what a pod needs to be Ready is its own affair, and the reader knows it.
 */
export const blockedWorkloads = defineCheck<Facts>({
  id: 'blocked-workloads',
  layer: 'cluster',
  title: 'No workload came to a standstill',
  scope: 'cluster',
  ask: async (context) => {
    const since = context.story?.().startedAt ?? '';
    const pods = await context.kubernetes.list(kinds.pod);
    const now = Date.now();
    const standing = pods
      .filter((pod) => pod.metadata.namespace !== context.plan.probe.namespace && stands(pod))
      .map((pod) => ({ pod, at: standsSince(pod) }));
    const young = standing.filter(({ at }) => Date.parse(at) >= Date.parse(since || at));
    const settled = young.filter(({ at }) => now - Date.parse(at) >= graceMs);
    return { since, blocked: byOwner(settled).slice(0, longestList), before: standing.length - young.length };
  },
  judge: ({ blocked, before }) => {
    const old = before === 0 ? '' : `; ${count(before, 'pod')} more stood still before it began`;
    if (blocked.length === 0) return pass(`no workload came to a standstill since the migration began${old}`);
    const texts = blocked.map(({ owner, pods, reason }) => `${owner} (${count(pods.length, 'pod')}, ${reason})`);
    return warn(
      `${count(blocked.length, 'workload')} came to a standstill since the migration began: ${some(texts, 5)}${old}`,
      {
        remedy:
          'look at each with `kubectl describe pod` before you go on: is it the network, or would it have happened anyway?',
      },
    );
  },
});

function stands(pod: KubernetesObject): boolean {
  const phase = pod['status']?.phase;
  if (pod.metadata.deletionTimestamp !== undefined || phase === 'Succeeded' || phase === 'Failed') return false;
  return !isReady(pod);
}

/** Since when it is not Ready; a pod without that condition, since it was made. */
function standsSince(pod: KubernetesObject): string {
  const ready = conditionsOf(pod).find(({ type }) => type === 'Ready') as { lastTransitionTime?: string } | undefined;
  return ready?.lastTransitionTime ?? pod.metadata.creationTimestamp ?? new Date(0).toISOString();
}

function byOwner(standing: readonly { pod: KubernetesObject; at: string }[]): BlockedWorkload[] {
  return [...Map.groupBy(standing, ({ pod }) => ownerOf(pod))].map(([owner, pods]) => ({
    owner,
    pods: pods.map(({ pod }) => pod.metadata.name).slice(0, longestList),
    nodes: [...new Set(pods.map(({ pod }) => String(pod['spec']?.nodeName ?? '')).filter(Boolean))],
    reason: reasonOf(pods[0]!.pod),
    since: pods.map(({ at }) => at).toSorted()[0]!,
  }));
}

function ownerOf(pod: KubernetesObject): string {
  const { namespace, name, ownerReferences = [] } = pod.metadata;
  const owner = workloadOwner(pod) ?? ownerReferences[0] ?? { kind: 'Pod', name };
  return `${owner.kind} ${namespace}/${owner.name}`;
}

function reasonOf(pod: KubernetesObject): string {
  const statuses: { state?: { waiting?: { reason?: string } } }[] = [
    ...(pod['status']?.initContainerStatuses ?? []),
    ...(pod['status']?.containerStatuses ?? []),
  ];
  const waiting = statuses.map(({ state }) => state?.waiting?.reason).find((reason) => reason !== undefined);
  if (waiting !== undefined) return waiting;
  const scheduled = conditionsOf(pod).find(({ type, status }) => type === 'PodScheduled' && status === 'False') as
    { message?: string } | undefined;
  if (scheduled) return `Pending: ${scheduled.message ?? 'not scheduled'}`;
  return pod['status']?.phase === 'Pending' ? 'Pending' : 'not Ready';
}
