import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cases } from '../../checks/cases.ts';
import { probe } from '../../checks/probe.ts';
import {
  inspectThrough,
  planNodes,
  runCase,
  sshTo,
  startProbes,
  type CheckRow,
  type CheckTarget,
} from '../../checks/target.ts';
import { until } from '../../support/until.ts';
import { keepResult } from '../results.ts';
import { running } from '../settings.ts';
import { damageNode } from './damages.ts';
import { whatIsFound } from './found.ts';
import { nodeNames, startLab, type Lab } from './harness.ts';

let lab: Lab;
let target: CheckTarget;
let before: Record<string, unknown>;
const rows: CheckRow[] = [];

beforeAll(async () => {
  lab = await startLab();
  before = await whatIsFound(lab);
  target = await labTarget();
}, 300_000);
afterAll(async () => {
  keepResult({ scenario: 'checks', at: new Date().toISOString(), checks: rows });
  await removeProbes();
  await target.stop();
  await lab.stop();
}, 120_000);

/** The lab, asked and broken through SSH, and through its namespaces where SSH itself is broken. */
async function labTarget(): Promise<CheckTarget> {
  const { kubernetes } = lab;
  const nodes = sshTo(running);
  const planned = await planNodes(kubernetes, nodes);
  await startProbes(kubernetes, planned);
  return {
    kubernetes,
    sshConfig: running.sshConfig,
    planned,
    patienceMs: 10_000,
    damage: (name, node) =>
      damageNode(lab, name, { node, kubernetes, planned, inspect: (each) => inspectThrough(nodes, each) }),
    stop: () => nodes.close(),
  };
}

const removeProbes = async (): Promise<void> => {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', name: probe.namespace };
  await lab.kubernetes.delete(namespace);
  await until(async () => (await lab.kubernetes.get(namespace)) === undefined, 'the probes are gone', 90_000);
};

describe('against a real cluster', () => {
  it.each(cases)('$name', (one) => runCase(target, one, (found) => rows.push(...found)), 240_000);

  it('was left as it was found, whatever was broken', async () => {
    const after = await whatIsFound(lab);

    for (const node of nodeNames) expect(after[node], node).toEqual(before[node]);
  });
});
