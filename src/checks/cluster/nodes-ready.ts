import type { KubernetesObject } from '../../kubernetes/types.ts';
import { conditionsOf } from '../../probe/pods.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { taints } from '../names.ts';

/** Conditions that are True while something is wrong. */
const pressures = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable'];

type Facts = {
  nodes: number;
  notReady: string[];
  /** `worker-1: DiskPressure`. */
  unwell: string[];
  cordoned: string[];
  /** In the plan, not in the cluster. */
  gone: string[];
  /** In the cluster, not in the plan. */
  unplanned: string[];
};

/** Every node is there, Ready and without pressure: a migration takes nodes away one by one, the others carry their load. */
export const nodesReady = defineCheck<Facts>({
  id: 'nodes-ready',
  layer: 'cluster',
  title: 'Every node is Ready',
  scope: 'cluster',
  ask: async ({ nodeObjects, planned }) => {
    const nodes = await nodeObjects();
    const names = new Set(nodes.map((node) => node.metadata.name));
    const plannedNames = new Set(planned.map((node) => node.name));
    return {
      nodes: nodes.length,
      notReady: nodes.filter((node) => !isReady(node)).map((node) => node.metadata.name),
      unwell: nodes.flatMap((node) => complaints(node).map((complaint) => `${node.metadata.name}: ${complaint}`)),
      cordoned: nodes.filter((node) => node['spec']?.unschedulable === true).map((node) => node.metadata.name),
      gone: [...plannedNames].filter((name) => !names.has(name)),
      unplanned: [...names].filter((name) => !plannedNames.has(name)),
    };
  },
  judge: ({ nodes, notReady, unwell, cordoned, gone, unplanned }) => {
    if (gone.length > 0) {
      return block(
        `${count(gone.length, 'node')} of the plan ${gone.length === 1 ? 'is' : 'are'} not in the cluster: ${some(gone)}`,
        {
          remedy: 'plan again: the cluster has changed since',
        },
      );
    }
    if (notReady.length > 0) {
      return block(
        `${notReady.length} of ${count(nodes, 'node')} ${notReady.length === 1 ? 'is' : 'are'} not Ready: ${some(notReady)}`,
        {
          remedy: 'repair these nodes first, or plan without them (`kubectl describe node` names the reason)',
        },
      );
    }
    if (unwell.length > 0) {
      return block(`nodes report trouble: ${some(unwell)}`, {
        remedy:
          'free the memory, disk or process ids that are short, or repair the network agent, before anything moves',
      });
    }
    if (unplanned.length > 0) {
      return warn(
        `${count(unplanned.length, 'node')} of the cluster ${unplanned.length === 1 ? 'is' : 'are'} in no wave: ${some(unplanned)}`,
        {
          remedy: 'add them to a wave: the old network cannot be removed while a node still needs it',
        },
      );
    }
    if (cordoned.length > 0) {
      return warn(
        `all ${nodes} nodes are Ready, and ${some(cordoned)} ${cordoned.length === 1 ? 'is' : 'are'} cordoned`,
        {
          remedy: 'nothing, if somebody wants it so: a node that was cordoned stays cordoned',
        },
      );
    }
    return pass(`all ${nodes} nodes are Ready`);
  },
});

const isReady = (node: KubernetesObject): boolean =>
  conditionsOf(node).some((condition) => condition.type === 'Ready' && condition.status === 'True');

function complaints(node: KubernetesObject): string[] {
  const conditions = conditionsOf(node)
    .filter((condition) => pressures.includes(condition.type) && condition.status === 'True')
    .map((condition) => condition.type);
  const tainted: { key: string }[] = node['spec']?.taints ?? [];
  return tainted.some((taint) => taint.key === taints.networkUnavailable) && !conditions.includes('NetworkUnavailable')
    ? [...conditions, `taint ${taints.networkUnavailable}`]
    : conditions;
}
