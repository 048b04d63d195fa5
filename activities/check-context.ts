import type { CheckContext } from '../src/checks/types.ts';
import type { KubernetesClient } from '../src/kubernetes/types.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { capturesOf } from '../src/store/captures.ts';
import { networkLabel, podPoolLabel } from '../src/kubernetes/marks.ts';
import type { CompiledStage, PlannedNode, StepPlace } from '../src/plan/types.ts';
import { bundleImages, bundleObjects } from './bundle.ts';
import { abortedMigrations } from './earlier.ts';
import type { Store } from '../src/store/types.ts';
import { storyOf } from './story.ts';
import type { VerbContext } from './types.ts';

type Sources = Pick<VerbContext, 'kubernetes' | 'nodes' | 'plan' | 'stage' | 'store' | 'signal'> & {
  /** Absent before there is a migration. */
  place?: Pick<StepPlace, 'migration'>;
};

/** What checks may use, of what an activity has. */
export function checkContext(
  { kubernetes, nodes, plan, stage, store, signal, place }: Sources,
  token: number,
  node: PlannedNode | undefined,
): CheckContext {
  return {
    kubernetes,
    nodes,
    plan,
    stage,
    ...(node === undefined ? {} : { node }),
    token: () => token,
    signal,
    migratedNodes: () => migratedNodes(kubernetes),
    images: async () => bundleImages(store, plan),
    manifests: async () => Object.keys(plan.bundles).flatMap((name) => bundleObjects(store, plan, name)),
    ...(place === undefined
      ? {}
      : {
          migration: place.migration,
          story: () => storyOf(store, plan, place.migration),
          conntrackDropsBefore: (name: string) => conntrackDropsAtSnapshot(store, place.migration, name),
          captures: () => capturesOf(store.records({ migration: place.migration, kind: ['step.ended'] }), stage.id),
        }),
    aborted: () => abortedMigrations(store, plan.cluster.uid),
  };
}

/** Nodes that this stage has moved. A stage that begins on Calico moves none, or marks them for its new pool. */
export const movedNodes = (kubernetes: KubernetesClient, { from, bgp }: CompiledStage): Promise<string[]> =>
  from === 'flannel' || !bgp?.newPool
    ? migratedNodes(kubernetes)
    : kubernetes.names(kinds.node, { labelSelector: podPoolLabel });

/** What the last snapshot of the node counted; undefined before its first, and of one that did not count. */
function conntrackDropsAtSnapshot(store: Store, migration: string, node: string): number | undefined {
  const counted = store
    .records({ migration, node, kind: ['step.ended'] })
    .flatMap(({ evidence }) => (evidence as { conntrackDrops?: number } | null | undefined)?.conntrackDrops ?? []);
  return counted.at(-1);
}

/**
 * Nodes that the new network has: by the migration's mark, and where it is gone (or not yet there) by the agent's pod.
 * Asked for every node that is migrated, so it asks for names alone. In this order: a node that loses its mark in between
 * is in both answers, and not in neither.
 */
export async function migratedNodes(kubernetes: KubernetesClient): Promise<string[]> {
  const marked = await kubernetes.names(kinds.node, { labelSelector: `${networkLabel}=calico` });
  const unmarked = await kubernetes.names(kinds.node, { labelSelector: `!${networkLabel}` });
  if (unmarked.length === 0) return marked;
  const agents = await kubernetes.list(kinds.pod, { labelSelector: 'k8s-app=calico-node' });
  const withAgent = new Set(
    agents.filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ spec }) => String(spec?.nodeName)),
  );
  return [...new Set([...marked, ...unmarked.filter((name) => withAgent.has(name))])];
}
