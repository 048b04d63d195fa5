import { imagesOf } from '../../plan/images.ts';
import { block, defineCheck, pass, some } from '../define.ts';

type Facts = { found: string[] };

/** DaemonSets that write themselves into the first conf of a node, by the name of an image or of themselves. */
const chained: { name: string; image: RegExp }[] = [
  { name: 'Multus', image: /multus/ },
  { name: 'Istio CNI', image: /istio\/install-cni|install-cni.*istio|istio-cni/ },
  { name: 'Linkerd CNI', image: /linkerd\/cni-plugin|linkerd-cni/ },
  { name: 'Kuma CNI', image: /kuma-cni/ },
  { name: 'Spiderpool', image: /spiderpool|spiderdoctor/ },
  { name: 'AWS VPC CNI chaining', image: /amazon-k8s-cni/ },
];

/**
 * No plugin hangs in the conf of the old network: it lives in that file, and the new network's file comes before it, so
 * meshes would lose their redirection and pods their other interfaces without an error (§3.21 of the migration facts).
 */
export const chainedPlugins = defineCheck<Facts>({
  id: 'chained-plugins',
  layer: 'cluster',
  title: 'No plugin is chained to the old network',
  scope: 'cluster',
  ask: async ({ all }) => {
    const daemonSets = await all({ apiVersion: 'apps/v1', kind: 'DaemonSet' });
    return {
      found: daemonSets.flatMap((daemonSet) => {
        const match = chained.find(({ image }) => imagesOf(daemonSet).some((each) => image.test(each)));
        return match === undefined
          ? []
          : [`${match.name} (${daemonSet.metadata.namespace}/${daemonSet.metadata.name})`];
      }),
    };
  },
  judge: ({ found }) =>
    found.length > 0
      ? block(`plugins are chained into the conf of the old network: ${some(found)}`, {
          remedy:
            'take the plugin out first and put it back when the migration is over, or chain it into the conf of the bundle, too',
        })
      : pass('no DaemonSet chains a plugin of its own into the conf of the network'),
});
