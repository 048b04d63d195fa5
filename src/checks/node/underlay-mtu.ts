import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { notAsked, saying, unasked } from '../surveyed.ts';

type Facts = {
  nodes: number;
  /** MTU of the uplinks, and how many nodes have it. */
  mtus: { mtu: number; nodes: string[] }[];
  /** `worker-1: flannel.1 1500 on 1500`. */
  tooLarge: string[];
  /** `worker-1: 192.0.2.12 loses 1500 bytes`. */
  lossy: string[];
  measured: number;
  unknown: string[];
};

const vxlanOverhead = 50;

/**
 * Packets of the overlay fit the network between the nodes with the 50 bytes that VXLAN adds, and arrive uncut. Calico takes
 * the MTU over that Flannel has, so what is too large today stays so. Nodes that answer no ping are not judged by it.
 */
export const underlayMtu = defineCheck<Facts>({
  id: 'underlay-mtu',
  layer: 'node',
  title: 'Full-size packets fit between the nodes',
  scope: 'cluster',
  ask: async ({ surveyAll, inspectAll, planned }) => {
    const [surveyed, states] = await Promise.all([surveyAll(), inspectAll(planned)]);
    const overlay = new Map(
      states.map(({ node, state }) => [
        node.name,
        state?.links.find(({ name }) => name === 'flannel.1' || name === 'vxlan.calico')?.mtu ??
          node.fingerprint.overlayMtu,
      ]),
    );
    const uplinks = surveyed.flatMap(({ node, survey }) =>
      survey === undefined || survey.uplink.mtu === 0 ? [] : [{ name: node.name, mtu: survey.uplink.mtu }],
    );
    return {
      nodes: surveyed.length,
      mtus: [...Map.groupBy(uplinks, ({ mtu }) => mtu)].map(([mtu, own]) => ({
        mtu,
        nodes: own.map(({ name }) => name),
      })),
      tooLarge: saying(surveyed, ({ uplink }, node) => {
        const mtu = overlay.get(node.name) ?? 0;
        return (
          uplink.mtu > 0 && mtu > uplink.mtu - vxlanOverhead && `${mtu} bytes over ${uplink.name} with ${uplink.mtu}`
        );
      }),
      lossy: saying(surveyed, ({ pings }, node) => {
        const bytes = (node.fingerprint.overlayMtu || 1500 - vxlanOverhead) + vxlanOverhead;
        return pings
          .filter(({ small, large }) => small && !large)
          .map(({ peer }) => `${bytes} bytes do not reach ${peer}`)
          .join(', ');
      }),
      measured: surveyed.filter(({ survey }) => survey?.pings.some(({ small }) => small)).length,
      unknown: unasked(surveyed),
    };
  },
  judge: ({ nodes, mtus, tooLarge, lossy, measured, unknown }) => {
    const remedy =
      "give the links between nodes a larger MTU, or Flannel a smaller one (and its pods a restart) before the migration: the overlay needs the underlay's less 50 bytes";
    if (tooLarge.length > 0) {
      return block(
        `the overlay is larger than its underlay carries on ${count(tooLarge.length, 'node')} of ${nodes}: ${some(tooLarge)}`,
        { remedy },
      );
    }
    if (lossy.length > 0) {
      return block(
        `packets of full size are lost between nodes, while small ones arrive, from ${count(lossy.length, 'node')} of ${nodes}: ${some(lossy)}`,
        {
          remedy,
        },
      );
    }
    if (unknown.length > 0) return block(...notAsked(unknown, nodes));
    if (mtus.length > 1) {
      return warn(
        `the nodes do not have one MTU: ${mtus.map(({ mtu, nodes: own }) => `${mtu} on ${some(own)}`).join('; ')}`,
        { remedy: 'find out which is right; the path between two nodes carries the smaller one' },
      );
    }
    return pass(
      `the links of the nodes have an MTU of ${mtus[0]?.mtu ?? 'unknown'} bytes${measured === nodes ? ', and packets of full size arrive' : `; the way between nodes was measured from ${measured} of ${nodes} (the others have no ping, or nobody answers it)`}`,
    );
  },
});
