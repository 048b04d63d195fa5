import { count, defineCheck, pass, some, warn } from '../define.ts';
import { controllerOf, specOf, userPods, workloadsOf } from './pods.ts';

type Facts = {
  /** Workloads with pods in the node's own network, by whether a drain moves them. */
  moving: string[];
  /** Pods of DaemonSets: they stay on the node while it has no pod network. */
  staying: string[];
};

/**
 * Pods in the node's own network. Those of DaemonSets go on while their node changes its network, and for that time reach no
 * pod, no Service that has pods behind it, and no cluster DNS: 20 to 40 s a node (§0a.13 of the migration facts).
 */
export const hostNetworkPods = defineCheck<Facts>({
  id: 'host-network-pods',
  layer: 'cluster',
  title: 'Nothing that stays on a node needs pods of others meanwhile',
  scope: 'cluster',
  ask: async (asker) => {
    const pods = (await userPods(asker)).filter((pod) => specOf(pod).hostNetwork === true);
    const stays = (pod: (typeof pods)[number]): boolean => controllerOf(pod)?.kind === 'DaemonSet';
    return {
      moving: workloadsOf(pods.filter((pod) => !stays(pod))),
      staying: workloadsOf(pods.filter(stays)),
    };
  },
  judge: ({ moving, staying }) => {
    if (staying.length > 0) {
      return warn(
        `${count(staying.length, 'DaemonSet')} with pods in the node's own network ${staying.length === 1 ? 'stays' : 'stay'} while a node has no pod network: ${some(staying)}`,
        {
          remedy: 'see that they bear half a minute without pods, Services and cluster DNS, or stop them for that time',
        },
      );
    }
    return pass(
      moving.length === 0
        ? "no pod of a workload lives in the node's own network"
        : `${count(moving.length, 'workload')} in the node's own network ${moving.length === 1 ? 'moves' : 'move'} away with the others: ${some(moving)}`,
    );
  },
});
