import type { KubernetesObject } from '../../kubernetes/types.ts';
import { count, defineCheck, pass, some, warn } from '../define.ts';
import { selects } from '../label-selector.ts';
import { moves, specOf, userPods, workloadOf, workloadsOf } from './pods.ts';

type Facts = {
  /** Workloads that may run on one node only, by selector, affinity or a volume of that node. */
  oneNode: string[];
  /** Workloads whose pods must lie apart and have no node to spare: `shop/db wants 3 of 3 nodes`. */
  noSpare: string[];
  pods: number;
};

const hostname = 'kubernetes.io/hostname';

/**
 * Every pod can go somewhere else while its node migrates. One that is bound to its node is down until that is done; one that
 * must lie apart from its like, with as many of them as nodes, waits Pending, and its budget may then hold the next drain.
 */
export const pinnedPods = defineCheck<Facts>({
  id: 'pinned-pods',
  layer: 'cluster',
  title: 'Every pod can run somewhere else',
  scope: 'cluster',
  ask: async (asker) => {
    const [pods, nodes, volumes, claims] = await Promise.all([
      userPods(asker),
      asker.nodeObjects(),
      asker.all({ apiVersion: 'v1', kind: 'PersistentVolume' }),
      asker.all({ apiVersion: 'v1', kind: 'PersistentVolumeClaim' }),
    ]);
    const local = new Set(volumes.filter(isOfOneNode).map(({ metadata }) => metadata.name));
    const localClaims = new Set(
      claims
        .filter((claim) => local.has(String(claim['spec']?.volumeName ?? '')))
        .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    );
    const moving = pods.filter(moves);
    const usable = nodes.filter((node) => node['spec']?.unschedulable !== true);
    return {
      pods: moving.length,
      oneNode: workloadsOf(
        moving.filter(
          (pod) =>
            bySelector(pod) ||
            (specOf(pod).volumes ?? []).some(
              ({ persistentVolumeClaim: claim }) =>
                claim !== undefined && localClaims.has(`${pod.metadata.namespace}/${claim.claimName}`),
            ),
        ),
      ),
      noSpare: [...Map.groupBy(moving, workloadOf)].flatMap(([name, own]) => {
        const apart = own.filter(keepsApart).length;
        const candidates = usable.filter((node) => tolerates(own[0]!, node)).length;
        return apart > 0 && apart >= candidates ? [`${name} wants ${apart} of ${candidates} nodes`] : [];
      }),
    };
  },
  judge: ({ oneNode, noSpare, pods }) => {
    if (oneNode.length > 0 || noSpare.length > 0) {
      const parts = [
        ...(oneNode.length > 0
          ? [`${count(oneNode.length, 'workload')} can run on one node only: ${some(oneNode)}`]
          : []),
        ...(noSpare.length > 0
          ? [
              `${count(noSpare.length, 'workload')} must lie apart and ${noSpare.length === 1 ? 'has' : 'have'} no node to spare: ${some(noSpare)}`,
            ]
          : []),
      ];
      return warn(parts.join('; '), {
        remedy:
          'agree on the time with their owners: such a pod is down until its node is done; a replica less, or a node more, avoids it',
      });
    }
    return pass(`each of ${count(pods, 'pod')} that ${pods === 1 ? 'moves' : 'move'} has another node to run on`);
  },
});

function bySelector(pod: KubernetesObject): boolean {
  const { nodeSelector = {}, affinity } = specOf(pod);
  if (nodeSelector[hostname] !== undefined) return true;
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const named = terms.map((term) =>
    [...(term.matchExpressions ?? []), ...(term.matchFields ?? [])]
      .filter(({ key, operator }) => [hostname, 'metadata.name'].includes(key) && operator === 'In')
      .flatMap(({ values = [] }) => values),
  );
  return terms.length > 0 && named.every((names) => names.length > 0) && new Set(named.flat()).size === 1;
}

/** Local volumes and hostPaths with an affinity to one node. */
function isOfOneNode(volume: KubernetesObject): boolean {
  const terms: { matchExpressions?: { key: string; values?: string[] }[] }[] =
    volume['spec']?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  return (
    terms.length > 0 &&
    terms.every((term) =>
      (term.matchExpressions ?? []).some(({ key, values = [] }) => key === hostname && values.length === 1),
    )
  );
}

/** Whether it must not share a node with pods like itself. */
function keepsApart(pod: KubernetesObject): boolean {
  const terms = specOf(pod).affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  return terms.some(
    ({ topologyKey, labelSelector }) => topologyKey === hostname && selects(labelSelector, pod.metadata.labels),
  );
}

/** Taints that keep a pod off a node for good. */
function tolerates(pod: KubernetesObject, node: KubernetesObject): boolean {
  const taints: { key: string; effect: string }[] = node['spec']?.taints ?? [];
  const tolerations: { key?: string; operator?: string }[] = pod['spec']?.tolerations ?? [];
  return taints
    .filter(({ effect }) => effect !== 'PreferNoSchedule')
    .every(({ key }) =>
      tolerations.some((each) => each.key === key || (each.key === undefined && each.operator === 'Exists')),
    );
}
