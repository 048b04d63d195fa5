import type { KubernetesObject } from '../types.ts';
import type { Context, Reply } from './api-server-types.ts';
import { current, deleteOptions, rfc3339 } from './handlers.ts';
import type { Any } from './json-values.ts';
import type { ApiRequest } from './request.ts';
import { selectorMatcher } from './selectors.ts';
import { statusError } from './status-error.ts';

const BUDGETS = 'poddisruptionbudgets.policy';
const MAX_DISRUPTED_PODS = 2000;
const VIOLATION = "Cannot evict pod as it would violate the pod's disruption budget.";

/**
 * POST pods/x/eviction: deletes the pod when its budget lets it go, and takes one disruption from the budget
 * (EvictionREST in pkg/registry/core/pod/storage/eviction.go).
 * @throws StatusError 429 with the budget's arithmetic in `details.causes`
 */
export function evict(context: Context, request: ApiRequest): Reply {
  const { store } = context;
  const pod = current(context, request);
  const { name, namespace = '' } = pod.metadata;
  const given = request.body?.deleteOptions ?? {};
  const options = deleteOptions({ body: given, query: request.query });
  const dryRun = request.dryRun || (given.dryRun ?? []).length > 0;
  const budget = ignoresBudgets(pod) ? undefined : budgetOf(context, pod);
  if (budget !== undefined && !maySkip(budget, pod)) takeDisruption(context, budget, name, dryRun);
  if (!dryRun) store.delete('pods', namespace, name, options);
  return { code: 201, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' } };
}

/** A pod that does not run, or is on its way out, disrupts nothing. */
const ignoresBudgets = ({ metadata, status }: KubernetesObject) =>
  metadata.deletionTimestamp !== undefined || ['Succeeded', 'Failed', 'Pending'].includes(status?.phase);

function budgetOf({ store }: Context, pod: KubernetesObject): KubernetesObject | undefined {
  const { namespace = '' } = pod.metadata;
  const matching = store
    .list(BUDGETS, { namespace })
    .filter(({ spec }) => spec?.selector !== undefined && selectorMatcher(spec.selector)(pod));
  if (matching.length <= 1) return matching[0];
  throw statusError(
    500,
    'InternalError',
    'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
  );
}

/** An unhealthy pod may go without counting: always, or (the default) while the budget is met without it. */
function maySkip({ spec, status = {} }: KubernetesObject, pod: KubernetesObject): boolean {
  const isReady = pod['status']?.conditions?.some((each: Any) => each.type === 'Ready' && each.status === 'True');
  if (isReady === true) return false;
  if (spec.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  return status.currentHealthy >= status.desiredHealthy && status.desiredHealthy > 0;
}

function takeDisruption({ store, clock }: Context, budget: KubernetesObject, pod: string, dryRun: boolean) {
  const { name, namespace, generation = 0 } = budget.metadata;
  const status = budget['status'] ?? {};
  if ((status.observedGeneration ?? 0) < generation) {
    throw violation(`The disruption budget ${name} is still being processed by the server.`, 10);
  }
  if (status.disruptionsAllowed < 0) throw forbidden(name, 'pdb disruptions allowed is negative');
  if (Object.keys(status.disruptedPods ?? {}).length > MAX_DISRUPTED_PODS) {
    throw forbidden(name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller');
  }
  if (!status.disruptionsAllowed) {
    const failed = status.conditions?.find(
      (each: Any) => each.type === 'DisruptionAllowed' && each.reason === 'SyncFailed',
    );
    throw violation(
      failed === undefined
        ? `The disruption budget ${name} needs ${status.desiredHealthy ?? 0} healthy pods and has ${status.currentHealthy ?? 0} currently`
        : `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${failed.message}`,
    );
  }
  if (dryRun) return;
  store.mutate(BUDGETS, namespace, name, (next) => {
    next['status'].disruptionsAllowed -= 1;
    next['status'].disruptedPods = { ...next['status'].disruptedPods, [pod]: rfc3339(clock.now()) };
    if (next['status'].disruptionsAllowed === 0) noneLeft(next, rfc3339(clock.now()));
  });
}

function noneLeft(budget: KubernetesObject, time: string) {
  const { status, metadata } = budget;
  const others = (status.conditions ?? []).filter((each: Any) => each.type !== 'DisruptionAllowed');
  const before = (status.conditions ?? []).find((each: Any) => each.type === 'DisruptionAllowed');
  status.conditions = [
    ...others,
    {
      type: 'DisruptionAllowed',
      status: 'False',
      reason: 'InsufficientPods',
      message: '',
      observedGeneration: metadata.generation,
      lastTransitionTime: before?.status === 'False' ? before.lastTransitionTime : time,
    },
  ];
}

const violation = (why: string, retryAfterSeconds?: number) =>
  statusError(429, 'TooManyRequests', VIOLATION, {
    causes: [{ reason: 'DisruptionBudget', message: why }],
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });

const forbidden = (name: string, why: string) =>
  statusError(403, 'Forbidden', `${BUDGETS} "${name}" is forbidden: ${why}`, {
    name,
    group: 'policy',
    kind: 'poddisruptionbudgets',
  });
