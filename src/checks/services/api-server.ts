import type { ProbePod } from '../../probe/pods.ts';
import type { Asker } from '../asker.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';
import { apiServerAddress } from './dns.ts';

type Facts = { node: string; ways: { url: string; error: string }[] };

/** Endpoints that are asked. */
const mostEndpoints = 3;

/** A pod of the node reaches the API server, by its Service and by its own address: operators and webhooks live on it. */
export const apiServer = defineCheck<Facts>({
  id: 'api-server',
  layer: 'services',
  title: 'Pods reach the API server',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const [{ pod }, urls] = await Promise.all([context.party(node), apiServerUrls(context)]);
    return {
      node: node.name,
      ways: await Promise.all(urls.map(async (url) => ({ url, error: await askApiServer(context, pod, url) }))),
    };
  },
  judge: ({ node, ways }) => {
    const failed = ways.filter(({ error }) => error !== '');
    if (failed.length === 0)
      return pass(`a pod on ${node} reaches the API server in each of ${count(ways.length, 'way')}`);
    return block(
      `a pod on ${node} does not reach the API server in ${failed.length} of ${count(ways.length, 'way')}: ${some(failed.map(({ url, error }) => `${url}: ${error}`))}`,
      {
        remedy:
          failed.length === ways.length
            ? 'look at the way from pods of the node to node addresses: routes, masquerading, a firewall on port 6443'
            : 'one way works: if only the Service fails look at kube-proxy of the node; else at the endpoint that is named',
      },
    );
  },
});

/** By the Service, and by the address of each API server. */
export async function apiServerUrls(context: Pick<Asker, 'kubernetes'>): Promise<string[]> {
  const [service, endpoints] = await Promise.all([
    apiServerAddress(context),
    context.kubernetes.get({ apiVersion: 'v1', kind: 'Endpoints', namespace: 'default', name: 'kubernetes' }),
  ]);
  const subsets = (endpoints?.['subsets'] ?? []) as { addresses?: { ip: string }[]; ports?: { port: number }[] }[];
  const own = subsets.flatMap(({ addresses = [], ports = [] }) =>
    addresses.map(({ ip }) => `https://${ip}:${ports[0]?.port ?? 6443}/livez`),
  );
  return [...(service === '' ? [] : [`https://${service}:443/livez`]), ...own.slice(0, mostEndpoints)];
}

/** Any HTTP status is an answer: who may ask what is not the question. @returns why there is none, `` when there is */
export async function askApiServer(context: Asker, pod: ProbePod, url: string): Promise<string> {
  const { status, error } = await context.curl(pod, url);
  return status > 0 ? '' : error;
}
