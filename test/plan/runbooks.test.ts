import { expect, it } from 'vitest';
import { bgpSettings } from '../../src/plan/bgp.ts';
import type { Step } from '../../src/plan/types.ts';
import { routes } from '../../src/routes/index.ts';

/** Those that run a program on the node which changes it: each of them fences the ones before (AttemptFenced). */
const changesTheNode = new Set([
  'node.snapshot',
  'node.armRevert',
  'node.disarmRevert',
  'node.purge',
  'node.fence',
  'node.unfence',
  'node.startKubelet',
  'node.startAgent',
  'node.cleanCalico',
  'node.settle',
]);
const settings = {
  drain: { timeoutSeconds: 600, retrySeconds: 1, deleteEmptyDirData: false, force: false },
  strategy: {
    maxUnavailable: 1,
    maxUnavailablePerZone: 1,
    failureBudget: 1,
    onFailure: 'rollback' as const,
    nodeAttempts: 2,
    nodeSoakSeconds: 60,
  },
  bgp: bgpSettings(undefined, [], 0),
};

it.each(routes)('$id changes a node by one step at a time, whatever runs alongside', (route) => {
  const groups: Step[][] = [];
  for (const step of route.runbook(settings).node) {
    const last = groups.at(-1);
    if (step.alongside && last) last.push(step);
    else groups.push([step]);
  }

  for (const group of groups)
    expect(group.filter(({ verb }) => changesTheNode.has(verb)).length, group.map(({ id }) => id).join()).toBeLessThan(
      2,
    );
});

it.each(routes)('$id says alongside of no cluster step, and of no first step of a node', (route) => {
  const { prepare, node, finalize } = route.runbook(settings);

  expect([...prepare, ...finalize, ...node.slice(0, 1)].filter(({ alongside }) => alongside)).toEqual([]);
});
