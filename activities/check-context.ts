import type { CheckContext } from '../src/checks/types.ts';
import type { KubernetesClient } from '../src/kubernetes/types.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { networkLabel } from '../src/kubernetes/marks.ts';
import type { PlannedNode } from '../src/plan/types.ts';
import { bundleImages } from './bundle.ts';
import { abortedMigrations } from './earlier.ts';
import type { VerbContext } from './types.ts';

type Sources = Pick<VerbContext, 'kubernetes' | 'nodes' | 'plan' | 'stage' | 'store' | 'signal'>;

/** What checks may use, of what an activity has. */
export function checkContext(
  { kubernetes, nodes, plan, stage, store, signal }: Sources,
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
    aborted: () => abortedMigrations(store, plan.cluster.uid),
  };
}

/** Nodes that the new network has: by the migration's mark, and where it is gone (or not yet there) by the agent's pod. */
export async function migratedNodes(kubernetes: KubernetesClient): Promise<string[]> {
  const nodes = await kubernetes.list(kinds.node);
  const unmarked = nodes.some(({ metadata }) => metadata.labels?.[networkLabel] === undefined);
  const agents = unmarked ? await kubernetes.list(kinds.pod, { labelSelector: 'k8s-app=calico-node' }) : [];
  const withAgent = new Set(
    agents.filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ spec }) => String(spec?.nodeName)),
  );
  return nodes
    .filter(({ metadata }) => {
      const mark = metadata.labels?.[networkLabel];
      return mark === undefined ? withAgent.has(metadata.name) : mark === 'calico';
    })
    .map(({ metadata }) => metadata.name);
}
