import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { selects } from '../label-selector.ts';

type Budget = {
  /** `namespace/name`. */
  name: string;
  allowed: number;
  healthy: number;
  desired: number;
  expected: number;
  /** Its pods on nodes of the plan. */
  pods: number;
  /** Pods whose eviction was allowed and has not happened yet. */
  disrupted: string[];
};

type Facts = { budgets: Budget[] };

/**
 * Every disruption budget can let a pod go. The arithmetic is the API server's: an eviction passes when
 * healthy - 1 >= desired. A pod in status.disruptedPods is an eviction that another client began and did not finish; the
 * budget is jammed for two minutes, and it is not the owner's fault (§0a.22 of the migration facts).
 */
export const budgets = defineCheck<Facts>({
  id: 'budgets',
  layer: 'cluster',
  title: 'Disruption budgets let pods go',
  scope: 'cluster',
  ask: async ({ kubernetes, all, planned }) => {
    const [found, pods] = await Promise.all([
      kubernetes.list({ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' }),
      all({ apiVersion: 'v1', kind: 'Pod' }),
    ]);
    const nodes = new Set(planned.filter((node) => !node.adopted).map((node) => node.name));
    return {
      budgets: found.map((budget) => ({
        name: `${budget.metadata.namespace}/${budget.metadata.name}`,
        allowed: Number(budget['status']?.disruptionsAllowed ?? 0),
        healthy: Number(budget['status']?.currentHealthy ?? 0),
        desired: Number(budget['status']?.desiredHealthy ?? 0),
        expected: Number(budget['status']?.expectedPods ?? 0),
        pods: pods.filter(
          (pod) =>
            pod.metadata.namespace === budget.metadata.namespace &&
            nodes.has(pod['spec']?.nodeName) &&
            selects(budget['spec']?.selector, pod.metadata.labels),
        ).length,
        disrupted: Object.keys(budget['status']?.disruptedPods ?? {}),
      })),
    };
  },
  judge: ({ budgets: all }) => {
    const closed = all.filter((budget) => budget.allowed < 1 && budget.pods > 0);
    const never = closed.filter((budget) => budget.desired >= budget.expected);
    if (never.length > 0) {
      return block(
        `no eviction can ever pass: ${some(never.map((budget) => `${budget.name} wants ${budget.desired} of ${budget.expected} pods healthy`))}`,
        {
          remedy:
            'ask the owner to add a replica, or to lower minAvailable (raise maxUnavailable), for the time of the migration',
        },
      );
    }
    const jammed = closed.filter((budget) => budget.disrupted.length > 0);
    if (jammed.length > 0) {
      return warn(
        `an eviction is already under way under ${some(jammed.map((budget) => `${budget.name} (${some(budget.disrupted)})`))}`,
        {
          remedy:
            'wait two minutes and ask again: a client that died in the middle of an eviction holds its budget that long',
        },
      );
    }
    if (closed.length > 0) {
      return warn(
        `no eviction passes at the moment: ${some(closed.map((budget) => `${budget.name} has ${budget.healthy} of ${budget.expected} pods healthy and wants ${budget.desired}`))}`,
        {
          remedy: 'find out why pods of that budget are not Ready; the drain waits for them and stops at its deadline',
        },
      );
    }
    return pass(`${count(all.length, 'budget')}, and each lets at least one pod go`);
  },
});
