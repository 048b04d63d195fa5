import { CutoverError } from '../errors.ts';
import { isFinished, isReady, isTerminating, keyOf } from './controllers/pods.ts';
import type { KubernetesObject, ObjectStore } from './types.ts';

const LOOK_MS = 20;

/**
 * Waits until nothing moves: controllers idle, every workload as large and as new as it should be, every pod Ready.
 * @throws CutoverError StepTimedOut with what is still missing
 */
export async function settled(store: ObjectStore, isIdle: () => boolean, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  let calmAt = -1;
  for (;;) {
    // Asking for everything is dear: first nothing must have been written for a while.
    const calm = isIdle() && calmAt === store.resourceVersion;
    calmAt = store.resourceVersion;
    if (calm && unsettled(store).length === 0) return;
    if (performance.now() > end) {
      const missing = unsettled(store);
      throw new CutoverError(
        'StepTimedOut',
        `the simulated cluster did not settle in ${timeoutMs} ms: ${summary(missing)}`,
        {
          remedy: 'look at these with kubectl describe; a fault of the scenario may hold them',
          details: missing,
        },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

const summary = (missing: string[]) => {
  if (missing.length === 0) return 'objects keep changing';
  return missing.slice(0, 3).join('; ') + (missing.length > 3 ? `; and ${missing.length - 3} more` : '');
};

/** One line for each thing that is not as it should be. */
function unsettled(store: ObjectStore): string[] {
  const lines = store
    .list('nodes')
    .filter(isComingUp)
    .map(({ metadata }) => `node ${metadata.name} is NotReady`);
  for (const pod of store.list('pods')) {
    if (isFinished(pod)) continue;
    if (isTerminating(pod)) lines.push(`pod ${keyOf(pod)} is terminating`);
    else if (!isReady(pod))
      lines.push(`pod ${keyOf(pod)} on ${pod['spec'].nodeName ?? 'no node'} is not Ready${reasonOf(pod)}`);
  }
  for (const [resource, wanted] of wantedReady) {
    for (const object of store.list(resource)) {
      const { status = {} } = object;
      const ready = status.numberReady ?? status.readyReplicas ?? 0;
      const current = status.observedGeneration === object.metadata.generation;
      if (!current || ready < wanted(object))
        lines.push(`${resource} ${keyOf(object)} has ${ready} of ${wanted(object)} ready`);
    }
  }
  return lines;
}

/** A dead node is Unknown: that is settled. */
function isComingUp({ spec, status }: KubernetesObject): boolean {
  const ready = (status?.conditions ?? []).find((each: { type: string }) => each.type === 'Ready')?.status;
  const tainted = (spec?.taints ?? []).some((taint: { key: string }) => taint.key === 'node.kubernetes.io/not-ready');
  return ready === 'False' || tainted;
}

const wantedReady: [string, (object: KubernetesObject) => number][] = [
  ['deployments.apps', ({ spec }) => spec.replicas],
  ['statefulsets.apps', ({ spec }) => spec.replicas],
  ['daemonsets.apps', ({ status }) => status?.desiredNumberScheduled ?? 0],
];

function reasonOf({ status }: KubernetesObject): string {
  const waiting = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].find(
    (each) => each.state?.waiting,
  );
  const scheduled = (status?.conditions ?? []).find((each: { type: string }) => each.type === 'PodScheduled');
  const why = scheduled?.status === 'False' ? scheduled.message : waiting?.state.waiting.reason;
  return why ? ` (${why})` : '';
}
