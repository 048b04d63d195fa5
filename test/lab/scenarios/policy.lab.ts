import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { observePolicies } from '../../../src/policy/observe.ts';
import type { PolicyReport } from '../../../src/policy/report.ts';
import { keepResult } from '../results.ts';
import { awaitThat } from '../run.ts';
import { oneWave, startLab, type Lab } from './harness.ts';
import { asked, cells, compared, policyNamespaces, policyObjects, workloads, type Compared } from './policy-cells.ts';
import { dormant, policySets } from './policy-sets.ts';

let lab: Lab;
const results: (Compared & { name: string })[] = [];
const notes: string[] = [];
beforeAll(async () => {
  lab = await startLab();
  for (const object of policyObjects()) await lab.kubernetes.apply(object);
  await ready();
}, 300_000);
afterAll(async () => {
  keepResult({
    scenario: 'policy',
    at: new Date().toISOString(),
    notes: [
      ...notes,
      ...results.map(
        ({ name, cells: all, cut, differences }) =>
          `${name}: ${all} cells, ${cut} cut, ${differences.length === 0 ? 'all as the evaluator says' : `${differences.length} DIFFER: ${differences.slice(0, 3).join(' | ')}`}`,
      ),
    ],
  });
  await lab?.stop();
});

/** One pod for each workload, Ready and not on its way out. */
const ready = () =>
  awaitThat('the pods of the test are Ready', 120_000, async () => {
    const pods = (
      await Promise.all(
        policyNamespaces.map((namespace) => lab.kubernetes.list({ apiVersion: 'v1', kind: 'Pod' }, { namespace })),
      )
    ).flat();
    const isReady = ({ metadata, status }: (typeof pods)[number]) =>
      metadata.deletionTimestamp === undefined &&
      (status?.conditions ?? []).some(
        ({ type, status: is }: { type: string; status: string }) => type === 'Ready' && is === 'True',
      );
    return pods.length === workloads.length + 1 && pods.every(isReady);
  });

/** The report before anything is changed, against what the users will see after it. */
describe('policies that were dormant under Flannel', () => {
  let report: PolicyReport;
  const flows = join(mkdtempSync(join(tmpdir(), 'cutover-flows-')), 'flows.yaml');

  it('do nothing: every question is answered', async () => {
    for (const object of dormant) await lab.kubernetes.apply(object);

    const cluster = await observePolicies(lab.kubernetes);
    // A pod that is Ready is an endpoint of its Service on every node only a moment later.
    await awaitThat('every question is answered', 30_000, async () =>
      [...(await asked(lab.kubernetes, cluster)).values()].every((delivered) => delivered),
    );
  });

  it('are reported, cell by cell, from flows that are declared and from those that nodes have seen', async () => {
    writeFileSync(
      flows,
      `flows:\n${cells
        .map(({ from, to, port }) => {
          const [protocol, number] = port === 'service' ? ['TCP', '80'] : port.split('/');
          return `  - { from: ${from}, to: ${to}, port: ${number}, protocol: ${protocol} }\n`;
        })
        .join('')}`,
    );
    const { hash } = await lab.json<{ hash: string }>('plan', '-f', lab.planFile(oneWave));

    const seen = await lab.json<PolicyReport>('policy', 'report', hash);
    report = await lab.json<PolicyReport>('policy', 'report', hash, '--flows', flows, '--matrix');

    const ofConntrack = seen.flows.find(({ source }) => source === 'conntrack');
    notes.push(`conntrack gave ${ofConntrack?.judged} flows, ${ofConntrack?.cut} of them would be cut`);
    expect(seen.gaps).toEqual([]);
    expect(ofConntrack?.cut).toBeGreaterThan(0);
    expect(report.hazards.filter(({ severity }) => severity === 'block').length).toBeGreaterThan(0);
    expect((await lab.cutover('preflight', hash)).code).toBe(1);
  }, 120_000);

  it('cut, once the cluster runs Calico, exactly what the report said', async () => {
    const blocking = report.hazards.filter(({ severity }) => severity === 'block');
    const acknowledge = blocking
      .map(({ id }) => `    - { id: policy-hazards/${id}, reason: it is what this test is about }\n`)
      .join('');
    // The plan ends with what it acknowledges.
    const plan = (yaml: string) => `${oneWave(yaml)}${acknowledge}  policies: { flows: ${flows} }\n`;
    await lab.launch(plan);
    await lab.reach('completed', 600_000);
    await ready();

    const result = await compared(lab.kubernetes);
    results.push({ name: 'dormant policies after the migration', ...result });
    expect(result.differences).toEqual([]);

    const answers = await asked(lab.kubernetes, await observePolicies(lab.kubernetes));
    const ofPods = cells.filter(({ from, port }) => from !== 'ops/host' && port !== 'service');
    const really = ofPods
      .filter(({ name }) => answers.get(name) === false)
      .map(({ from, to, port }) => `${from} ${to} ${port}`);
    const announced = (report.matrix ?? [])
      .filter(({ from, to, verdict }) => verdict === 'cut' && workloads.includes(from) && workloads.includes(to))
      .map(({ from, to, port }) => `${from} ${to} ${port}`);
    notes.push(
      `announced before the migration and cut after it: ${really.length} of ${ofPods.length} pairs of pods and ports`,
    );
    expect(really.toSorted()).toEqual(
      announced.filter((cell) => /(TCP\/8080|TCP\/9090|UDP\/8081)$/.test(cell)).toSorted(),
    );
    for (const { metadata, apiVersion, kind } of dormant)
      await lab.kubernetes.delete({ apiVersion, kind, ...metadata });
  }, 900_000);
});

describe('policies that Calico enforces', () => {
  it('none: everything is answered', async () => {
    const result = await compared(lab.kubernetes);

    results.push({ name: 'no policy', ...result });
    expect(result).toMatchObject({ differences: [], cut: 0 });
  }, 120_000);

  it.each(policySets)(
    '$name',
    async ({ name, objects }) => {
      for (const object of objects) await lab.kubernetes.apply(object);
      try {
        const result = await compared(lab.kubernetes);

        results.push({ name, ...result });
        expect(result.differences).toEqual([]);
        expect(result.cut).toBeGreaterThan(0);
      } finally {
        for (const { metadata, apiVersion, kind } of objects)
          await lab.kubernetes.delete({ apiVersion, kind, ...metadata });
      }
    },
    120_000,
  );
});
