import { block, defineCheck, pass } from '../define.ts';

type Facts = {
  node: string;
  name: string;
  /** ClusterIP of the API server's own Service. */
  expected: string;
  answers: string[];
  error: string;
};

const dnsTimeoutSeconds = 2;

/** A pod of the node resolves a name of the cluster, over UDP and the Service of the cluster's DNS, to the right address. */
export const dns = defineCheck<Facts>({
  id: 'dns',
  layer: 'services',
  title: 'Pods resolve names',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const [{ pod }, service] = await Promise.all([
      context.party(node),
      context.kubernetes.get({ apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'kubernetes' }),
    ]);
    // +search: the cluster's domain need not be cluster.local, and resolv.conf of the pod knows it.
    const name = 'kubernetes.default.svc';
    const command = ['dig', '+search', '+short', '+tries=2', `+time=${dnsTimeoutSeconds}`, name];
    const { stdout, stderr } = await context.exec(pod, command, 20_000);
    const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim());
    return {
      node: node.name,
      name,
      expected: String(service?.['spec']?.clusterIP ?? ''),
      answers: lines.filter((line) => /^[0-9.]+$/.test(line)),
      error: lines.find((line) => line.startsWith(';;'))?.replace(/^;;\s*/, '') ?? '',
    };
  },
  judge: ({ node, name, expected, answers, error }) => {
    if (answers.length === 0) {
      return block(`a pod on ${node} cannot resolve ${name}: ${error || 'the answer is empty'}`, {
        remedy:
          'if cluster-ip fails as well, look at kube-proxy of the node; else at the CoreDNS pods and the way to their nodes',
      });
    }
    if (!answers.includes(expected)) {
      return block(`a pod on ${node} resolves ${name} to ${answers.join(', ')}, and it is ${expected}`, {
        remedy: 'find out who answers: look at /etc/resolv.conf of the pod and at the endpoints of the DNS Service',
      });
    }
    return pass(`a pod on ${node} resolves ${name} to ${expected}`);
  },
});
