import { selects } from '../src/checks/label-selector.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import type { CompiledPlan } from '../src/plan/types.ts';
import { ownedByDaemonSet } from './daemon-sets.ts';

/** What happens to one pod of a node that is drained; `why` is a whole clause. */
export interface Disposition {
  what: 'evict' | 'ignore' | 'refuse';
  why: string;
}

type Rules = Pick<CompiledPlan['drain'], 'deleteEmptyDirData' | 'force'>;

/** As `kubectl drain` decides (kubectl/pkg/drain/filters.go), in its order; our own probes stay as well. */
export function dispositionOf(pod: KubernetesObject, { deleteEmptyDirData, force }: Rules): Disposition {
  const { annotations = {}, labels = {}, ownerReferences = [] } = pod.metadata;
  const finished = pod['status']?.phase === 'Succeeded' || pod['status']?.phase === 'Failed';

  if ('kubernetes.io/config.mirror' in annotations) return { what: 'ignore', why: 'it is a static pod of kubelet' };
  if (ownedByDaemonSet(pod)) return { what: 'ignore', why: 'its DaemonSet would bring it back' };
  if (labels['app.kubernetes.io/managed-by'] === 'cutover') return { what: 'ignore', why: 'it is a probe of Cutover' };
  if (finished) return { what: 'evict', why: 'it has finished' };
  if (!ownerReferences.some(({ controller }) => controller) && !force) {
    return { what: 'refuse', why: 'no controller would bring it back' };
  }
  const volumes = (pod['spec']?.volumes ?? []) as { name: string; emptyDir?: unknown }[];
  const scratch = volumes.find(({ emptyDir }) => emptyDir !== undefined);
  if (scratch && !deleteEmptyDirData)
    return { what: 'refuse', why: `its emptyDir volume ${scratch.name} would be lost` };
  return { what: 'evict', why: 'it has to move' };
}

/** A pod that has not left, and what is known about why. */
export interface BlockedPod {
  /** `namespace/name` */
  pod: string;
  /** One clause: `budget shop/web needs 3 healthy, has 3`. */
  reason: string;
  /** `namespace/name` of the budgets in the way. */
  budgets: string[];
  /** Whether they let no pod go now: when one opens, the pod may go. */
  closed: boolean;
  /** An eviction that was cut off holds the budget until then, in seconds; 0 when none does. */
  freesInSeconds: number;
}

/** How long the API server believes in an eviction that never became a deletion (k8s disruption.go, DeletionTimeout). */
const disruptionLapseMs = 120_000;
/** One that is younger is under way: its pod is being deleted at this moment. */
const underWayMs = 5_000;

/**
 * Why the eviction of `pod` was refused: each budget that covers it, with its arithmetic.
 *
 * A client that died in the middle of an eviction leaves its pod in `status.disruptedPods`, and the budget counts it
 * as gone for two minutes (§0a.22 of the migration facts). That is nobody's strict budget, and is said as what it is.
 */
export function explainRefusal(
  pod: KubernetesObject,
  reason: string,
  budgets: readonly KubernetesObject[],
  now: number,
): BlockedPod {
  const name = `${pod.metadata.namespace ?? 'default'}/${pod.metadata.name}`;
  const covering = budgets.filter(
    (budget) =>
      budget.metadata.namespace === pod.metadata.namespace &&
      selects(budget['spec']?.selector ?? undefined, pod.metadata.labels),
  );
  const explained = covering.map((budget) => explainBudget(budget, now));
  const inTheWay = explained.filter(({ closed }) => closed);
  const shown = inTheWay.length > 0 ? inTheWay : explained;
  return {
    pod: name,
    reason: shown.length === 0 ? reason : shown.map(({ words }) => words).join(' and '),
    budgets: shown.map(({ name: budget }) => budget),
    closed: inTheWay.length > 0,
    freesInSeconds: Math.max(0, ...shown.map(({ freesInSeconds }) => freesInSeconds)),
  };
}

function explainBudget(
  budget: KubernetesObject,
  now: number,
): { name: string; closed: boolean; words: string; freesInSeconds: number } {
  const status = budget['status'] ?? {};
  const name = `${budget.metadata.namespace ?? 'default'}/${budget.metadata.name}`;
  const allowed = Number(status.disruptionsAllowed ?? 0);
  const needs = Number(status.desiredHealthy ?? 0);
  const has = Number(status.currentHealthy ?? 0);
  const cutOff = Object.entries((status.disruptedPods ?? {}) as { [pod: string]: string })
    .map(([pod, at]) => ({ pod, ageMs: now - Date.parse(at) }))
    .filter(({ ageMs }) => ageMs >= underWayMs && ageMs < disruptionLapseMs);
  // `currentHealthy` leaves out the pods of granted evictions (k8s disruption.go, countHealthyPods), although these still
  // run: with them given back, would the budget allow one?
  const jammed = cutOff.length > 0 && has + cutOff.length - needs >= 1;
  if (jammed) {
    const oldest = Math.max(...cutOff.map(({ ageMs }) => ageMs));
    const freesInSeconds = Math.max(1, Math.ceil((disruptionLapseMs - oldest) / 1000));
    const words =
      `an eviction of ${cutOff.map(({ pod }) => pod).join(', ')} that was cut off ${Math.round(oldest / 1000)} s ago still holds budget ${name}; ` +
      `it frees itself in ${freesInSeconds} s`;
    return { name, closed: true, words, freesInSeconds };
  }
  return { name, closed: allowed < 1, words: `budget ${name} needs ${needs} healthy, has ${has}`, freesInSeconds: 0 };
}
