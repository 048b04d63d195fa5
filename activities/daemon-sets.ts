import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import type { KubernetesObject, ObjectRef } from '../src/kubernetes/types.ts';
import { isReady } from '../src/probe/pods.ts';
import { text } from './args.ts';
import type { VerbContext } from './types.ts';

export const daemonSetRef = (input: JsonObject): ObjectRef & { namespace: string } => ({
  ...kinds.daemonSet,
  namespace: text(input, 'namespace'),
  name: text(input, 'name'),
});

/** Of the DaemonSet as it is now: every pod has the newest template, runs and is Ready (as `kubectl rollout status` decides). */
export function rolloutState({ metadata, spec, status }: KubernetesObject): { done: boolean; words: string } {
  const desired = Number(status?.desiredNumberScheduled ?? 0);
  const updated = spec?.updateStrategy?.type === 'OnDelete' ? desired : Number(status?.updatedNumberScheduled ?? 0);
  const ready = Number(status?.numberReady ?? 0);
  const seen = Number(status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  const misplaced = Number(status?.numberMisscheduled ?? 0);
  const words = seen ? `${updated} of ${desired} updated, ${ready} ready` : 'not seen by its controller yet';
  return { done: seen && updated >= desired && ready >= desired && misplaced === 0, words };
}

/**
 * Waits until a DaemonSet has rolled.
 *
 * @throws CutoverError AgentNotReady at the end of the attempt's time
 */
export async function awaitRollout(
  context: VerbContext,
  ref: ObjectRef & { namespace: string },
): Promise<KubernetesObject> {
  const { kubernetes, signal } = context;
  let last = 'it does not exist';
  const rolled = await kubernetes.waitFor(
    kinds.daemonSet,
    { namespace: ref.namespace, fieldSelector: `metadata.name=${ref.name}`, timeoutMs: timeLeft(context), signal },
    ([daemonSet]) => {
      if (!daemonSet) return undefined;
      const state = rolloutState(daemonSet);
      if (state.words !== last) context.progress(`${ref.name}: ${state.words}`);
      last = state.words;
      return state.done ? daemonSet : undefined;
    },
  );
  if (rolled) return rolled;
  throw new CutoverError('AgentNotReady', `DaemonSet ${ref.namespace}/${ref.name} does not become ready: ${last}`, {
    remedy: `look at \`kubectl -n ${ref.namespace} describe daemonset ${ref.name}\` and at its pods that are not Ready`,
  });
}

/** Pods on a node that belong to a DaemonSet, terminating ones too. */
export const podsOf = (pods: readonly KubernetesObject[], daemonSet: string): KubernetesObject[] =>
  pods.filter(({ metadata }) =>
    metadata.ownerReferences?.some(({ kind, name }) => kind === 'DaemonSet' && name === daemonSet),
  );

export const ownedByDaemonSet = ({ metadata }: KubernetesObject): boolean =>
  metadata.ownerReferences?.some(({ kind, controller }) => kind === 'DaemonSet' && controller === true) ?? false;

export const isTerminating = ({ metadata }: KubernetesObject): boolean =>
  metadata.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null;

/** Why a pod is not Ready, from its own status: `ImagePullBackOff: Back-off pulling image "x"`. */
export function whyNotReady(pod: KubernetesObject): string {
  if (isTerminating(pod)) return 'it is being deleted';
  if (isReady(pod)) return 'it is Ready';
  type Status = {
    name: string;
    ready?: boolean;
    state?: { waiting?: { reason?: string; message?: string }; terminated?: { reason?: string; exitCode?: number } };
  };
  const statuses: Status[] = [
    ...(pod['status']?.initContainerStatuses ?? []),
    ...(pod['status']?.containerStatuses ?? []),
  ];
  for (const { name, state } of statuses) {
    if (state?.waiting?.reason)
      return `container ${name}: ${state.waiting.reason}${state.waiting.message ? `: ${state.waiting.message}` : ''}`;
    if (state?.terminated && state.terminated.exitCode !== 0)
      return `container ${name}: ${state.terminated.reason ?? 'ended'}, exit code ${state.terminated.exitCode}`;
  }
  const unscheduled = (pod['status']?.conditions ?? []).find(
    (each: { type: string; status: string }) => each.type === 'PodScheduled' && each.status === 'False',
  );
  if (unscheduled) return `not scheduled: ${unscheduled.message ?? unscheduled.reason}`;
  return `${pod['status']?.phase ?? 'Pending'}, its readiness probe does not pass`;
}

/** Left of the attempt, ms; at least one second, so that a wait asks at least once. */
export const timeLeft = ({ deadline }: VerbContext): number => Math.max(1_000, deadline - Date.now());
