import { CutoverError } from '../../errors.ts';
import { probeName } from '../../probe/manifests.ts';
import { block, defineCheck, pass, some } from '../define.ts';
import { serviceAnswers } from './service-answers.ts';
import type { ServiceAnswers } from './service-answers.ts';

type Facts = { node: string; clusterIP: string; fromPod: ServiceAnswers; fromHost: ServiceAnswers };

/** kube-proxy chooses a backend for each connection, so some are made. */
const connections = 4;

/** The probes' own Service answers from a pod of the node and from the node itself, through several backends. */
export const clusterIp = defineCheck<Facts>({
  id: 'cluster-ip',
  layer: 'services',
  title: 'Services answer on their ClusterIP',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const { namespace } = context.plan.probe;
    const [own, service] = await Promise.all([
      context.party(node),
      context.kubernetes.get({ apiVersion: 'v1', kind: 'Service', namespace, name: probeName }),
    ]);
    const clusterIP = String(service?.['spec']?.clusterIP ?? '');
    if (clusterIP === '') {
      throw new CutoverError('ChecksFailed', `the Service ${namespace}/${probeName} has no ClusterIP`, {
        remedy: `look at \`kubectl -n ${namespace} get service ${probeName}\``,
      });
    }
    const url = `http://${clusterIP}:${context.ports.http}/hostname`;
    const [fromPod, fromHost] = await Promise.all([
      serviceAnswers(context, own.pod, url, connections),
      serviceAnswers(context, own.host, url, connections),
    ]);
    return { node: node.name, clusterIP, fromPod, fromHost };
  },
  judge: ({ node, clusterIP, fromPod, fromHost }) => {
    const failed = [
      ...fromPod.errors.map((error) => `from a pod: ${error}`),
      ...fromHost.errors.map((error) => `from the node: ${error}`),
    ];
    const asked = fromPod.asked + fromHost.asked;
    if (failed.length === 0) {
      const answered = new Set([...fromPod.answered, ...fromHost.answered]);
      return pass(
        `${asked} of ${asked} connections from ${node} to ${clusterIP} were answered, by ${answered.size} pods`,
      );
    }
    return block(`${failed.length} of ${asked} connections from ${node} to ${clusterIP} failed: ${some(failed)}`, {
      remedy:
        fromPod.errors.length === 0
          ? "only the node itself fails: look at the source address that its packets get (`ip route get`), and at kube-proxy's masquerade rules"
          : 'if pod-to-pod passes, look at kube-proxy of the node and at the endpoints of the Service; some failures only: one backend is out of reach',
    });
  },
});
