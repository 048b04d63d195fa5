import { conditionsOf } from '../../probe/pods.ts';
import { block, defineCheck, pass, some } from '../define.ts';
import { taints } from '../names.ts';
import { calicoLeftoversOf } from './leftovers.ts';

type Facts = { node: string; left: string[] };

/**
 * Nothing of Calico is left on a node that went back: links, routes of Felix and its blackholes, every rule that matches
 * `cali[-:]` (two carry the name only in a comment, §0a.3 of the migration facts), ipsets, conf; and the node's condition
 * and taint, which calico-node may set when it goes (calico #7816).
 */
export const residueCalico = defineCheck<Facts>({
  id: 'residue-calico',
  layer: 'residue',
  title: 'Calico left nothing behind',
  scope: 'node',
  ask: async ({ inspect, nodeObject }, { name }) => {
    const [state, node] = await Promise.all([inspect(name), nodeObject(name)]);
    const unavailable = conditionsOf(node).some(
      ({ type, status }) => type === 'NetworkUnavailable' && status === 'True',
    );
    const tainted: { key: string }[] = node['spec']?.taints ?? [];
    return {
      node: name,
      left: [
        ...calicoLeftoversOf(state),
        ...(unavailable ? ['condition NetworkUnavailable'] : []),
        ...tainted.filter(({ key }) => key === taints.networkUnavailable).map(({ key }) => `taint ${key}`),
      ],
    };
  },
  judge: ({ node, left }) =>
    left.length === 0
      ? pass(`${node} has no link, route, rule, ipset or conf of Calico`)
      : block(`Calico left ${left.length} things on ${node}: ${some(left, 5)}`, {
          remedy: `no calico-node may run on ${node}; then roll the node back again, or remove by hand what is named; a reboot clears all but files`,
        }),
});
