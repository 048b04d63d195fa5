import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startSimulation } from '../../src/simulator/simulate.ts';
import type { Simulation } from '../../src/simulator/types.ts';
import { openStore } from '../../src/store/sqlite.ts';
import type { AuditRecord } from '../../src/store/types.ts';
import { installBeside, nodesOf, oneWave, type Installation } from '../support/cutover.ts';
import { until } from '../support/until.ts';

let simulation: Simulation;
let installations: Installation[];
beforeEach(async () => {
  simulation = await startSimulation('three-nodes');
  await simulation.settled();
  installations = [];
});
afterEach(async () => {
  for (const each of installations) await each.stop();
  await simulation.stop();
});

async function installAs(person: string, home?: string): Promise<Installation> {
  const installation = await installBeside(simulation, home);
  installation.env['CUTOVER_ACTOR'] = person;
  installations.push(installation);
  return installation;
}

const lease = () => simulation.store.get('leases.coordination.k8s.io', 'kube-system', 'cutover');
const holder = (): string => String(lease()?.['spec'].holderIdentity ?? '');
const records = async ({ json }: Installation): Promise<AuditRecord[]> =>
  (await json<{ items: AuditRecord[] }>('audit', 'list')).items;

function nameOf({ home }: Installation): string {
  const store = openStore(join(home, 'cutover.db'));
  try {
    return store.installation();
  } finally {
    store.close();
  }
}

describe('two installations of Cutover beside one cluster', () => {
  it('cannot migrate it at once: the second is told who does, since when, and how to take over a dead one', async () => {
    const [ana, eve] = await Promise.all([installAs('ana'), installAs('eve')]);
    await eve.json('plan', '-f', eve.planFile());
    // Of before the other began: a launch must not trust it.
    await eve.cutover('preflight');
    const id = await ana.launch();

    const refused = await eve.cutover('launch', '--reason', 'mine');
    const alive = await eve.cutover('launch', '--take-over', '--reason', 'mine');
    const unexplained = await eve.cutover('launch', '--take-over');

    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      new RegExp(
        `${id} of installation ${nameOf(ana)} \\(launched by ana\\) holds this cluster since .*Z, and last renewed`,
      ),
    );
    expect(refused.stderr).toContain('--take-over');
    expect(alive.code).toBe(1);
    expect(unexplained).toMatchObject({ code: 2, stderr: expect.stringContaining('needs a reason') });
    expect((await records(eve)).filter(({ kind }) => kind === 'migration.requested')).toEqual([]);
    expect(holder()).toBe(`${nameOf(ana)}/${id}`);

    await ana.reach('at-gate');
    expect(await ana.cutover('abort', '--mode', 'hold', '--yes', '--reason', 'enough')).toMatchObject({ code: 0 });
    await ana.reach('aborted');
    await until(() => holder() === '', 'the lease is given back');
  }, 300_000);

  it('the second takes over from a dead one, and the first stops when it comes back', async () => {
    const [ana, eve] = await Promise.all([installAs('ana'), installAs('eve')]);
    await eve.json('plan', '-f', eve.planFile(oneWave));
    const first = await ana.launch(oneWave);
    await ana.kill();
    installations = [eve];

    const taken = await eve.cutover('launch', '--take-over', '--reason', "ana's host burned down");

    expect(taken.code, taken.stderr).toBe(0);
    const back = await installAs('ana', ana.home);
    await until(async () => (await back.status()).pause !== null, 'the first stops', 120_000);
    const stopped = await back.status();
    expect(JSON.stringify(stopped)).toContain(
      `of installation ${nameOf(eve)} (launched by eve) took this cluster over`,
    );
    const done = await eve.reach('completed');
    expect(nodesOf(done).every(({ state }) => state === 'migrated')).toBe(true);
    expect((await back.status()).id).toBe(first);
    expect((await records(back)).filter(({ node }) => node !== undefined)).toEqual([]);
    expect(simulation.traffic().bystanders.lost).toBe(0);
    await until(() => holder() === '', 'the lease is given back');
    expect((await back.cutover('resume')).code).toBe(0);
    await until(
      async () => (await back.status()).pause?.reason.includes('has ended since') === true,
      'it stays stopped',
    );
  }, 600_000);
});
