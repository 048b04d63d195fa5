import type { AbortedMigration } from '../src/checks/types.ts';
import { createdBy } from '../src/kubernetes/marks.ts';
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

/** Whether undo may take an object away: this migration made it, or one whose work the plan took over. */
export const isOurs = (
  { place, plan }: Pick<VerbContext, 'place' | 'plan'>,
  { metadata }: KubernetesObject,
): boolean => {
  const maker = metadata.annotations?.[createdBy];
  return maker !== undefined && (maker === place.migration || (plan.adopts ?? []).includes(maker));
};

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
