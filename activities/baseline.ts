import { spreadOverZones } from '../src/probe/peers.ts';
import { count, texts } from './args.ts';
import { checksFailed } from './failures.ts';
import { inParallel } from './in-parallel.ts';
import { plannedNodes } from './plans.ts';
import type { Verb } from './types.ts';

/** So many nodes are asked, spread over zones: what is wrong with a network rarely shows on one node alone. */
const mostNodes = 12;
const atOnce = 6;

/**
 * `cluster.baseline { checks }`: asks the checks of a node on some nodes of the old network, before anything is changed. What
 * fails here would later be blamed on the migration, and its rollback would never pass.
 *
 * @throws CutoverError ChecksFailed
 */
export const baseline: Verb = async (context, input) => {
  const ids = texts(input, 'checks');
  const nodes = spreadOverZones(
    plannedNodes(context.stage).filter(({ adopted }) => !adopted),
    mostNodes,
  );
  let asked = 0;
  const checks = await context.waiting('checks', () =>
    inParallel(nodes, atOnce, async (node) => {
      const found = await context.check(ids, node);
      context.progress(`${++asked} of ${nodes.length} nodes asked`);
      return found;
    }),
  );
  const results = checks.flat();
  const failed = checksFailed(results);
  if (failed) throw Object.assign(failed, { checks: results });
  return {
    changed: false,
    summary: `${count(results.length, 'check')} passed on ${count(nodes.length, 'node')}`,
    evidence: { nodes: nodes.map(({ name }) => name), checks: ids },
  };
};
