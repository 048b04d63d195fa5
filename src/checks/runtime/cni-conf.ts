import { block, defineCheck, pass, some, warn } from '../define.ts';
import { flannel } from '../names.ts';

type Facts = {
  nodes: number;
  /** Nodes whose first conf is not Flannel's: `worker-1: 05-cilium.conflist`. */
  otherFirst: string[];
  /** Nodes whose runtime has loaded something else. */
  otherLoaded: string[];
  /** Nodes with more files than Flannel's. */
  extra: string[];
  /** Nodes that could not be asked: node-access says why. */
  unknown: string[];
};

/**
 * Flannel's conf is the first by name on every node (the first one wins), it is the only one, and it is what the runtime
 * has loaded. The runtime's own status says OK whatever it has loaded, so names are compared (§0a.11 of the migration facts).
 */
export const cniConf = defineCheck<Facts>({
  id: 'cni-conf',
  layer: 'runtime',
  title: "Flannel's conf is the one that is loaded",
  scope: 'cluster',
  ask: async ({ inspectAll, planned }) => {
    // What adopted nodes have loaded is asked by whole-nodes.
    const moving = planned.filter((node) => !node.adopted);
    const facts: Facts = { nodes: moving.length, otherFirst: [], otherLoaded: [], extra: [], unknown: [] };
    for (const { node, state } of await inspectAll(moving)) {
      if (state === undefined) {
        facts.unknown.push(node.name);
        continue;
      }
      const [first, ...rest] = state.confs;
      if (first?.network !== flannel.network) facts.otherFirst.push(`${node.name}: ${first?.name ?? 'no conf'}`);
      if (state.loadedNetworks.join() !== flannel.network) {
        facts.otherLoaded.push(`${node.name}: ${state.loadedNetworks.join(' ') || 'nothing'}`);
      }
      if (rest.length > 0) facts.extra.push(`${node.name}: ${rest.map((conf) => conf.name).join(' ')}`);
    }
    return facts;
  },
  judge: ({ nodes, otherFirst, otherLoaded, extra, unknown }) => {
    if (otherFirst.length > 0) {
      return block(
        `Flannel's conf is not the first one on ${otherFirst.length} of ${nodes} nodes: ${some(otherFirst)}`,
        {
          remedy:
            'find out which network these pods really have; move leftovers out of /etc/cni/net.d (rename within it first, so that the runtime notices)',
        },
      );
    }
    if (otherLoaded.length > 0) {
      return block(
        `the runtime of ${otherLoaded.length} of ${nodes} nodes has not loaded ${flannel.network}: ${some(otherLoaded)}`,
        {
          remedy:
            'write the conf again in place (containerd ignores a file that is moved in), then look at `crictl info`',
        },
      );
    }
    if (unknown.length > 0) {
      return block(`${unknown.length} of ${nodes} nodes could not be asked: ${some(unknown)}`, {
        remedy: 'see the check node-access',
      });
    }
    if (extra.length > 0) {
      return warn(`there are more confs beside Flannel's on ${extra.length} of ${nodes} nodes: ${some(extra)}`, {
        remedy: "find out whose they are: when Flannel's goes, the next one by name wins",
      });
    }
    return pass(`all ${nodes} nodes have loaded ${flannel.network}, and no other conf is there`);
  },
});
