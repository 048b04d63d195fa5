import { kinds } from '../../kubernetes/kinds.ts';
import { curlCommand, parseCurl } from '../../probe/curl.ts';
import { localServiceName } from '../../probe/manifests.ts';
import { named } from '../pod-network/paths.ts';
import type { Asker, Party } from '../asker.ts';
import { block, defineCheck, pass } from '../define.ts';

type Facts = { node: string; pod: string; address: string; error: string };

/** A pod reaches itself through its own Service: the packet has to come back with another source address than it left with. */
export const hairpin = defineCheck<Facts>({
  id: 'hairpin',
  layer: 'services',
  title: 'A pod reaches itself through its Service',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const [own, address] = await Promise.all([context.party(node), localService(context)]);
    return { node: node.name, pod: own.pod.name, address, error: await askUntilItAnswers(context, own, address) };
  },
  judge: ({ node, pod, address, error }) =>
    error === ''
      ? pass(`${pod} on ${node} reaches itself through ${address}`)
      : block(
          `${pod} on ${node} does not reach itself through its own Service ${address || localServiceName}: ${error}`,
          {
            remedy:
              "if cluster-ip passes, the way back into the same pod is what fails: look at hairpin mode of the pod's link (`bridge -d link`), and at kube-proxy's masquerade rule for hairpin traffic",
          },
        ),
});

/** `` when there is none. */
export async function localService({ kubernetes, plan }: Pick<Asker, 'kubernetes' | 'plan'>): Promise<string> {
  const { namespace } = plan.probe;
  const service = await kubernetes.get({ ...kinds.service, namespace, name: localServiceName });
  return String(service?.['spec']?.clusterIP ?? '');
}

/** @returns why not, `` when it does */
export async function askItself(context: Asker, { pod }: Party, address: string): Promise<string> {
  if (address === '') return 'the Service has no address';
  return named(await context.curl(pod, urlOf(context, address)), pod.name).error;
}

const urlOf = ({ ports }: Asker, address: string): string => `http://${address}:${ports.http}/hostname`;

/**
 * kube-proxy writes its rules once a second, and drops what comes before to a Service of one node. A lost SYN is sent again
 * only after a second (RFC 6298), so a pod that has just started is asked by some short tries before one that waits.
 */
const shortTries = 5;
const shortSeconds = 0.3;
const longSeconds = 2;

async function askUntilItAnswers(context: Asker, { pod }: Party, address: string): Promise<string> {
  if (address === '') return 'the Service has no address';
  const url = urlOf(context, address);
  const short = curlCommand([url], { timeoutSeconds: longSeconds, connectSeconds: shortSeconds });
  const commands = [...Array<string[]>(shortTries).fill(short), curlCommand([url], { timeoutSeconds: longSeconds })];
  const script = commands.map((words) => words.map((word) => `'${word}'`).join(' ')).join(' || ');
  const timeoutMs = (shortTries * shortSeconds + longSeconds + 10) * 1000;
  const printed = await context.exec(pod, ['sh', '-c', script], timeoutMs);
  const answers = parseCurl(
    printed,
    commands.map(() => url),
  );
  return named(answers.find(({ status }) => status > 0) ?? answers.at(-1)!, pod.name).error;
}
