import { isReady } from '../../probe/pods.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { selects } from '../label-selector.ts';

type Facts = {
  /** Ready pods behind the Service of cluster DNS. */
  pods: number;
  nodes: string[];
  /** Whether a budget keeps one of them. */
  budget: boolean;
  /** Wave that has all of these nodes, `` when none has. */
  wave: string;
  /** Nodes that may be out of service at once. */
  atOnce: number;
};

const dnsSelector = { 'k8s-app': 'kube-dns' };

/** Cluster DNS outlives any one node: names are the first thing that applications miss. */
export const coredns = defineCheck<Facts>({
  id: 'coredns',
  layer: 'cluster',
  title: 'Cluster DNS outlives any one node',
  scope: 'cluster',
  ask: async ({ all, stage, plan }) => {
    const [pods, budgets] = await Promise.all([
      all({ apiVersion: 'v1', kind: 'Pod' }),
      all({ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' }),
    ]);
    const own = pods.filter(
      (pod) => pod.metadata.namespace === 'kube-system' && selects({ matchLabels: dnsSelector }, pod.metadata.labels),
    );
    const ready = own.filter(isReady);
    const nodes = [...new Set(ready.map((pod) => String(pod['spec']?.nodeName)))];
    return {
      pods: ready.length,
      nodes,
      budget: budgets.some(
        (budget) =>
          budget.metadata.namespace === 'kube-system' &&
          own.some((pod) => selects(budget['spec']?.selector, pod.metadata.labels)),
      ),
      wave: stage.waves.find((wave) => nodes.every((name) => wave.nodes.some((node) => node.name === name)))?.id ?? '',
      atOnce: plan.strategy.maxUnavailable,
    };
  },
  judge: ({ pods, nodes, budget, wave, atOnce }) => {
    if (pods === 0) {
      return block('no pod of cluster DNS is Ready (kube-system, k8s-app=kube-dns)', {
        remedy: 'repair CoreDNS first: names do not resolve today',
      });
    }
    if (nodes.length < 2) {
      return warn(`${count(pods, 'pod')} of cluster DNS ${pods === 1 ? 'runs' : 'run'} on one node, ${nodes[0]}`, {
        remedy:
          'scale CoreDNS to two replicas and spread them over two nodes: names do not resolve while that node migrates',
      });
    }
    if (wave !== '' && nodes.length <= atOnce) {
      return warn(
        `all ${nodes.length} nodes with cluster DNS are in the wave ${wave}, ${atOnce} of which may be away at once: ${some(nodes)}`,
        {
          remedy: 'lower maxUnavailable, add a replica, or give one of these nodes to another wave',
        },
      );
    }
    return pass(
      `${pods} pods of cluster DNS on ${nodes.length} nodes${budget ? ', kept by a budget' : '; no budget keeps them'}`,
    );
  },
});
