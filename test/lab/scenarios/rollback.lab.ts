import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodesOf } from '../../support/cutover.ts';
import { keepResult } from '../results.ts';
import { whatIsFound } from './found.ts';
import { calicoResidue, labPlan, nodeNames, ownResidue, startLab, stepTimes, type Lab } from './harness.ts';

let lab: Lab;
let before: Record<string, unknown>;
beforeAll(async () => {
  lab = await startLab();
  before = await whatIsFound(lab);
}, 300_000);
afterAll(() => lab?.stop());

/** The canary that the plan picks is the node that goes there and back. */
describe('one node of a real cluster goes to Calico, back to Flannel, and to Calico again', () => {
  it('comes back as it was found, without a packet lost between the others', async () => {
    const recorder = await lab.record();
    await lab.launch(labPlan);
    await lab.reach('at-gate', 400_000);

    expect(await lab.cutover('rollback', '--wave', 'canary', '--yes', '--reason', 'to see it')).toMatchObject({
      code: 0,
    });
    const view = await lab.reach('paused', 400_000);
    expect(nodesOf(view).find(({ name }) => name === 'worker-1')).toMatchObject({ state: 'rolled-back' });
    const residue = calicoResidue(await lab.inspect('worker-1'));
    expect(residue).toEqual([]);

    expect(await lab.cutover('resume', '--reason', 'forward again')).toMatchObject({ code: 0 });
    await lab.reach('at-gate', 400_000);
    const judged = await lab.judge(recorder);
    const history = await lab.history('worker-1');
    keepResult({ scenario: 'rollback', judged, residue, steps: stepTimes(history) });

    expect(judged.starved, JSON.stringify(judged.canary)).toBe(false);
    expect(judged.bystanders).toMatchObject({ lost: 0 });
    expect(judged.moved).toMatchObject({ lost: 0 });
  }, 900_000);

  it('is with the whole cluster as found after `rollback --all`: confs, links, routes, rules, labels, taints, conditions, cordon', async () => {
    expect(await lab.cutover('rollback', '--all', '--yes', '--reason', 'not today')).toMatchObject({ code: 0 });
    await lab.reach('rolled-back', 400_000);

    const after = await whatIsFound(lab);
    for (const node of nodeNames) expect(after[node], node).toEqual(before[node]);
    const states = await Promise.all(nodeNames.map((node) => lab.inspect(node)));
    expect(states.flatMap((state) => [...calicoResidue(state), ...ownResidue(state)])).toEqual([]);
    const kinds = await lab.kubernetes.list({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
    });
    expect(kinds).toEqual([]);
    expect(await lab.kubernetes.get({ apiVersion: 'v1', kind: 'Namespace', name: 'cutover-probe' })).toBeUndefined();
  }, 900_000);
});
