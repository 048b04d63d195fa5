import { conditionsOf } from '../../probe/pods.ts';
import { block, count, defineCheck, pass, warn } from '../define.ts';

type Facts = { nodes: number; schedulable: number };

/** There is somewhere to go for the pods of the node that is migrated (upstream: calico #3452, #5074). */
export const enoughNodes = defineCheck<Facts>({
  id: 'enough-nodes',
  layer: 'cluster',
  title: 'The pods of one node fit elsewhere',
  scope: 'cluster',
  ask: async ({ nodeObjects }) => {
    const nodes = await nodeObjects();
    const schedulable = nodes.filter(
      (node) =>
        node['spec']?.unschedulable !== true &&
        conditionsOf(node).some((condition) => condition.type === 'Ready' && condition.status === 'True'),
    );
    return { nodes: nodes.length, schedulable: schedulable.length };
  },
  judge: ({ nodes, schedulable }) => {
    if (schedulable < 2) {
      return block(
        `${count(schedulable, 'node takes', 'nodes take')} pods, and the pods of a migrated node need another`,
        {
          remedy: 'add a node, or uncordon one',
        },
      );
    }
    if (schedulable < 3) {
      return warn(
        `only ${schedulable} of ${nodes} nodes take pods: while one is migrated everything runs on the other`,
        {
          remedy: 'add a node for the time of the migration, or accept that nothing may fail meanwhile',
        },
      );
    }
    return pass(`${schedulable} of ${nodes} nodes take pods`);
  },
});
