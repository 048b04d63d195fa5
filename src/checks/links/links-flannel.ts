import { block, defineCheck, pass, some } from '../define.ts';
import { calico, flannel } from '../names.ts';
import { askLinks, linkFault } from './vxlan-link.ts';
import type { LinkFacts } from './vxlan-link.ts';

/**
 * flannel.1 is back as it was; flanneld reuses the MAC of its annotation since 0.25.2, and the other nodes send to that.
 * cni0 is not asked for: the plugin makes it with the first pod.
 */
export const linksFlannel = defineCheck<LinkFacts>({
  id: 'links-flannel',
  layer: 'links',
  title: 'flannel.1 is as it was',
  scope: 'node',
  patient: true,
  ask: (context, node) =>
    askLinks(context, node, flannel.link, (link) => link === calico.link || link.startsWith(calico.podLink)),
  judge: (facts) => {
    const fault = linkFault(facts);
    if (fault !== '') {
      return block(`${flannel.link} on ${facts.node}: ${fault}`, {
        remedy: `restart the Flannel pod of ${facts.node} (it writes link, routes, FDB and neighbours anew), then look at its log`,
      });
    }
    if (facts.unexpected.length > 0) {
      return block(
        `${some(facts.unexpected)} of Calico still ${facts.unexpected.length === 1 ? 'exists' : 'exist'} on ${facts.node}`,
        {
          remedy: `make sure that no calico-node runs on ${facts.node}, then \`ip link delete\` each`,
        },
      );
    }
    return pass(
      `${flannel.link} on ${facts.node} is up: VNI ${facts.link?.vni}, UDP ${facts.link?.port}, MTU ${facts.link?.mtu}, MAC ${facts.link?.mac}`,
    );
  },
});
