import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NodeSSH } from 'node-ssh';
import ssh2 from 'ssh2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verbCommand, verbProgram } from '../../src/node/verb-program.ts';
import { createClock } from '../../src/simulator/clock.ts';
import { createSimNode } from '../../src/simulator/node/sim-node.ts';
import type { NodeControl } from '../../src/simulator/node/sim-node.ts';
import { createFaults } from '../../src/simulator/scenario/faults.ts';
import type { FaultRegistry } from '../../src/simulator/scenario/faults.ts';
import { generateHostKey } from '../../src/simulator/ssh/host-key.ts';
import { startSshServers } from '../../src/simulator/ssh/start-ssh-servers.ts';
import type { SshServers } from '../../src/simulator/ssh/start-ssh-servers.ts';

describe('SSH servers of the simulator', () => {
  let directory: string;
  let faults: FaultRegistry;
  let node: NodeControl;
  let servers: SshServers;
  let ssh: NodeSSH;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cutover-ssh-'));
    faults = createFaults();
    const clock = createClock({ speed: 0 });
    node = createSimNode(
      {
        name: 'worker-1',
        ip: '192.0.2.11',
        prefixLength: 24,
        gateway: '192.0.2.1',
        zone: 'a',
        kernel: '6.1.0',
        underlayMtu: 1500,
      },
      clock,
    );
    node.write('/etc/cni/net.d/10-flannel.conflist', '{"name":"cbr0","plugins":[{"type":"flannel"}]}');
    let active = true;
    node.attach({
      loadedNetworks: () => ['cbr0'],
      removeSandbox: async () => {},
      kubelet: {
        get active() {
          return active;
        },
        start: async () => void (active = true),
        stop: async () => void (active = false),
      },
    });
    servers = await startSshServers({ nodes: new Map([[node.name, node]]), clock, faults, directory });
    ssh = new NodeSSH();
  });

  afterEach(async () => {
    ssh.dispose();
    await servers.stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function connect(privateKey?: string) {
    const key = privateKey ?? (await readFile(servers.clientKeyPath, 'utf8'));
    await ssh.connect({ host: '127.0.0.1', port: servers.ports.get('worker-1')!, username: 'root', privateKey: key });
    ssh.connection?.on('error', () => {}); // being cut off is what some of these tests are about
  }

  it('refuses a program that is not the verb of this checkout, and says so', async () => {
    await connect();
    const drifted = verbProgram('fence').replace('cutover-fence', 'other-fence');

    const end = await ssh.execCommand(
      verbCommand('fence', { confName: '10-calico.conflist', waitSeconds: 1, token: 1 }, { sudo: false }),
      { stdin: drifted },
    );

    expect(end).toMatchObject({ code: 1, stdout: expect.stringContaining('ProgramUnknown') });
    expect(node.files.has('/etc/cni/net.d/10-calico.conflist')).toBe(false);
  });

  it('refuses any other key', async () => {
    await expect(connect(generateHostKey().privateKey)).rejects.toThrow(/authentication/);
  });

  it('passes input through as it is, quotes and all', async () => {
    await connect();

    const end = await ssh.execCommand(verbCommand('snapshot', { migration: `it's "odd"`, token: 1 }, { sudo: false }), {
      stdin: verbProgram('snapshot'),
    });

    expect(JSON.parse(end.stdout)).toMatchObject({
      error: 'BadInput',
      message: `"migration" is not a plain name: it's "odd"`,
    });
  });

  it('leaves a verb half done when the connection is lost in its middle', async () => {
    await connect();
    faults.inject({ name: 'ssh-lost', verb: 'arm-revert', phase: 'middle', times: 1 });
    const input = { migration: 'move-1', seconds: 900, old: 'flannel', token: 1 };

    const end = await ssh
      .execCommand(verbCommand('arm-revert', input, { sudo: false }), { stdin: verbProgram('arm-revert') })
      .catch((error: unknown) => ({ code: null, error }));

    expect(end.code).toBeNull();
    expect(node.files.has('/var/lib/cutover/move-1/revert.sh')).toBe(true);
    expect(node.timers.size).toBe(0);
  });

  it('loses the second run of a verb when asked for the second', async () => {
    await connect();
    faults.inject({ name: 'ssh-lost', verb: 'inspect', nth: 2 });
    const inspect = () =>
      ssh
        .execCommand(verbCommand('inspect', {}, { sudo: false }), { stdin: verbProgram('inspect') })
        .catch(() => ({ code: null }));

    expect((await inspect()).code).toBe(0);
    expect((await inspect()).code).toBeNull();
    await connect();
    expect((await inspect()).code).toBe(0);
  });

  it.each([
    ['hostname', 'worker-1\n'],
    ['cat /etc/cni/net.d/10-flannel.conflist | grep -c cbr0', '1\n'],
    ['ls /etc/cni/net.d', '10-flannel.conflist\n'],
    ['ip route | grep default', 'default via 192.0.2.1 dev eth0 proto static \n'],
    ['ip -br link | head -1', expect.stringMatching(/^lo /)],
    ['iptables-save | grep KUBE-FIREWALL | wc -l', expect.stringMatching(/^[1-9]\d*\n$/)],
    ['systemctl is-active kubelet', 'active\n'],
    ['crictl info | grep Name', expect.stringContaining('cbr0')],
  ])('answers `%s`', async (command, stdout) => {
    await connect();

    expect(await ssh.execCommand(command, { noTrim: true })).toMatchObject({ code: 0, stderr: '', stdout });
  });

  it('says that it knows no such command', async () => {
    await connect();

    expect(await ssh.execCommand('rm -rf /')).toMatchObject({
      code: 127,
      stderr: expect.stringContaining('rm: command not found'),
    });
  });

  it('has an interactive shell with a prompt', async () => {
    await connect();
    let text = '';
    await ssh.withShell(
      async (channel) => {
        channel.on('data', (chunk: Buffer) => (text += chunk.toString()));
        const ended = new Promise((done) => channel.once('close', done));
        channel.write('uname -n\rip addr | grep 192.0.2\rexit\r');
        await ended;
      },
      { term: 'xterm' },
    );

    expect(text).toContain('root@worker-1:~# ');
    expect(text).toMatch(/\r\nworker-1\r\n/);
    expect(text).toContain('inet 192.0.2.11/24');
  });

  it('makes host keys that can always be read again', () => {
    for (let made = 0; made < 600; made += 1) {
      const { privateKey, publicKey } = generateHostKey();
      const secret = ssh2.utils.parseKey(privateKey);
      const shown = ssh2.utils.parseKey(publicKey);
      if (secret instanceof Error || shown instanceof Error) throw new Error(`cannot be read: ${privateKey}`);
      expect(shown.getPublicSSH()).toEqual(secret.getPublicSSH());
    }
  });
});
