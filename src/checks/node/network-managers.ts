import { count, block, defineCheck, pass, some, warn } from '../define.ts';
import { notAsked, saying, unasked } from '../surveyed.ts';

type Facts = { nodes: number; firewalls: string[]; managers: string[]; unknown: string[] };

/** No firewall or network manager of the node takes rules, links or routes of the new network for its own. */
export const networkManagers = defineCheck<Facts>({
  id: 'network-managers',
  layer: 'node',
  title: 'Nobody on the nodes manages links and rules of the network',
  scope: 'cluster',
  ask: async ({ surveyAll }) => {
    const surveyed = await surveyAll();
    return {
      nodes: surveyed.length,
      firewalls: saying(surveyed, ({ services }) =>
        services.filter((each) => ['firewalld', 'ufw'].includes(each)).join(' '),
      ),
      managers: saying(surveyed, ({ services, nmLeavesAlone, networkdLeavesAlone }) =>
        [
          services.includes('NetworkManager') && !nmLeavesAlone && 'NetworkManager',
          services.includes('systemd-networkd') && !networkdLeavesAlone && 'systemd-networkd',
        ]
          .filter((each) => each !== false)
          .join(' '),
      ),
      unknown: unasked(surveyed),
    };
  },
  judge: ({ nodes, firewalls, managers, unknown }) => {
    if (unknown.length > 0) return block(...notAsked(unknown, nodes));
    if (firewalls.length > 0) {
      return warn(
        `a firewall with rules of its own runs on ${count(firewalls.length, 'node')} of ${nodes}: ${some(firewalls)}`,
        {
          remedy:
            'stop it for the time of the migration, or see that it trusts the links cali* and vxlan.calico: a reload drops what Calico wrote',
        },
      );
    }
    if (managers.length > 0) {
      return warn(
        `links or routes of Calico may be taken over on ${count(managers.length, 'node')} of ${nodes}: ${some(managers)}`,
        {
          remedy:
            'NetworkManager: unmanaged-devices=interface-name:cali*;interface-name:vxlan.calico; systemd-networkd: ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no',
        },
      );
    }
    return pass(`neither a firewall nor a network manager is in the way on ${nodes} nodes`);
  },
});
