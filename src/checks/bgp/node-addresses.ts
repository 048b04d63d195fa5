import { block, count, defineCheck, pass, some } from '../define.ts';
import { annotation } from './calico-state.ts';

type Facts = {
  nodes: number;
  /** `worker-1: 10.0.0.1/32, its true address is 10.0.0.1/24`. */
  wrong: string[];
  unreachable: string[];
};

/**
 * Calico knows each node by its true address and prefix: CrossSubnet compares by it, and a prefix of 32, which a migration
 * from Flannel can leave behind, makes every node remote (§2.2 of the migration facts).
 */
export const nodeAddresses = defineCheck<Facts>({
  id: 'node-addresses',
  layer: 'bgp',
  title: 'Calico knows every node by its true address',
  scope: 'cluster',
  patient: true,
  ask: async ({ inspectAll, planned, nodeObjects }) => {
    const [states, objects] = await Promise.all([inspectAll(planned), nodeObjects()]);
    const written = new Map(
      objects.map(({ metadata }) => [metadata.name, metadata.annotations?.[annotation.address] ?? '']),
    );
    const facts: Facts = { nodes: planned.length, wrong: [], unreachable: [] };
    for (const { node, state, error } of states) {
      if (state === undefined) {
        facts.unreachable.push(`${node.name}: ${error}`);
        continue;
      }
      const truth = trueAddress(state.addresses ?? [], node.fingerprint.internalIP);
      const said = written.get(node.name) ?? '';
      if (said !== truth)
        facts.wrong.push(`${node.name}: ${said || 'nothing'}, its true address is ${truth || 'not known'}`);
    }
    return facts;
  },
  judge: ({ nodes, wrong, unreachable }) => {
    if (unreachable.length > 0)
      return block(`the addresses of ${count(unreachable.length, 'node')} cannot be read: ${some(unreachable)}`, {
        remedy: 'see the check node-access',
      });
    if (wrong.length > 0)
      return block(`Calico does not know ${count(wrong.length, 'node')} by the true address: ${some(wrong)}`, {
        remedy:
          'set IP=autodetect and IP_AUTODETECTION_METHOD=kubernetes-internal-ip in the DaemonSet calico-node: the agent writes it when it starts',
      });
    return pass(`Calico knows all ${nodes} nodes by their true address and prefix`);
  },
});

/** `10.0.0.1/24` of the node's own interfaces, for its InternalIP; `` when it has none such. */
export const trueAddress = (addresses: readonly string[], internalIP: string): string =>
  addresses.find((address) => address.split('/')[0] === internalIP) ?? '';
