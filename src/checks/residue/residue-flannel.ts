import { block, defineCheck, pass, some } from '../define.ts';
import { flannelLeftovers } from './leftovers.ts';

type Facts = { node: string; left: string[] };

/**
 * Nothing of Flannel works on in a migrated node: links, rules in both backends, nft tables, leases, routes. Its conf,
 * subnet.env and plugin stay on purpose until the end. flanneld leaves its chains behind when it stops (flannel #2239).
 */
export const residueFlannel = defineCheck<Facts>({
  id: 'residue-flannel',
  layer: 'residue',
  title: 'Flannel left nothing that works on',
  scope: 'node',
  ask: async ({ inspect }, { name }) => ({ node: name, left: flannelLeftovers(await inspect(name)) }),
  judge: ({ node, left }) =>
    left.length === 0
      ? pass(`${node} has no link, rule, table, lease or route of Flannel`)
      : block(`Flannel left ${left.length} things on ${node}: ${some(left, 5)}`, {
          remedy: `no Flannel pod may run on ${node}; then \`cutover retry ${node}\` cleans again, or remove by hand what is named`,
        }),
});
