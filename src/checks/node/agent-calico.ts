import { conditionsOf, readyProbe, isReady } from '../../probe/pods.ts';
import { block, defineCheck, pass } from '../define.ts';
import { calico, taints } from '../names.ts';

type Facts = {
  node: string;
  pod: string;
  ready: boolean;
  /** Why it is not Ready, `` when it is. */
  reason: string;
  networkUnavailable: string;
  taints: string[];
};

/**
 * Calico's agent on the node is Ready, and the node says that it has a network.
 * Ready alone proves little: it comes before the data path (§0a.19 of the migration facts); the layers above look at that.
 */
export const agentCalico = defineCheck<Facts>({
  id: 'agent-calico',
  layer: 'node',
  title: "Calico's agent is ready",
  scope: 'node',
  patient: true,
  ask: async ({ kubernetes, nodeObject }, { name }) => {
    const [pods, node] = await Promise.all([
      kubernetes.list(
        { apiVersion: 'v1', kind: 'Pod' },
        { namespace: calico.namespace, labelSelector: calico.podSelector, fieldSelector: `spec.nodeName=${name}` },
      ),
      nodeObject(name),
    ]);
    const unavailable = conditionsOf(node).find((condition) => condition.type === 'NetworkUnavailable');
    const keys: { key: string }[] = node['spec']?.taints ?? [];
    const found = readyProbe(pods);
    return {
      node: name,
      pod: pods.find(isReady)?.metadata.name ?? pods[0]?.metadata.name ?? '',
      ready: typeof found !== 'string',
      reason: typeof found === 'string' ? found : '',
      networkUnavailable: unavailable?.status === 'True' ? (unavailable.reason ?? 'True') : '',
      taints: keys
        .map((taint) => taint.key)
        .filter((key) => key === taints.networkUnavailable || key === taints.notReady),
    };
  },
  judge: ({ node, pod, ready, reason, networkUnavailable, taints: tainted }) => {
    if (!ready) {
      return block(`calico-node on ${node} is not Ready: ${reason}`, {
        remedy:
          pod === ''
            ? `look whether the label of ${node} matches the nodeSelector of ${calico.namespace}/${calico.daemonSet}`
            : `look at \`kubectl -n ${calico.namespace} describe pod ${pod}\` and its logs`,
      });
    }
    if (networkUnavailable !== '') {
      return block(`${node} says NetworkUnavailable (${networkUnavailable}) although ${pod} is Ready`, {
        remedy:
          'set the condition NetworkUnavailable to False in the status of the node: its writer is gone (calico #7816)',
      });
    }
    if (tainted.length > 0) {
      return block(`${node} still carries ${tainted.join(' and ')}`, {
        remedy: 'look at the conditions of the node; node-lifecycle removes these taints when the conditions allow it',
      });
    }
    return pass(`${pod} is Ready, and ${node} has no network taint`);
  },
});
