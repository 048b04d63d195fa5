import { selectorMatcher } from '../api/selectors.ts';
import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import { amountOf, controllerUid, isFinished, isReady, isTerminating, keyOf, setCondition, splitKey } from './pods.ts';

const RESOURCE = 'poddisruptionbudgets.policy';

/**
 * An eviction that was granted is believed in for so long. When its client died before the pod was deleted, the budget
 * is jammed for this time, for everybody (§0a.22 of the migration facts).
 */
const DELETION_TIMEOUT_MS = 120_000;

/** Keeps the arithmetic of every PodDisruptionBudget: what is healthy, what must be, how many may go now. */
export function runDisruptions({ store, clock, faults, pods, queue, onStop }: ControllerContext): void {
  const budgets = new Map<string, Map<string, KubernetesObject>>();
  const work = queue('disruption', sync);

  const keep = (budget: KubernetesObject, there: boolean) => {
    const { namespace = '', name } = budget.metadata;
    let named = budgets.get(namespace);
    if (named === undefined) budgets.set(namespace, (named = new Map()));
    if (there) named.set(name, budget);
    else named.delete(name);
    if (there) work.add(keyOf(budget));
  };
  store.list(RESOURCE).forEach((budget) => keep(budget, true));
  onStop(store.watch(RESOURCE, ({ type, object }) => keep(object, type !== 'DELETED')));
  pods.onChange((before, after) => {
    for (const budget of budgets.get((after ?? before)!.metadata.namespace ?? '')?.values() ?? []) {
      const selects = selectorMatcher(budget.spec.selector ?? {});
      if ((before && selects(before)) || (after && selects(after))) work.add(keyOf(budget));
    }
  });
  const everyBudget = () => budgets.forEach((named) => named.forEach((budget) => work.add(keyOf(budget))));
  // A workload that is scaled changes what its budget expects.
  for (const owner of Object.values(owners)) onStop(store.watch(owner, ({ object }) => scaled(object)));
  onStop(faults.onChange(({ fault }) => void (fault.name === 'pdb-never-yields' && everyBudget())));

  const replicasSeen = new Map<string, number>();
  function scaled({ metadata, spec }: KubernetesObject): void {
    if (replicasSeen.get(metadata.uid!) === spec?.replicas) return;
    replicasSeen.set(metadata.uid!, spec?.replicas);
    budgets.get(metadata.namespace ?? '')?.forEach((budget) => work.add(keyOf(budget)));
  }

  function sync(key: string): void {
    const [namespace, name] = splitKey(key);
    const budget = store.get(RESOURCE, namespace, name);
    if (budget === undefined || isTerminating(budget)) return;
    const selects = selectorMatcher(budget.spec.selector ?? {});
    const chosen = [...pods.inNamespace(namespace)].filter((pod) => selects(pod) && !isFinished(pod));
    const disruptedPods = stillDisrupted(key, budget, chosen);
    const healthy = chosen.filter(
      (pod) => isReady(pod) && !isTerminating(pod) && disruptedPods[pod.metadata.name] === undefined,
    ).length;
    const { expected, desired } = expectation(budget, chosen);
    const allowed = refuses(key) || expected === 0 ? 0 : Math.max(0, healthy - desired);
    store.mutate(RESOURCE, namespace, name, (object) => {
      object.status = {
        ...object.status,
        observedGeneration: object.metadata.generation,
        currentHealthy: healthy,
        desiredHealthy: desired,
        expectedPods: expected,
        disruptionsAllowed: allowed,
        disruptedPods: Object.keys(disruptedPods).length === 0 ? undefined : disruptedPods,
      };
      setCondition(
        object,
        allowed > 0
          ? { type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods', message: '' }
          : { type: 'DisruptionAllowed', status: 'False', reason: 'InsufficientPods', message: '' },
        clock.now(),
      );
    });
  }

  function refuses(key: string): boolean {
    const fault = faults.peek('pdb-never-yields');
    return fault !== undefined && (fault['budget'] === undefined || fault['budget'] === key);
  }

  /** Entries whose pod is still there and not yet told to end, until they expire; a look is planned for then. */
  function stillDisrupted(
    key: string,
    budget: KubernetesObject,
    chosen: KubernetesObject[],
  ): { [pod: string]: string } {
    const entries = Object.entries((budget.status?.disruptedPods ?? {}) as { [pod: string]: string });
    return Object.fromEntries(
      entries.filter(([name, since]) => {
        const pod = chosen.find((each) => each.metadata.name === name);
        if (pod === undefined || isTerminating(pod)) return false;
        // Timestamps are real; at speed 0 no time passes that one could wait for.
        const left = clock.speed === 0 ? 0 : DELETION_TIMEOUT_MS - (clock.now() - Date.parse(since)) * clock.speed;
        if (left > 0) work.addAfter(key, left);
        return left > 0;
      }),
    );
  }

  /** Absolute minAvailable counts the pods there are; everything else counts what their controllers should have. */
  function expectation({ spec }: KubernetesObject, chosen: KubernetesObject[]): { expected: number; desired: number } {
    if (typeof spec.minAvailable === 'number') return { expected: chosen.length, desired: spec.minAvailable };
    const expected = expectedScale(chosen);
    if (spec.maxUnavailable !== undefined) {
      return { expected, desired: Math.max(0, expected - amountOf(spec.maxUnavailable, expected, 'up')) };
    }
    return { expected, desired: amountOf(spec.minAvailable ?? 1, expected, 'up') };
  }

  function expectedScale(chosen: KubernetesObject[]): number {
    const scales = new Map<string, number>();
    for (const pod of chosen) {
      const owner = pod.metadata.ownerReferences?.find((each) => each.controller);
      const resource = owner && owners[owner.kind];
      const object = resource && store.get(resource, pod.metadata.namespace, owner.name);
      if (object)
        scales.set(controllerUid(object) ?? object.metadata.uid!, deploymentScale(object) ?? object.spec.replicas);
    }
    return [...scales.values()].reduce((sum, scale) => sum + scale, 0);
  }

  /** During a rollout two ReplicaSets share the scale of their Deployment. */
  function deploymentScale(set: KubernetesObject): number | undefined {
    const owner = set.metadata.ownerReferences?.find((each) => each.controller && each.kind === 'Deployment');
    return owner && store.get('deployments.apps', set.metadata.namespace, owner.name)?.spec.replicas;
  }
}

const owners: { [kind: string]: string } = {
  Deployment: 'deployments.apps',
  ReplicaSet: 'replicasets.apps',
  StatefulSet: 'statefulsets.apps',
};
