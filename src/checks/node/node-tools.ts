import { block, defineCheck, pass, some, warn } from '../define.ts';

type Facts = {
  nodes: number;
  /** `worker-1: ip crictl`: without these a verb stops half way. */
  missing: string[];
  /** Without these some cleaning is left to a person. */
  optional: string[];
  /** Nodes whose kubelet does not run under systemd as `kubelet`. */
  kubeletDown: string[];
  /** Nodes that could not be asked, or whose answer does not name tools. */
  unknown: string[];
};

/** conntrack: the unanswered SYNs of the dark window stay for a minute or two. nft: Flannel's nftables mode is not cleaned. */
const niceToHave = new Set(['conntrack', 'nft']);

/** The programs that node verbs call are there. */
export const nodeTools = defineCheck<Facts>({
  id: 'node-tools',
  layer: 'node',
  title: 'Every node has the tools that are needed on it',
  scope: 'cluster',
  ask: async ({ inspectAll, planned }) => {
    const facts: Facts = { nodes: planned.length, missing: [], optional: [], kubeletDown: [], unknown: [] };
    for (const { node, state } of await inspectAll(planned)) {
      if (state?.missingTools === undefined) {
        facts.unknown.push(node.name);
        continue;
      }
      const needed = state.missingTools.filter((tool) => !niceToHave.has(tool));
      const nice = state.missingTools.filter((tool) => niceToHave.has(tool));
      if (needed.length > 0) facts.missing.push(`${node.name}: ${needed.join(' ')}`);
      if (nice.length > 0) facts.optional.push(`${node.name}: ${nice.join(' ')}`);
      if (!state.kubeletActive) facts.kubeletDown.push(node.name);
    }
    return facts;
  },
  judge: ({ nodes, missing, optional, kubeletDown, unknown }) => {
    if (missing.length > 0) {
      return block(`programs are missing on ${missing.length} of ${nodes} nodes: ${some(missing)}`, {
        remedy: 'install them (iproute2, iptables, ipset, util-linux, cri-tools), for root, on its PATH',
      });
    }
    if (kubeletDown.length > 0) {
      return block(`kubelet is not an active systemd unit on ${some(kubeletDown)}`, {
        remedy: 'the migration stops and starts `kubelet.service`: look how kubelet is run on these nodes',
      });
    }
    if (unknown.length === nodes && nodes > 0) {
      return warn('no node says which programs it has', {
        remedy: 'see the check node-access; if it passes, look by hand',
      });
    }
    if (unknown.length > 0) {
      return block(`${unknown.length} of ${nodes} nodes could not be asked: ${some(unknown)}`, {
        remedy: 'see the check node-access',
      });
    }
    if (optional.length > 0) {
      return warn(
        `some cleaning has to be left out on ${optional.length} of ${nodes} nodes, which lack ${some(optional)}`,
        {
          remedy:
            'install conntrack (else NodePorts fail now and then for a minute or two after the change) and nftables',
        },
      );
    }
    return pass(`all ${nodes} nodes have every program that is needed`);
  },
});
