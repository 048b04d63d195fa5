import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { AuditRecord } from '../../src/store/types.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { install, nodesOf, oneWave } from '../support/cutover.ts';
import { until } from '../support/until.ts';

let cutover: Awaited<ReturnType<typeof install>>;
afterEach(() => cutover.stop());

const records = async (): Promise<AuditRecord[]> =>
  (await cutover.json<{ items: AuditRecord[] }>('audit', 'list')).items;

/**
 * Kills the worker the moment that step has begun on a node other than these, and answers that node. The database is read
 * directly: a step takes a tenth of a second, and a command of its own would come too late.
 */
async function killDuring(step: string, except: string[]): Promise<string> {
  const store = openStore(join(cutover.home, 'cutover.db'));
  const worker = cutover.pidOf('worker');
  try {
    for (const end = Date.now() + 180_000; ;) {
      const last = store.records({ kind: ['step.began', 'step.ended'] }).at(-1);
      if (
        last?.kind === 'step.began' &&
        last.step === step &&
        last.direction === 'forward' &&
        last.node &&
        !except.includes(last.node)
      ) {
        process.kill(worker, 'SIGKILL');
        return last.node;
      }
      if (Date.now() > end) throw new Error(`no node came to ${step}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  } finally {
    store.close();
  }
}

describe('the worker killed with SIGKILL', () => {
  it('while pods are evicted, behind the fence, and during the swap: the next worker goes on and no bystander loses a packet', async () => {
    // Slower than the default, so that a step is still under way when it was seen.
    cutover = await install('three-nodes', { speed: 4 });
    await cutover.launch(oneWave);

    const killed: { node: string; step: string }[] = [];
    for (const step of ['evict', 'fence', 'swap']) {
      const worker = cutover.pidOf('worker');
      const node = await killDuring(
        step,
        killed.map((one) => one.node),
      );
      killed.push({ node, step });
      await until(
        () => cutover.pidOf('worker') > 0 && cutover.pidOf('worker') !== worker,
        'another worker runs',
        60_000,
      );
    }

    const view = await cutover.reach('completed', 240_000);
    expect(nodesOf(view).map(({ state }) => state)).toEqual(['migrated', 'migrated', 'migrated', 'migrated']);
    // A lost worker is no failure of the node.
    expect(view.failures).toBe(0);
    const all = await records();
    for (const { node, step } of killed) {
      const of = (kind: string) =>
        all.filter((record) => record.node === node && record.step === step && record.kind === kind);
      // Both attempts began on the record; the first has no end, because its worker had none.
      expect([of('step.began').length, of('step.ended').length], `${step} of ${node}`).toEqual([2, 1]);
    }
    expect(cutover.simulation.traffic().bystanders.lost).toBe(0);
    expect(await cutover.cutover('audit', 'verify')).toMatchObject({ code: 0 });
  }, 420_000);
});
