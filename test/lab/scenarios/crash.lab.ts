import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../../src/store/sqlite.ts';
import { nodesOf } from '../../support/cutover.ts';
import { until } from '../../support/until.ts';
import { bootNode, cutPower } from '../cluster/node.ts';
import { keepResult } from '../results.ts';
import { nodeNamed } from '../settings.ts';
import { flannelResidue, nodeNames, oneWave, startLab, stepTimes, type Lab } from './harness.ts';

let lab: Lab;
beforeEach(async () => {
  lab = await startLab();
}, 300_000);
afterEach(() => lab?.stop());

/** Acts the moment a step has begun on a node that was not hit yet. The database is read directly: a command would be too late. */
async function during(step: string, except: string[], act: (node: string) => Promise<void> | void): Promise<string> {
  const store = openStore(join(lab.home, 'cutover.db'));
  try {
    const hit = await until(
      () => {
        const last = store.records({ kind: ['step.began', 'step.ended'] }).at(-1);
        const fits = last?.kind === 'step.began' && last.step === step && last.direction === 'forward';
        return fits && last.node && !except.includes(last.node) ? last.node : undefined;
      },
      `a node comes to ${step}`,
      300_000,
    );
    await act(hit);
    return hit;
  } finally {
    store.close();
  }
}

describe('on a real cluster', () => {
  it('the worker killed with SIGKILL while pods are evicted, and behind the fence: the next one goes on', async () => {
    const recorder = await lab.record();
    await lab.launch(oneWave);
    const hit: string[] = [];
    for (const step of ['evict', 'fence']) {
      const worker = lab.pidOf('worker');
      hit.push(await during(step, hit, () => void process.kill(worker, 'SIGKILL')));
      await until(() => lab.pidOf('worker') > 0 && lab.pidOf('worker') !== worker, 'another worker runs', 60_000);
    }
    const view = await lab.reach('completed', 600_000);
    const judged = await lab.judge(recorder);
    keepResult({
      scenario: 'worker killed',
      judged,
      steps: (await Promise.all(nodeNames.map((node) => lab.history(node)))).flatMap(stepTimes),
      notes: [`killed during evict of ${hit[0]} and during fence of ${hit[1]}`],
    });

    expect(nodesOf(view).map(({ state }) => state)).toEqual(nodeNames.map(() => 'migrated'));
    expect(view.failures).toBe(0);
    expect(judged.starved, JSON.stringify(judged.canary)).toBe(false);
    expect(judged.bystanders).toMatchObject({ lost: 0 });
    const states = await Promise.all(nodeNames.map((node) => lab.inspect(node)));
    expect(states.flatMap(flannelResidue)).toEqual([]);
    expect(await lab.cutover('audit', 'verify')).toMatchObject({ code: 0 });
  }, 1_200_000);

  it('a node whose power is cut between fence and probe comes back, and the migration ends well', async () => {
    const recorder = await lab.record();
    await lab.launch(oneWave);
    let cutAt = '';
    const node = await during('swap', [], async (name) => {
      cutAt = new Date().toISOString();
      await cutPower(nodeNamed(name));
    });
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await bootNode(nodeNamed(node));
    const view = await lab.reach('completed', 900_000);
    const judged = await lab.judge(recorder, [{ node, at: cutAt }]);
    keepResult({
      scenario: 'power cut',
      judged,
      steps: stepTimes(await lab.history(node)),
      notes: [`the power of ${node} was cut while Calico's agent started`],
    });

    expect(nodesOf(view).map(({ state }) => state)).toEqual(nodeNames.map(() => 'migrated'));
    // The switch came back with the node: no step had to arm it again.
    expect(JSON.stringify(await lab.history(node))).not.toContain('is armed anew');
    expect(judged.starved, JSON.stringify(judged.canary)).toBe(false);
    expect(judged.bystanders).toMatchObject({ lost: 0 });
    const states = await Promise.all(nodeNames.map((name) => lab.inspect(name)));
    expect(states.flatMap(flannelResidue)).toEqual([]);
  }, 1_500_000);
});
