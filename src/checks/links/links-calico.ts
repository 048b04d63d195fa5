import { block, defineCheck, pass, some } from '../define.ts';
import { calico, flannel } from '../names.ts';
import { askLinks, linkFault } from './vxlan-link.ts';
import type { LinkFacts } from './vxlan-link.ts';

/**
 * vxlan.calico is up with the identity that flannel.1 had: VNI, port, MTU and MAC. That is why Flannel nodes can go on
 * sending to this node without knowing (§2.1 of the migration facts). flannel.1 and cni0 are gone.
 */
export const linksCalico = defineCheck<LinkFacts>({
  id: 'links-calico',
  layer: 'links',
  title: 'vxlan.calico has the identity of flannel.1',
  scope: 'node',
  patient: true,
  ask: (context, node) =>
    askLinks(context, node, calico.link, (link) => link === flannel.link || link === flannel.bridge),
  judge: (facts) => {
    const fault = linkFault(facts);
    if (fault !== '') {
      return block(`${calico.link} on ${facts.node}: ${fault}`, {
        remedy: `look at the log of calico-node on ${facts.node}, at FelixConfiguration default (vxlanVNI, vxlanPort, vxlanMTU) and at the node's annotation projectcalico.org/VXLANTunnelMACAddr`,
      });
    }
    if (facts.unexpected.length > 0) {
      return block(
        `${some(facts.unexpected)} of Flannel still ${facts.unexpected.length === 1 ? 'exists' : 'exist'} on ${facts.node}`,
        {
          remedy: `make sure that no flanneld runs on ${facts.node} (it brings flannel.1 back, flannel #2247), then \`ip link delete\` each`,
        },
      );
    }
    return pass(
      `${calico.link} on ${facts.node} is up: VNI ${facts.link?.vni}, UDP ${facts.link?.port}, MTU ${facts.link?.mtu}, MAC ${facts.link?.mac}`,
    );
  },
});
