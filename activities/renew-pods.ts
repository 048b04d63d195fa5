import { kinds } from '../src/kubernetes/kinds.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { count, some } from './args.ts';
import { isTerminating, ownedByDaemonSet } from './daemon-sets.ts';
import { inParallel } from './in-parallel.ts';
import { awaitDaemonPods, ownerOf } from './settle.ts';
import type { VerbContext, VerbResult } from './types.ts';

/** Pods that have the network of the node: connected to it, and not on their way out. */
export const podsOfNetwork = (pods: readonly KubernetesObject[]): KubernetesObject[] =>
  pods.filter((pod) => pod['spec']?.hostNetwork !== true && !isTerminating(pod));

/**
 * Deletes those of `old` that belong to DaemonSets, which an eviction does not move, and waits for their successors.
 *
 * @param kept what the others keep, as a clause: `the MTU that it was made with`
 * @throws CutoverError StepTimedOut when a successor gets no network
 */
export async function renewDaemonPods(
  context: VerbContext,
  old: readonly KubernetesObject[],
  kept: string,
): Promise<
  Pick<VerbResult, 'changed' | 'summary'> & { evidence: { recycled: string[]; late: string[]; left: string[] } }
> {
  const { kubernetes } = context;
  const mine = old.filter(ownedByDaemonSet);
  const left = old.filter((pod) => !ownedByDaemonSet(pod)).map(named);
  if (mine.length > 0)
    context.progress(`${count(mine.length, 'pod')} of DaemonSets made anew: ${some(mine.map(named))}`);
  await inParallel(mine, 10, ({ metadata: { name, namespace = 'default', uid } }) =>
    kubernetes.delete({ ...kinds.pod, namespace, name }, uid === undefined ? {} : { preconditionUid: uid }),
  );
  const late = await context.waiting('pods', () =>
    awaitDaemonPods(
      context,
      mine.map((pod) => ({ pod: named(pod), owner: ownerOf(pod.metadata) })),
    ),
  );
  const tail = left.length === 0 ? '' : `; ${some(left)} keeps ${kept}`;
  return {
    changed: mine.length > 0,
    summary: `${count(mine.length, 'pod')} of DaemonSets made anew on ${context.node().name}${late.length === 0 ? '' : `, ${some(late)} not Ready, but connected`}${tail}`,
    evidence: { recycled: mine.map(named), late, left },
  };
}

export const named = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? 'default'}/${metadata.name}`;
