import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NodeState } from '../../src/node/types.ts';
import type { GateView, NodeHistory } from '../../src/store/views.ts';
import { install, nodesOf, runCutover } from '../support/cutover.ts';

let it_: Awaited<ReturnType<typeof install>>;
let before: unknown;
/** What a person may have set on a node: all of it has to be as it was found. */
const nodesAsSeen = () =>
  it_.simulation.store.list('nodes').map(({ metadata: { name, labels }, spec }) => ({
    name,
    labels,
    taints: spec.taints,
    unschedulable: spec.unschedulable,
  }));
beforeAll(async () => {
  it_ = await install('three-nodes');
  before = nodesAsSeen();
});
afterAll(() => it_.stop());

const evidenceOf = async (gate: string): Promise<string> => (await it_.json<GateView>('gates', gate)).evidence.digest;

/** One migration from the first command to the last, with a node that fails on the way; each test is one chapter. */
describe('a migration through the command line', () => {
  it('refuses to launch what was never compiled', async () => {
    const { code, stderr } = await it_.cutover('launch', 'abcdef');

    expect(code).toBe(1);
    expect(stderr).toMatch(/abcdef/);
  });

  it('starts, and holds the lock of its cluster against a second one', async () => {
    // Its new network fails the checks once: UDP 8472 is dropped as soon as Calico has the node.
    it_.simulation.inject({ name: 'vxlan-blocked', nodes: ['worker-2'], times: 1 });
    await it_.launch();

    const { hash } = await it_.json<{ hash: string }>(
      'plan',
      '-f',
      it_.planFile((yaml) => yaml.replace('name: test', 'name: other')),
    );
    const { code, stderr } = await it_.cutover('launch', hash);

    expect(code).toBe(1);
    expect(stderr).toMatch(/test-[0-9a-f]{6} is under way on this cluster/);
  });

  it('waits at the gate, and refuses the wrong decisions with one sentence each', async () => {
    await it_.reach('at-gate');
    const evidence = `sha256:${await evidenceOf('after-canary')}`;
    const approve = (as: string, gate = 'after-canary', digest = evidence) =>
      it_.cutover('approve', gate, '--as', as, '--evidence', digest, '--reason', 'seen');

    const refused = [
      await approve('ana'),
      await approve('ben', 'after-nothing'),
      await approve('ben', 'after-canary', `sha256:${'0'.repeat(64)}`),
    ];

    expect(refused.map(({ code }) => code)).toEqual([1, 1, 1]);
    expect(refused.map(({ stderr }) => stderr.split('\n')[0])).toEqual([
      'error: ana launched this migration and may not approve gate after-canary',
      expect.stringMatching(/after-nothing/),
      expect.stringMatching(/evidence of gate after-canary is now/),
    ]);
    expect(await approve('ben')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('gate/after-canary approved'),
    });
    expect(await approve('cleo')).toMatchObject({ code: 1 });
  });

  it('takes a node back by itself when its new network fails, and passes at the second try', async () => {
    const view = await it_.reach('completed');

    expect(nodesOf(view).map(({ name, state }) => `${name} ${state}`)).toEqual([
      'worker-1 migrated',
      'worker-2 migrated',
      'worker-3 migrated',
      'control-plane-1 migrated',
    ]);
    const { entries } = await it_.json<NodeHistory>('history', 'worker-2');
    const failed = entries.filter(({ outcome }) => outcome === 'failed').map(({ title }) => title);
    expect(failed).toContain('Ask the new network');
    expect(entries.some(({ direction }) => direction === 'back')).toBe(true);
    expect(view.failures).toBe(1);
  }, 240_000);

  it('lost no packet of pods that did not move', () => {
    const { bystanders } = it_.simulation.traffic();

    expect(bystanders.sent).toBeGreaterThan(10_000);
    expect(bystanders.lost).toBe(0);
  });

  it('left nothing of Flannel on any node, and nothing of its own', () => {
    const left = [...it_.simulation.nodes.values()].flatMap((node) => {
      const { links, confs, rules, leases, flannelBinary, revertArmed, snapshot } = node.state() as NodeState;
      return [
        ...links.filter(({ name }) => name === 'flannel.1' || name === 'cni0').map(({ name }) => name),
        ...confs.filter(({ network }) => network !== 'k8s-pod-network').map(({ name }) => name),
        ...rules.filter(({ flannel }) => flannel > 0).map(({ backend }) => backend),
        ...leases,
        ...(flannelBinary ? ['binary'] : []),
        ...(revertArmed ? ['dead-man switch'] : []),
        ...(snapshot ? ['snapshot'] : []),
      ].map((what) => `${node.name}: ${what}`);
    });
    const marks = it_.simulation.store
      .list('nodes')
      .flatMap(({ metadata }) => Object.keys(metadata.annotations ?? {}).filter((key) => /cutover|flannel/.test(key)));
    const namespaces = it_.simulation.store.list('namespaces').map(({ metadata }) => metadata.name);

    expect(left).toEqual([]);
    expect(marks).toEqual([]);
    expect(nodesAsSeen()).toEqual(before);
    expect(namespaces).not.toContain('cutover-probe');
  });

  it('keeps a whole record, and finds one that was edited or cut short', async () => {
    expect(await it_.cutover('audit', 'verify')).toMatchObject({ code: 0, stdout: expect.stringContaining('whole') });

    for (const tamper of [
      "UPDATE records SET body = replace(body, 'ben', 'eve')",
      'DELETE FROM records WHERE seq > 20',
    ]) {
      const copy = join(it_.home, `copy-${tamper.slice(0, 6)}.db`);
      const source = new DatabaseSync(join(it_.home, 'cutover.db'));
      source.exec(`VACUUM INTO '${copy}'`);
      source.close();
      copyFileSync(join(it_.home, 'cutover.db.head'), `${copy}.head`);
      const database = new DatabaseSync(copy);
      for (const { name } of database.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").all())
        database.exec(`DROP TRIGGER ${String(name)}`);
      database.exec(tamper);
      database.close();

      const { code, stderr, stdout } = await it_.cutover('audit', 'verify', '--database', copy);

      expect({ code, said: stdout + stderr }).toMatchObject({ code: 1, said: expect.stringMatching(/record/) });
    }
  });

  it('refuses what comes too late', async () => {
    expect(await it_.cutover('pause')).toMatchObject({ code: 1, stderr: expect.stringMatching(/has ended/) });
    expect(await it_.cutover('approve', 'after-canary', '--as', 'ben', '--yes')).toMatchObject({ code: 1 });
  });

  it('says where it looked when the server is down', async () => {
    const { code, stderr } = await runCutover(['status'], { ...it_.env, CUTOVER_SERVER: 'http://127.0.0.1:9' });

    expect(code).toBe(1);
    expect(stderr).toMatch(/no Cutover server answers at http:\/\/127\.0\.0\.1:9/);
  });
});
