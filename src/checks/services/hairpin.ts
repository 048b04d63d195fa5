import { kinds } from '../../kubernetes/kinds.ts';
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
    return { node: node.name, pod: own.pod.name, address, error: await askItself(context, own, address) };
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
  return named(await context.curl(pod, `http://${address}:${context.ports.http}/hostname`), pod.name).error;
}
