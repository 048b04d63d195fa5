import type { KubernetesObject } from '../../kubernetes/types.ts';
import { count, defineCheck, pass, some, warn } from '../define.ts';
import { holds, selects } from '../label-selector.ts';
import { moves, specOf, userPods, workloadOf, workloadsOf, type NodeSelector } from './pods.ts';

type Facts = {
  /** Workloads that may run on one node only, by selector, affinity, taints or a volume. */
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
    const volumeOf = new Map(volumes.map((volume) => [volume.metadata.name, volume]));
    const claimed = new Map(
      claims.map(({ metadata, spec }) => [`${metadata.namespace}/${metadata.name}`, String(spec?.volumeName ?? '')]),
    );
    /** Where the volumes of a pod may be mounted: a `NodeSelector` of each that has one. */
    const reachOf = (pod: KubernetesObject): NodeSelector[] =>
      (specOf(pod).volumes ?? []).flatMap(({ persistentVolumeClaim: claim }) => {
        const volume = volumeOf.get(claimed.get(`${pod.metadata.namespace}/${claim?.claimName}`) ?? '');
        return volume?.['spec']?.nodeAffinity?.required ?? [];
      });
    const moving = pods.filter(moves);
    const usable = nodes.filter((node) => node['spec']?.unschedulable !== true);
    return {
      pods: moving.length,
      oneNode: workloadsOf(
        moving.filter((pod) => {
          const fits = usable.filter((node) => mayRunOn(pod, node, reachOf(pod)));
          const own = specOf(pod).nodeName;
          return own === undefined ? fits.length === 1 : fits.every(({ metadata }) => metadata.name === own);
        }),
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

/** As the scheduler's filters NodeAffinity, TaintToleration and VolumeBinding decide: what binds a pod whatever else is on the node. */
function mayRunOn(pod: KubernetesObject, node: KubernetesObject, volumes: readonly NodeSelector[]): boolean {
  const { nodeSelector = {}, affinity } = specOf(pod);
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return (
    selects({ matchLabels: nodeSelector }, node.metadata.labels) &&
    [...(required ? [required] : []), ...volumes].every((selector) => matches(selector, node)) &&
    tolerates(pod, node)
  );
}

/** Terms are alternatives; an empty one matches nothing (core/v1 NodeSelectorTerm). */
function matches({ nodeSelectorTerms }: NodeSelector, { metadata }: KubernetesObject): boolean {
  return nodeSelectorTerms.some(
    ({ matchExpressions = [], matchFields = [] }) =>
      matchExpressions.length + matchFields.length > 0 &&
      matchExpressions.every((each) => holds(each, metadata.labels ?? {})) &&
      matchFields.every((each) => holds(each, { 'metadata.name': metadata.name })),
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
