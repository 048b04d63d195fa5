import { block, count, defineCheck, pass, some } from '../define.ts';
import { askName, direction, failureText, pairs, podUrl } from './paths.ts';
import type { Path } from './paths.ts';

type Facts = { node: string; paths: Path[]; partners: string[] };

/**
 * Pods reach each other: on the node itself (host to pod, as kubelet's probes go, and pod to host), and to and from one
 * node of the old and one of the new network. The right pod has to answer, not only somebody.
 */
export const podToPod = defineCheck<Facts>({
  id: 'pod-to-pod',
  layer: 'pod-network',
  title: 'Pods reach each other',
  scope: 'node',
  patient: true,
  ask: async (context, node) => {
    const parties = await context.parties(node);
    const { own } = parties;
    const at = `${own.node} (own host)`;
    const within = direction(own.cni, own.cni);
    const paths = await Promise.all([
      ...pairs(parties).map(async ([from, to]) => ({
        from: from.node,
        to: to.node,
        direction: direction(from.cni, to.cni),
        ...(await askName(context, from.pod, podUrl(context, to.pod), to.pod.name)),
      })),
      askName(context, own.host, podUrl(context, own.pod), own.pod.name).then((answer) => ({
        from: at,
        to: own.node,
        direction: within,
        ...answer,
      })),
      context
        .curl(own.pod, `http://${own.ip}:${context.ports.hostHttp}/hostname`)
        .then(({ ok, error, ms }) => ({ from: own.node, to: at, direction: within, ok, error, ms })),
    ]);
    return { node: node.name, paths, partners: parties.partners.map((partner) => `${partner.node} (${partner.cni})`) };
  },
  judge: ({ node, paths, partners }) => {
    const failed = paths.filter((path) => !path.ok);
    if (failed.length === 0)
      return pass(`${paths.length} of ${paths.length} paths between pods of ${node}, ${partners.join(' and ')} work`);

    return block(
      `${failed.length} of ${count(paths.length, 'path')} between pods fail: ${some(failed.map(failureText))}`,
      { remedy: reading(failed, paths) },
    );
  },
});

/** What the pattern of failures says (§4 of the migration facts, interpretation). */
function reading(failed: readonly Path[], paths: readonly Path[]): string {
  const local = (path: Path) => path.from.endsWith('(own host)') || path.to.endsWith('(own host)');
  if (failed.some(local)) {
    return 'the node does not reach its own pod: look for blackhole routes and leftover rules on it (`ip route show type blackhole`, `iptables-save | grep -E "cali|FLANNEL"`)';
  }
  if (failed.length === paths.filter((path) => !local(path)).length) {
    return 'the node itself works and no other is reached: look at its overlay link, UDP 8472 between nodes, and its routes';
  }
  return 'only some directions fail: compare routes, FDB and the VTEP MAC of the nodes that are named (`bridge fdb show dev flannel.1`, `ip route`)';
}
