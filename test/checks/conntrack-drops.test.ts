import { expect, it } from 'vitest';
import { runChecks } from '../../src/checks/run.ts';
import { contextFor } from './doubles.ts';

it.each([
  ['nothing since', 7, 7, 'pass', 'connection tracking of worker-1 refused nothing since its snapshot'],
  ['some since', 7, 19, 'warn', 'connection tracking of worker-1 refused 12 packets since its snapshot'],
  ['some since a restart', 7, 2, 'warn', 'connection tracking of worker-1 refused 2 packets since its snapshot'],
  ['nobody counted before', undefined, 7, 'pass', expect.stringContaining('nobody counted before')],
  ['the node cannot say', 7, -1, 'pass', 'worker-1 does not say what its connection tracking refused'],
])('says what connection tracking refused while a node moved: %s', async (_, before, now, verdict, message) => {
  const cluster = { nodes: [{ name: 'worker-1', state: { conntrackDrops: now } }] };
  const { context } = contextFor(cluster, { at: 'worker-1', conntrackDropsBefore: () => before });

  const [result] = await runChecks(['conntrack-drops'], context);

  expect(result).toMatchObject({ verdict, message });
});
