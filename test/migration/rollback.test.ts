import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { install, nodesOf } from '../support/cutover.ts';
import { foundOn } from '../support/found.ts';
import { until } from '../support/until.ts';

let cutover: Awaited<ReturnType<typeof install>>;
let before: unknown;
beforeEach(async () => {
  cutover = await install('three-nodes');
  await cutover.simulation.settled();
  before = foundOn(cutover.simulation);
});
afterEach(() => cutover.stop());

describe('rolled back through the command line', () => {
  it('a whole migration leaves every node and the cluster as they were found', async () => {
    await cutover.launch();
    await cutover.reach('at-gate');

    const { code, stderr } = await cutover.cutover('rollback', '--all', '--yes', '--reason', 'policy hazard');
    expect(stderr).not.toContain('error');
    expect(code).toBe(0);

    await cutover.reach('rolled-back');
    const { store } = cutover.simulation;
    await cutover.simulation.settled();
    expect(foundOn(cutover.simulation)).toEqual(before);
    expect(store.list('namespaces').map(({ metadata }) => metadata.name)).not.toContain('cutover-probe');
    expect(store.list('customresourcedefinitions.apiextensions.k8s.io')).toEqual([]);
    expect(store.get('daemonsets.apps', 'kube-system', 'calico-node')).toBeUndefined();
    expect(cutover.simulation.traffic().bystanders.lost).toBe(0);
  }, 240_000);

  it('keeps cordoned what a person had cordoned', async () => {
    cutover.simulation.store.mutate('nodes', undefined, 'worker-1', (node) => void (node['spec'].unschedulable = true));

    await cutover.launch((yaml) => `${yaml}    - { id: nodes-ready, reason: somebody works on worker-1 }\n`);
    const view = await cutover.reach('at-gate');

    const migrated = nodesOf(view).find(({ state }) => state === 'migrated')!.name;
    const cordoned = cutover.simulation.store
      .list('nodes')
      .filter(({ spec }) => spec.unschedulable === true)
      .map(({ metadata }) => metadata.name);
    expect(cordoned).toEqual(['worker-1']);
    await cutover.cutover('abort', '--mode', 'hold', '--yes', '--reason', 'seen enough');
    await cutover.reach('aborted');
    expect(cutover.simulation.store.get('nodes', undefined, migrated)!.metadata.labels).toMatchObject({
      'projectcalico.org/node-network-during-migration': 'calico',
    });
  }, 240_000);
});

describe('a node that cannot be migrated', () => {
  it.each([
    ['a budget that never yields', { name: 'pdb-never-yields' }, /budget/],
    ['SSH that is refused', { name: 'ssh-refused', nodes: ['worker-2'] }, /worker-2/],
    ['a changed host key', { name: 'host-key-changed', nodes: ['worker-2'] }, /host key/],
  ])(
    'because of %s waits for a person, is in service, says why, and goes on when that person retries',
    async (_title, fault, sentence) => {
      await cutover.launch((yaml) =>
        yaml
          .replace('timeout: 60s', 'timeout: 3s')
          .replace('nodes: 1', 'nodes: [worker-1]')
          .replace('nodeAttempts: 2', 'nodeAttempts: 1'),
      );
      await cutover.reach('at-gate');
      cutover.simulation.inject(fault);
      await cutover.cutover('approve', 'after-canary', '--as', 'ben', '--yes');

      let view = await cutover.status();
      const waits = await until(
        async () => nodesOf((view = await cutover.status())).find(({ state }) => state === 'waiting'),
        'a node waits',
        120_000,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}; ${view.state}: ${view.pause?.reason ?? view.message}`);
      });

      expect(waits.message).toMatch(sentence);
      expect((await cutover.cutover('why', waits.name)).stdout).toMatch(sentence);
      expect(cutover.simulation.store.get('nodes', undefined, waits.name)!['spec'].unschedulable ?? false).toBe(false);
      cutover.simulation.clearFaults();
      expect(await cutover.cutover('retry', waits.name, '--reason', 'mended')).toMatchObject({ code: 0 });
      await cutover.reach('completed');
    },
    300_000,
  );
});
