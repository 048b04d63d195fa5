import { describe, expect, it } from 'vitest';
import type { TestContext } from 'vitest';
import * as fixtures from './fixtures.ts';
import { hasTool, openReal, realHost } from './real-host.ts';
import type { RealHost } from './real-host.ts';

const { confDir, token } = fixtures;
const arm = { migration: 'move-1', seconds: 900, old: 'flannel', token };
const own = '/var/lib/cutover/move-1';
const root = '"${CUTOVER_DIR%/var/lib/cutover}"';

/** What a machine in trouble does to the dead-man switch. The model knows no such trouble. */
describe.concurrent.each(['dash', 'busybox'] as const)('the dead-man switch in trouble, %s', (shell) => {
  const run = it.skipIf(realHost(shell).missing !== '');
  async function fenced({ onTestFinished }: TestContext): Promise<RealHost> {
    const node = await openReal({ ...fixtures.calicoResidue, files: fixtures.fenced, kubelet: 'inactive' }, shell);
    onTestFinished(() => node.close());
    return node;
  }
  async function armed(test: TestContext): Promise<RealHost> {
    const node = await fenced(test);
    expect(await node.run('arm-revert', arm)).toMatchObject({ exitCode: 0, answer: { persistent: true, note: '' } });
    return node;
  }
  async function expectBack(node: RealHost) {
    expect(await node.state()).toMatchObject({ kubeletActive: true, loadedNetworks: ['cbr0'], revertFired: true });
    expect((await node.files())[`${confDir}/10-calico.conflist`]).toBeUndefined();
  }

  run('survives a restart of the node: its timer comes back with the end that was set', async (test) => {
    const node = await armed(test);
    const end = Date.now() / 1000 + arm.seconds;

    await node.restart();

    expect(await node.state()).toMatchObject({
      revertArmed: true,
      revertFired: false,
      loadedNetworks: ['cutover-fence'],
    });
    const timer = await node.sh('cat "$SYSTEMD_DIR/cutover-revert.timer"');
    const [, calendar] = /^OnCalendar=(.*)$/m.exec(timer) ?? [];
    expect(Math.abs(Date.parse(calendar!.replace(' UTC', 'Z').replace(' ', 'T')) / 1000 - end)).toBeLessThan(60);
    expect(timer).toContain('Persistent=true\nOnActiveSec=900s\n');
    await node.fire();
    await expectBack(node);
    await node.restart();
    expect(await node.state()).toMatchObject({ revertArmed: false, kubeletActive: true });
  });

  it.skipIf(realHost(shell).missing !== '' || !hasTool('systemd-analyze'))(
    'has units that systemd understands',
    async (test) => {
      const node = await armed(test);

      const said = await node.sh('systemd-analyze verify "$SYSTEMD_DIR/cutover-revert.timer" 2>&1 || true');
      const timer = await node.sh('cat "$SYSTEMD_DIR/cutover-revert.timer"');

      expect(said.split('\n').filter((line) => line.includes('cutover-revert'))).toEqual([]);
      expect(await node.sh(`systemd-analyze calendar '${/^OnCalendar=(.*)$/m.exec(timer)![1]}'`)).toContain('UTC');
    },
  );

  run('is transient where /etc cannot be written, and says so', async (test) => {
    const node = await fenced(test);
    await node.sh('mount -t tmpfs -o ro tmpfs "$SYSTEMD_DIR"');

    const { exitCode, answer } = await node.run('arm-revert', arm);

    expect(exitCode).toBe(0);
    expect(answer).toMatchObject({ armed: true, persistent: false, note: expect.stringContaining('after a restart') });
    expect(await node.state()).toMatchObject({ revertArmed: true });
    expect(await node.run('arm-revert', arm)).toMatchObject({ exitCode: 0, answer: { persistent: false } });
    await node.fire();
    await expectBack(node);
  });

  run('is disarmed although /etc has become read-only: what its unit starts does nothing', async (test) => {
    const node = await armed(test);
    await node.sh('mount --bind "$SYSTEMD_DIR" "$SYSTEMD_DIR"; mount -o remount,bind,ro "$SYSTEMD_DIR"');

    expect(await node.run('disarm-revert', { migration: 'move-1', token })).toMatchObject({
      exitCode: 0,
      answer: { fired: false },
    });
    const before = await node.files();
    const { answer } = await node.fire();

    expect(answer).toMatchObject({ reverted: false });
    expect(await node.files()).toEqual(before);
    expect(await node.state()).toMatchObject({ revertFired: false, loadedNetworks: ['cutover-fence'] });
  });

  run('is not armed on a full disk, and says so before anything depends on it', async (test) => {
    const node = await fenced(test);
    await node.sh(`mount -o remount,size=4m ${root}; cat /dev/zero >${root}/filler || true`);
    const end = await node.run('arm-revert', { ...arm, token: 0 });

    expect(end).toMatchObject({ exitCode: 1, answer: { error: 'NotArmed' } });
    expect(await node.state()).toMatchObject({ revertArmed: false });
  });

  run('fires on a full disk', async (test) => {
    const node = await armed(test);
    await node.sh(`mount -o remount,size=4m ${root}; cat /dev/zero >${root}/filler || true`);

    await node.fire();

    await expectBack(node);
  });

  run('starts kubelet when nothing can be removed, and stays for the next start of the node', async (test) => {
    const node = await armed(test);

    const { exitCode, answer } = await node.fire({ without: ['rm'] });

    expect(exitCode).toBe(1);
    expect(answer).toMatchObject({
      reverted: false,
      problems: expect.arrayContaining([`failed: remove the conf of Calico from ${confDir}`]),
    });
    expect(await node.state()).toMatchObject({ kubeletActive: true, revertFired: true });
    expect((await node.files())[`${own}/revert.log`]).toContain('remove the conf of Calico');
    await node.restart();
    expect(await node.state()).toMatchObject({ revertArmed: true });
    await node.fire();
    await expectBack(node);
    expect(await node.run('disarm-revert', { migration: 'move-1', token })).toMatchObject({ answer: { fired: true } });
  });

  for (const missing of ['crictl', 'flock', 'ip', 'iptables-nft-save', 'ipset', 'nft', 'mv', 'awk', 'sync', 'date'])
    run(`takes the conf away and starts kubelet without ${missing}`, async (test) => {
      const node = await armed(test);

      await node.fire({ without: [missing] });

      await expectBack(node);
    });

  run('leaves the start of kubelet to systemd when its own systemctl fails', async (test) => {
    const node = await armed(test);

    await node.fire({ without: ['systemctl'] });

    await expectBack(node);
  });
});
