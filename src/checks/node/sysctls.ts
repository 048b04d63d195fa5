import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { notAsked, saying, unasked } from '../surveyed.ts';

type Facts = {
  nodes: number;
  noForwarding: string[];
  noBridgeFilter: string[];
  /** Recorded: strict reverse path filters matter where two ways to a node exist (BGP with two pools, two overlays). */
  strictReversePath: string[];
  unknown: string[];
};

/** The kernel forwards, and shows bridged packets to iptables, as Flannel's bridge and kube-proxy need it. */
export const sysctls = defineCheck<Facts>({
  id: 'sysctls',
  layer: 'node',
  title: 'The kernel forwards and filters as it must',
  scope: 'cluster',
  ask: async ({ surveyAll }) => {
    const surveyed = await surveyAll();
    return {
      nodes: surveyed.length,
      noForwarding: saying(
        surveyed,
        ({ sysctls: of }) => of['net/ipv4/ip_forward'] !== '1' && (of['net/ipv4/ip_forward'] ?? 'unreadable'),
      ),
      // Absent where the module is not loaded: then no bridge shows its packets to iptables either.
      noBridgeFilter: saying(
        surveyed,
        ({ sysctls: of }) =>
          of['net/bridge/bridge-nf-call-iptables'] !== '1' &&
          (of['net/bridge/bridge-nf-call-iptables'] ?? 'br_netfilter is not loaded'),
      ),
      strictReversePath: saying(surveyed, ({ sysctls: of }) => {
        // The kernel takes the greater of the two (Documentation/networking/ip-sysctl).
        const effective = Math.max(
          Number(of['net/ipv4/conf/all/rp_filter'] ?? 0),
          Number(of['net/ipv4/conf/uplink/rp_filter'] ?? 0),
        );
        return effective === 1 && 'strict';
      }),
      unknown: unasked(surveyed),
    };
  },
  judge: ({ nodes, noForwarding, noBridgeFilter, strictReversePath, unknown }) => {
    if (noForwarding.length > 0) {
      return block(
        `net.ipv4.ip_forward is not 1 on ${count(noForwarding.length, 'node')} of ${nodes}: ${some(noForwarding)}`,
        {
          remedy: 'set it to 1, also in /etc/sysctl.d: without it no packet goes from a pod to another node',
        },
      );
    }
    if (unknown.length > 0) return block(...notAsked(unknown, nodes));
    if (noBridgeFilter.length > 0) {
      return warn(
        `bridge-nf-call-iptables is not 1 on ${count(noBridgeFilter.length, 'node')} of ${nodes}: ${some(noBridgeFilter)}`,
        {
          remedy:
            'load br_netfilter and set it to 1: until a node has left Flannel, Services between pods of that node may fail',
        },
      );
    }
    return pass(
      `all ${nodes} nodes forward and show bridged packets to iptables${strictReversePath.length > 0 ? `; ${strictReversePath.length} filter reverse paths strictly` : ''}`,
    );
  },
});
