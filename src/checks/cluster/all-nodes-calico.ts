import { block, defineCheck, pass, some } from '../define.ts';
import { calico, flannel } from '../names.ts';
import { isReady } from '../../probe/pods.ts';

type Facts = {
  nodes: number;
  /** Not migrated, by label. */
  notMigrated: string[];
  /** Without a Ready calico-node pod. */
  noAgent: string[];
  /** Whose runtime has loaded something else: `worker-1: cbr0`. */
  otherNetwork: string[];
  /** That could not be asked, with the reason. */
  unreachable: string[];
  /** Nodes where a Flannel agent still runs. */
  flannelAgents: string[];
};

/** Every node of the cluster, planned or not, lives on Calico: what must hold before Flannel is deleted for good. */
export const allNodesCalico = defineCheck<Facts>({
  id: 'all-nodes-calico',
  layer: 'cluster',
  title: 'Every node lives on Calico',
  scope: 'cluster',
  patient: true,
  ask: async ({ kubernetes, migratedNodes, nodeObjects, inspectAll, planned }) => {
    const [migrated, nodes, agents, flannelPods, states] = await Promise.all([
      migratedNodes(),
      nodeObjects(),
      kubernetes.list(
        { apiVersion: 'v1', kind: 'Pod' },
        { namespace: calico.namespace, labelSelector: calico.podSelector },
      ),
      kubernetes.list(
        { apiVersion: 'v1', kind: 'Pod' },
        { namespace: flannel.namespace, labelSelector: 'app=flannel' },
      ),
      inspectAll(planned),
    ]);
    const names = nodes.map((node) => node.metadata.name);
    const withAgent = new Set(agents.filter(isReady).map((pod) => String(pod['spec']?.nodeName)));
    return {
      nodes: names.length,
      notMigrated: names.filter((name) => !migrated.includes(name)),
      noAgent: names.filter((name) => !withAgent.has(name)),
      otherNetwork: states.flatMap(({ node, state }) =>
        state === undefined || state.loadedNetworks.includes(calico.network)
          ? []
          : [`${node.name}: ${state.loadedNetworks.join(' ') || 'nothing'}`],
      ),
      unreachable: states.flatMap(({ node, error }) => (error === undefined ? [] : [`${node.name}: ${error}`])),
      flannelAgents: flannelPods.map((pod) => String(pod['spec']?.nodeName ?? pod.metadata.name)),
    };
  },
  judge: (facts) => {
    if (facts.notMigrated.length > 0) {
      return block(
        `${facts.notMigrated.length} of ${facts.nodes} nodes are not on Calico: ${some(facts.notMigrated)}`,
        {
          remedy:
            'migrate or remove these nodes (a skipped node counts, too): without Flannel they would have no network',
        },
      );
    }
    if (facts.noAgent.length > 0) {
      return block(
        `${facts.noAgent.length} of ${facts.nodes} nodes have no Ready calico-node pod: ${some(facts.noAgent)}`,
        {
          remedy: `look at \`kubectl -n ${calico.namespace} get pods -l ${calico.podSelector} -o wide\``,
        },
      );
    }
    if (facts.unreachable.length > 0) {
      return block(`${facts.unreachable.length} nodes cannot be inspected: ${some(facts.unreachable)}`, {
        remedy: 'bring these nodes back within reach of SSH, then try again',
      });
    }
    if (facts.otherNetwork.length > 0) {
      return block(
        `the runtime of ${facts.otherNetwork.length} nodes has not loaded ${calico.network}: ${some(facts.otherNetwork)}`,
        {
          remedy: 'look at /etc/cni/net.d and `crictl info` on these nodes',
        },
      );
    }
    if (facts.flannelAgents.length > 0) {
      return block(`Flannel agents still run on ${some(facts.flannelAgents)}`, {
        remedy: `look at the labels of these nodes and at the nodeSelector of ${flannel.namespace}/${flannel.daemonSet}`,
      });
    }
    return pass(`all ${facts.nodes} nodes have a Ready calico-node and have loaded ${calico.network}`);
  },
});
