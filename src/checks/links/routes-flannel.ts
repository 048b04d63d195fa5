import { block, count, defineCheck, pass, some } from '../define.ts';
import { calico, flannel } from '../names.ts';
import { askRoutes } from './overlay-routes.ts';
import type { RouteFacts } from './overlay-routes.ts';

/**
 * Every other node's pod range is reached through flannel.1, and Felix left no blackhole in the node's own: those are
 * more specific than the /24 on cni0 and take every pod of the node away, even from its kubelet (§0a.2 of the migration facts).
 */
export const routesFlannel = defineCheck<RouteFacts>({
  id: 'routes-flannel',
  layer: 'links',
  title: 'Every other node is reached through flannel.1',
  scope: 'node',
  patient: true,
  ask: (context, node) => askRoutes(context, node, flannel.link),
  judge: ({ node, peers, missing, astray, blackholes }) => {
    if (blackholes.length > 0) {
      return block(`${count(blackholes.length, 'blackhole route')} swallow the pods of ${node}: ${some(blackholes)}`, {
        remedy: `on ${node}: \`ip route flush type blackhole proto ${calico.routeProtocol}; ip route flush proto ${calico.routeProtocol}\``,
      });
    }
    if (missing.length > 0) {
      return block(
        `${node} has no way through ${flannel.link} to ${missing.length} of ${count(peers, 'other node')}: ${some(missing)}`,
        {
          remedy: `restart the Flannel pod of ${node}: it writes its routes only when it starts`,
        },
      );
    }
    if (astray.length > 0) {
      return block(`routes on ${node} lead pods of other nodes astray: ${some(astray)}`, {
        remedy: `on ${node}: \`ip route flush proto ${calico.routeProtocol}\` removes those of Felix; look who wrote the others`,
      });
    }
    return pass(
      `${node} reaches the pods of ${count(peers, 'other node')} through ${flannel.link}, and no blackhole is left`,
    );
  },
});
