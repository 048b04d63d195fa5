import type { AbortedMigration } from '../src/checks/types.ts';
import { createdBy, createdFrom } from '../src/kubernetes/marks.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import type { CompiledPlan } from '../src/plan/types.ts';
import type { AuditRecord, Store } from '../src/store/types.ts';
import type { VerbContext } from './types.ts';

/** What ended on this cluster since one migration came to its end: that one left nothing of those before it. Oldest first. */
export function endedMigrations(store: Store, clusterUid: string): (AbortedMigration & { outcome: string })[] {
  const ended = store.records({ kind: ['migration.ended'] }).flatMap((record) => withPlan(store, record, clusterUid));
  return ended.slice(ended.findLastIndex(({ outcome }) => outcome === 'completed') + 1);
}

/** Those that left what they had made: aborted, and nobody took everything back since. */
export function abortedMigrations(store: Store, clusterUid: string): AbortedMigration[] {
  const ended = endedMigrations(store, clusterUid);
  return ended
    .slice(ended.findLastIndex(({ outcome }) => outcome === 'rolled-back') + 1)
    .map(({ id, bundles }) => ({ id, bundles }));
}

type MarkContext = Pick<VerbContext, 'place' | 'plan' | 'store'>;
type Marks = { [key: string]: string };

/** Whether undo may take an object away: this migration made it, or one whose work the plan took over. */
export const isOurs = (
  { place, plan, store }: MarkContext,
  { metadata: { annotations = {} } }: KubernetesObject,
): boolean => {
  const { [createdBy]: maker, [createdFrom]: installation = store.installation() } = annotations;
  return (
    maker !== undefined &&
    installation === store.installation() &&
    (maker === place.migration || (plan.adopts ?? []).includes(maker))
  );
};

/** What marks an object as made by this migration. */
export const ownMarks = ({ place, store }: Pick<VerbContext, 'place' | 'store'>): Marks => ({
  [createdBy]: place.migration,
  [createdFrom]: store.installation(),
});

/**
 * The marks that an object is applied with, by what is there. What is new or ours gets ours, what another migration made
 * keeps its own: server-side apply takes away what its manager says no longer, and without its mark the other could not take
 * back what it made. What nobody marked existed before, and gets none, so that undo cannot delete it.
 */
export function marksFor(context: MarkContext, before: KubernetesObject | undefined): Marks {
  return before === undefined || isOurs(context, before) ? ownMarks(context) : marksOn(before);
}

/** The same for what is ours to mark although it existed: a node, the objects of the probes. */
export function marksUnlessMarked(context: MarkContext, before: KubernetesObject | undefined): Marks {
  const marks = marksFor(context, before);
  return Object.keys(marks).length === 0 ? ownMarks(context) : marks;
}

const marksOn = ({ metadata: { annotations = {} } }: KubernetesObject): Marks =>
  Object.fromEntries(
    [createdBy, createdFrom].flatMap((key) => (annotations[key] === undefined ? [] : [[key, annotations[key]]])),
  );

function withPlan(
  store: Store,
  { migration, planHash, outcome = '' }: AuditRecord,
  clusterUid: string,
): (AbortedMigration & { outcome: string })[] {
  const plan = planHash === undefined ? undefined : store.getDocument<CompiledPlan>('plan', planHash);
  if (migration === undefined || plan?.cluster.uid !== clusterUid) return [];
  const bundles = Object.fromEntries(Object.entries(plan.bundles).map(([name, { sha256 }]) => [name, sha256]));
  return [{ id: migration, bundles, outcome }];
}
