import { block, count, defineCheck, pass, some } from '../define.ts';
import { calico } from '../names.ts';
import { askRoutes } from './overlay-routes.ts';
import type { RouteFacts } from './overlay-routes.ts';

/** Every other node's pod range, whole or as /26 blocks, is reached through vxlan.calico. */
export const routesCalico = defineCheck<RouteFacts>({
  id: 'routes-calico',
  layer: 'links',
  title: 'Every other node is reached through vxlan.calico',
  scope: 'node',
  patient: true,
  ask: (context, node) => askRoutes(context, node, calico.link),
  judge: ({ node, peers, missing, astray }) => {
    if (missing.length > 0) {
      return block(
        `${node} has no way through ${calico.link} to ${missing.length} of ${count(peers, 'other node')}: ${some(missing)}`,
        {
          remedy: `look whether these nodes have BlockAffinities and the annotation projectcalico.org/IPv4VXLANTunnelAddr, and at the log of calico-node on ${node}`,
        },
      );
    }
    if (astray.length > 0) {
      return block(`routes on ${node} lead pods of other nodes astray: ${some(astray)}`, {
        remedy: `find out who wrote them (\`ip route\` on ${node} shows the protocol) and delete them`,
      });
    }
    return pass(`${node} reaches the pods of ${count(peers, 'other node')} through ${calico.link}`);
  },
});
