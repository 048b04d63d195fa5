import { excludeLabel, foundState, networkLabel } from '../../kubernetes/marks.ts';
import { isReady } from '../../probe/pods.ts';
import { block, defineCheck, pass, some, warn } from '../define.ts';
import { calico, flannel } from '../names.ts';
import { standingOf } from '../standing.ts';

type Facts = {
  nodes: number;
  adopted: number;
  /** What an earlier migration left half done, and the network that its pods have. */
  halfWay: { node: string; signs: string[]; network: string }[];
  /** On another network than the plan knows: `worker-1: calico`. */
  otherNetwork: string[];
  /** Adopted nodes without a Ready calico-node pod. */
  noAgent: string[];
  /** Adopted nodes that lack Flannel's conf or plugin. */
  noReturn: string[];
};

/**
 * Every node is wholly on one network, the one for which the plan takes it. A node that an aborted migration left half way
 * is neither migrated nor untouched, and only a person knows which it should become.
 */
export const wholeNodes = defineCheck<Facts>({
  id: 'whole-nodes',
  layer: 'runtime',
  title: 'No node is half way between the networks',
  scope: 'cluster',
  ask: async ({ kubernetes, inspectAll, nodeObject, planned }) => {
    const [states, agents] = await Promise.all([
      inspectAll(planned),
      kubernetes.list(
        { apiVersion: 'v1', kind: 'Pod' },
        { namespace: calico.namespace, labelSelector: calico.podSelector },
      ),
    ]);
    const withAgent = new Set(agents.filter(isReady).map((pod) => String(pod['spec']?.nodeName)));
    const adopted = planned.filter((node) => node.adopted);
    const facts: Facts = {
      nodes: planned.length,
      adopted: adopted.length,
      halfWay: [],
      otherNetwork: [],
      noAgent: adopted.map(({ name }) => name).filter((name) => !withAgent.has(name)),
      noReturn: [],
    };
    for (const { node, state } of states) {
      if (state === undefined) continue;
      const { network, halfWay } = standingOf(await nodeObject(node.name), state);
      if (halfWay.length > 0) facts.halfWay.push({ node: node.name, signs: halfWay, network });
      // A node on neither is the affair of cni-conf.
      else if ((network === 'calico') !== (node.adopted === true)) facts.otherNetwork.push(`${node.name}: ${network}`);
      const canReturn = state.flannelBinary && state.confs.some((conf) => conf.network === flannel.network);
      if (node.adopted && !canReturn) facts.noReturn.push(node.name);
    }
    return facts;
  },
  judge: ({ nodes, adopted, halfWay, otherNetwork, noAgent, noReturn }) => {
    const [first] = halfWay;
    if (first !== undefined) {
      const all = halfWay.map(({ node, signs }) => `${node} (${signs.join(', ')})`);
      return block(`an earlier migration left ${some(all)} half way`, { remedy: wayOut(first) });
    }
    if (otherNetwork.length > 0) {
      return block(`the plan takes these nodes to be on another network: ${some(otherNetwork)}`, {
        remedy: 'plan again: the cluster has changed since; when it was no migration of Cutover, see calico-leftovers',
      });
    }
    if (noAgent.length > 0) {
      return block(`adopted nodes have no Ready calico-node pod: ${some(noAgent)}`, {
        remedy: `look at \`kubectl -n ${calico.namespace} get pods -l ${calico.podSelector} -o wide\``,
      });
    }
    if (noReturn.length > 0) {
      return warn(`Flannel's conf or plugin is gone from adopted nodes: ${some(noReturn)}`, {
        remedy: `these nodes cannot go back; put ${flannel.conf} back from /var/lib/cutover/*/snapshot/net.d, and the plugin into /opt/cni/bin`,
      });
    }
    return pass(
      adopted === 0
        ? `none of ${nodes} nodes is half way`
        : `${adopted} of ${nodes} nodes are wholly on Calico and adopted, and none is half way`,
    );
  },
});

/** By hand: what runs on a node whose migration has ended belongs to nobody. */
function wayOut({ node, network }: { node: string; network: string }): string {
  const service = `kubectl uncordon ${node}; kubectl label node ${node} ${excludeLabel}-; kubectl annotate node ${node} ${foundState}-; then plan again`;
  const disarm = 'systemctl stop cutover-revert.timer';
  if (network === 'calico')
    return `leave ${node} on Calico: \`${disarm}\` on the node; kubectl label node ${node} ${networkLabel}=calico --overwrite; ${service}`;
  const clear = network === 'flannel' ? '' : `; rm -f /etc/cni/net.d/${calico.conf}; reboot`;
  return `give ${node} back to Flannel: kubectl label node ${node} ${networkLabel}=flannel --overwrite; \`${disarm}${clear}\` on the node; ${service}`;
}
