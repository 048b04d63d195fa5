import { kinds } from '../../kubernetes/kinds.ts';
import { isReady, type ProbePod } from '../../probe/pods.ts';
import type { Asker } from '../asker.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';

type Facts = {
  node: string;
  name: string;
  /** ClusterIP of the API server's own Service. */
  expected: string;
  answers: Answer[];
};

/** To the DNS Service, as /etc/resolv.conf of the pod has it, when no server is named. */
type Question = { over: 'UDP' | 'TCP'; server?: string };

type Answer = {
  /** `the DNS Service` or the address of a DNS pod. */
  by: string;
  over: Question['over'];
  addresses: string[];
  error: string;
};

const dnsTimeoutSeconds = 2;
/** DNS pods that are asked themselves; a Service hides one that is out of reach behind another. */
const mostServers = 3;

/** A pod of the node resolves a name of the cluster, over UDP and TCP, through the Service and by each DNS pod, to the right address. */
export const dns = defineCheck<Facts>({
  id: 'dns',
  layer: 'services',
  title: 'Pods resolve names',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const [{ pod }, expected, servers] = await Promise.all([
      context.party(node),
      apiServerAddress(context),
      dnsServers(context),
    ]);
    const answers = await askDns(context, pod, [
      { over: 'UDP' },
      { over: 'TCP' },
      ...servers.map((server): Question => ({ over: 'UDP', server })),
    ]);
    return { node: node.name, name: dnsName, expected, answers };
  },
  judge: ({ node, name, expected, answers }) => {
    const by = ({ by: server, over }: Answer): string => `${server} over ${over}`;
    const silent = answers.filter(({ addresses }) => addresses.length === 0);
    if (silent.length > 0) {
      const texts = silent.map((answer) => `${by(answer)}: ${answer.error || 'the answer is empty'}`);
      return block(
        `a pod on ${node} cannot resolve ${name} (${silent.length} of ${count(answers.length, 'way')} fail): ${some([...new Set(texts)])}`,
        {
          remedy:
            silent.length < answers.length
              ? 'some ways work: look at the DNS pods that do not answer and at the way to their nodes; TCP alone: a firewall on port 53'
              : 'if cluster-ip fails as well, look at kube-proxy of the node; else at the CoreDNS pods and the way to their nodes',
        },
      );
    }
    const wrong = answers.find(({ addresses }) => !addresses.includes(expected));
    if (wrong) {
      return block(`a pod on ${node} resolves ${name} to ${wrong.addresses.join(', ')}, and it is ${expected}`, {
        remedy: 'find out who answers: look at /etc/resolv.conf of the pod and at the endpoints of the DNS Service',
      });
    }
    return pass(`a pod on ${node} resolves ${name} to ${expected}, in each of ${count(answers.length, 'way')}`);
  },
});

/** +search: the cluster's domain need not be cluster.local, and resolv.conf of the pod knows it. */
const dnsName = 'kubernetes.default.svc';

export async function apiServerAddress({ kubernetes }: Pick<Asker, 'kubernetes'>): Promise<string> {
  const service = await kubernetes.get({ ...kinds.service, namespace: 'default', name: 'kubernetes' });
  return String(service?.['spec']?.clusterIP ?? '');
}

/** Addresses of the cluster's DNS pods, by the label that kubeadm and all distributions keep. */
async function dnsServers({ kubernetes }: Pick<Asker, 'kubernetes'>): Promise<string[]> {
  const pods = await kubernetes.list(kinds.pod, { namespace: 'kube-system', labelSelector: 'k8s-app=kube-dns' });
  return pods
    .filter((pod) => pod['status']?.podIP && pod.metadata.deletionTimestamp === undefined && isReady(pod))
    .map((pod) => String(pod['status'].podIP))
    .slice(0, mostServers);
}

/** Ends what one question printed. */
const marker = '@cutover';

/**
 * Asks for the name of the API server, one question after the other in one exec. Each is asked once: the check is asked
 * again as a whole when it blocks.
 */
export async function askDns(context: Asker, pod: ProbePod, questions: readonly Question[]): Promise<Answer[]> {
  const script = questions.map((question) => `${digCommand(question)} 2>&1; echo ${marker}`).join('; ');
  const { stdout } = await context.exec(pod, ['sh', '-c', script], (questions.length * dnsTimeoutSeconds + 10) * 1000);
  const printed = stdout.split(marker);
  return questions.map(({ over, server }, index) => {
    const lines = (printed[index] ?? '').split('\n').map((line) => line.trim());
    return {
      by: server ?? 'the DNS Service',
      over,
      addresses: lines.filter((line) => /^[0-9.]+$/.test(line)),
      error: lines.find((line) => line.startsWith(';;'))?.replace(/^;;\s*/, '') ?? '',
    };
  });
}

const digCommand = ({ over, server }: Question): string =>
  [
    'dig',
    ...(server === undefined ? [] : [`@${server}`]),
    ...(over === 'TCP' ? ['+tcp'] : []),
    `+search +short +tries=1 +time=${dnsTimeoutSeconds} ${dnsName}`,
  ].join(' ');
