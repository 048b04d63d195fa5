import { kinds } from '../../kubernetes/kinds.ts';
import { stickyServiceName } from '../../probe/manifests.ts';
import type { Asker } from '../asker.ts';
import { block, count, defineCheck, pass, some } from '../define.ts';
import { participants } from '../pod-network/cluster-matrix.ts';
import { serviceAnswers, type ServiceAnswers } from './service-answers.ts';

type Facts = { address: string; clients: ({ node: string } & ServiceAnswers)[] };

/** With two backends, one client in a million would find the same one so often by chance. */
const connections = 20;

/**
 * A Service with sessionAffinity ClientIP keeps its clients: kube-proxy knows them by the source address that the network
 * shows it. One node of each network asks.
 */
export const affinity = defineCheck<Facts>({
  id: 'affinity',
  layer: 'services',
  title: 'A Service with session affinity keeps its clients',
  scope: 'cluster',
  patient: true,
  ask: async (context) => {
    const address = await stickyService(context);
    if (address === '') return { address, clients: [] };
    const parties = [...(await participants(context, 'flannel', 1)), ...(await participants(context, 'calico', 1))];
    const url = `http://${address}:${context.ports.http}/hostname`;
    const clients = parties.map(async ({ node, pod }) => ({
      node,
      ...(await serviceAnswers(context, pod, url, connections)),
    }));
    return { address, clients: await Promise.all(clients) };
  },
  judge: ({ address, clients }) => {
    if (address === '')
      return block(`the probes have no Service ${stickyServiceName}`, {
        remedy:
          'somebody deleted it, or the probes are of an older version: run the step that starts the probe pods again',
      });
    if (clients.length === 0)
      return block('no node is uncordoned and has Ready probe pods: nobody can ask', {
        remedy: 'look at the pods of the probes',
      });

    const failed = clients.filter(({ answered, errors }) => errors.length > 0 || answered.length !== 1);
    if (failed.length === 0)
      return pass(
        `each of ${count(clients.length, 'client')} had ${connections} connections to one pod behind ${address}`,
      );
    const texts = failed.map(({ node, answered, errors, asked }) =>
      errors.length > 0
        ? `${errors.length} of ${asked} connections from ${node} failed (${errors[0]})`
        : `${asked} connections from ${node} went to ${answered.length} pods`,
    );
    return block(`${address} does not keep its clients: ${some(texts)}`, {
      remedy: failed.some(({ errors }) => errors.length > 0)
        ? 'connections fail: see the check cluster-ip'
        : "kube-proxy sees changing source addresses (see egress-source), or its rules are not the Service's: look at its log on that node",
    });
  },
});

async function stickyService({ kubernetes, plan }: Asker): Promise<string> {
  const { namespace } = plan.probe;
  const service = await kubernetes.get({ ...kinds.service, namespace, name: stickyServiceName });
  return String(service?.['spec']?.clusterIP ?? '');
}
