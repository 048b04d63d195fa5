import { afterEach, describe, expect, it } from 'vitest';
import type { AuditRecord } from '../../src/store/types.ts';
import { install, nodesOf, type Installation } from '../support/cutover.ts';
import { until } from '../support/until.ts';

let cutover: Installation;
afterEach(() => cutover.stop());

const oneWave = (yaml: string): string =>
  yaml.replace(/ {4}waves:[\s\S]*?nodes: rest\n/, '    waves:\n      - name: all\n        nodes: rest\n');
const records = async (): Promise<AuditRecord[]> =>
  (await cutover.json<{ items: AuditRecord[] }>('audit', 'list')).items;

/** Resolves when that step has begun on any node and not ended. */
const during = (step: string): Promise<string> =>
  until(
    async () => {
      const all = (await records()).filter((record) => record.step === step && record.direction === 'forward');
      const begun = all.findLast(({ kind }) => kind === 'step.began');
      return begun &&
        !all.some(({ kind, node, seq }) => kind === 'step.ended' && node === begun.node && seq > begun.seq)
        ? begun.node
        : undefined;
    },
    `a node is at ${step}`,
    120_000,
  );

describe('the worker killed with SIGKILL', () => {
  it.each(['evict', 'fence', 'swap'])(
    'while a node is at %s: the next worker goes on, no bystander loses a packet, nothing is done to a node twice at once',
    async (step) => {
      // Slower than the default, so that a step is still under way when it was seen.
      cutover = await install('three-nodes', { speed: 3 });
      await cutover.launch(oneWave);
      const node = await during(step);
      const first = cutover.pidOf('worker');

      process.kill(first, 'SIGKILL');

      const view = await cutover.reach('completed', 240_000);
      expect(cutover.pidOf('worker')).not.toBe(first);
      expect(nodesOf(view).map(({ state }) => state)).toEqual(['migrated', 'migrated', 'migrated', 'migrated']);
      expect(view.failures).toBe(0);
      const all = await records();
      const tries = all.filter(
        (record) =>
          record.node === node &&
          record.step === step &&
          record.kind === 'step.began' &&
          record.direction === 'forward',
      );
      expect(tries.map(({ attempt }) => attempt)).toEqual([1, 2]);
      // Both attempts are on the record; the first has no end, because its worker had none.
      expect(
        all.filter((record) => record.node === node && record.step === step && record.kind === 'step.ended'),
      ).toHaveLength(1);
      expect(cutover.simulation.traffic().bystanders.lost).toBe(0);
      expect(await cutover.cutover('audit', 'verify')).toMatchObject({ code: 0 });
    },
    300_000,
  );
});
