import { count, defineCheck, pass, some, warn } from '../define.ts';

type Facts = { nodes: number; mixed: string[] };

/** Tables that iptables-nft writes; others belong to programs that speak nft themselves. */
const ofIptables = /^ip6? (nat|filter|mangle|raw)$/;

/** One backend of iptables is in use on a node. With two, rules of one are passed by before those of the other are read. */
export const iptablesBackends = defineCheck<Facts>({
  id: 'iptables-backends',
  layer: 'node',
  title: 'One iptables backend is in use',
  scope: 'cluster',
  ask: async ({ inspectAll, planned }) => {
    const states = await inspectAll(planned);
    return {
      nodes: planned.length,
      mixed: states.flatMap(({ node, state }) => {
        const nft = state?.nftTables.filter((table) => ofIptables.test(table)) ?? [];
        return state !== undefined && nft.length > 0 && state.legacyTables.length > 0
          ? [`${node.name}: nft ${nft.length}, legacy ${state.legacyTables.length} tables`]
          : [];
      }),
    };
  },
  judge: ({ nodes, mixed }) =>
    mixed.length > 0
      ? warn(`both backends of iptables are in use on ${count(mixed.length, 'node')} of ${nodes}: ${some(mixed)}`, {
          remedy:
            'find out who writes the legacy tables (`iptables-legacy-save`) and move it to nft; Calico follows kube-proxy, the other rules stay in force',
        })
      : pass(`one backend of iptables is in use on each of ${nodes} nodes`),
});
