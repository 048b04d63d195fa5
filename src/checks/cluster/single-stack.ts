import { block, defineCheck, pass, some } from '../define.ts';
import { flannel } from '../names.ts';

type Facts = { nodes: number; dual: string[]; flannelIpv6: boolean };

/** IPv4 alone: the second family of a dual-stack cluster would not be carried over (§2.1 of the migration facts). */
export const singleStack = defineCheck<Facts>({
  id: 'single-stack',
  layer: 'cluster',
  title: 'The pod network is IPv4 alone',
  scope: 'cluster',
  ask: async ({ kubernetes, nodeObjects }) => {
    const [nodes, configMap] = await Promise.all([
      nodeObjects(),
      kubernetes.get({ apiVersion: 'v1', kind: 'ConfigMap', name: flannel.configMap, namespace: flannel.namespace }),
    ]);
    return {
      nodes: nodes.length,
      dual: nodes
        .filter((node) => podCidrsOf(node).some((cidr) => cidr.includes(':')))
        .map((node) => node.metadata.name),
      flannelIpv6: /"EnableIPv6"\s*:\s*true/.test(String(configMap?.['data']?.['net-conf.json'] ?? '')),
    };
  },
  judge: ({ nodes, dual, flannelIpv6 }) => {
    if (dual.length > 0 || flannelIpv6) {
      const where =
        dual.length > 0
          ? `${dual.length} of ${nodes} nodes have IPv6 pod ranges (${some(dual)})`
          : "Flannel's net-conf.json has EnableIPv6";
      return block(`${where}, and this route carries only IPv4 over`, {
        remedy: 'pods would lose IPv6 without a word: no supported way exists, so plan this cluster as a rebuild',
      });
    }
    return pass(`all ${nodes} nodes have IPv4 pod ranges alone`);
  },
});

const podCidrsOf = (node: { [key: string]: unknown }): string[] => {
  const spec = node['spec'] as { podCIDR?: string; podCIDRs?: string[] } | undefined;
  return spec?.podCIDRs ?? (spec?.podCIDR === undefined ? [] : [spec.podCIDR]);
};
