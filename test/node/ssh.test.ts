import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSshAccess } from '../../src/node/ssh.ts';
import type { NodeAccess } from '../../src/node/types.ts';
import { createClock } from '../../src/simulator/clock.ts';
import { createSimNode } from '../../src/simulator/node/sim-node.ts';
import type { NodeControl } from '../../src/simulator/node/sim-node.ts';
import { createFaults } from '../../src/simulator/scenario/faults.ts';
import type { FaultRegistry } from '../../src/simulator/scenario/faults.ts';
import { generateHostKey } from '../../src/simulator/ssh/host-key.ts';
import { startSshServers } from '../../src/simulator/ssh/start-ssh-servers.ts';
import type { SshServers } from '../../src/simulator/ssh/start-ssh-servers.ts';

const flannel = '{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel"}]}';

/** Two nodes behind real SSH servers, and an SSH config that leads to them. */
describe('SSH access', () => {
  let directory: string;
  let faults: FaultRegistry;
  let nodes: Map<string, NodeControl>;
  let servers: SshServers;
  let access: NodeAccess;
  let connections: string[];
  let kubelet: { active: boolean; start(): Promise<void>; stop(): Promise<void> };
  /** Settled by the test: what a verb that starts kubelet waits for. */
  let startGate: Promise<void>;

  const path = (name: string) => join(directory, name);
  const line = (name: string, key = nodes.get(name)!.hostKey.publicKey) =>
    `[127.0.0.1]:${servers.ports.get(name)} ${key}\n`;
  const knownHosts = (...lines: string[]) => writeFile(path('known_hosts'), lines.join(''));
  const options = () => ({ configFile: path('config'), user: '', sudo: false, connectTimeoutSeconds: 20 });
  const open = (changes = {}) => {
    connections = [];
    access = createSshAccess(
      { ...options(), ...changes },
      { debug: (details, message) => connections.push(`${message} ${JSON.stringify(details)}`) },
    );
    return access;
  };
  const dials = () => connections.filter((message) => message.startsWith('connected')).length;
  const run = { token: 1, timeoutMs: 20_000 };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cutover-ssh-'));
    faults = createFaults();
    const clock = createClock({ speed: 0 });
    startGate = Promise.resolve();
    nodes = new Map(
      ['worker-1', 'worker-2'].map((name, at) => [
        name,
        createSimNode(
          {
            name,
            ip: `192.0.2.1${at}`,
            prefixLength: 24,
            gateway: '192.0.2.1',
            zone: 'a',
            kernel: '6.1.0',
            underlayMtu: 1500,
          },
          clock,
        ),
      ]),
    );
    kubelet = {
      active: false,
      start: async () => {
        await startGate;
        kubelet.active = true;
      },
      stop: async () => void (kubelet.active = false),
    };
    for (const node of nodes.values()) {
      node.write('/etc/cni/net.d/10-flannel.conflist', flannel);
      const loaded = () => (node.files.has('/etc/cni/net.d/10-calico.conflist') ? ['cutover-fence'] : ['cbr0']);
      node.attach({ kubelet, loadedNetworks: loaded, removeSandbox: async () => {} });
    }
    servers = await startSshServers({ nodes, clock, faults, directory: path('ssh') });
    const hosts = [...nodes.keys()].map(
      (name) => `Host ${name}\n  HostName 127.0.0.1\n  Port ${servers.ports.get(name)}\n`,
    );
    await writeFile(path('hosts.conf'), hosts.join(''));
    await writeFile(
      path('config'),
      `Include hosts.conf\nHost worker-*\n  User root\n  IdentityFile ${servers.clientKeyPath}\n  IdentitiesOnly yes\n  UserKnownHostsFile ${path('missing')} ${path('known_hosts')}\n`,
    );
    await knownHosts(line('worker-1'), line('worker-2'));
    open();
  });

  afterEach(async () => {
    await access.close();
    await servers.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it('runs a verb and gives its answer back', async () => {
    const state = await access.run('worker-1', 'inspect', {}, run);

    expect(state).toMatchObject({ hostname: 'worker-1', loadedNetworks: ['cbr0'] });
    expect(await access.hostKey('worker-1')).toBe(nodes.get('worker-1')!.hostKey.fingerprint);
  });

  it('reaches the node through sudo as well', async () => {
    const state = await open({ sudo: true, user: 'ops' }).run('worker-2', 'inspect', {}, run);

    expect(state.hostname).toBe('worker-2');
  });

  it('keeps one connection a node, whatever runs at the same time', async () => {
    await Promise.all([1, 2, 3, 4].map(() => access.run('worker-1', 'inspect', {}, run)));
    await access.run('worker-1', 'inspect', {}, run);

    expect(dials()).toBe(1);
  });

  it('dials again after the connection was lost', async () => {
    await access.run('worker-1', 'inspect', {}, run);
    faults.inject({ name: 'node-dead', nodes: ['worker-1'] }); // cuts what is open
    faults.clear();

    const state = await access.run('worker-1', 'inspect', {}, run);

    expect(state.hostname).toBe('worker-1');
    expect(dials()).toBe(2);
  });

  it.each([
    ['plain', () => line('worker-1')],
    [
      'hashed',
      () => {
        const salt = randomBytes(20);
        const name = `[127.0.0.1]:${servers.ports.get('worker-1')}`;
        const hash = createHmac('sha1', salt).update(name).digest('base64');
        return `|1|${salt.toString('base64')}|${hash} ${nodes.get('worker-1')!.hostKey.publicKey}\n`;
      },
    ],
    [
      'wildcard',
      () => `[127.0.0.*]:${servers.ports.get('worker-1')} ${nodes.get('worker-1')!.hostKey.publicKey} a comment\n`,
    ],
    ['one of several', () => `# old\n${line('worker-1', generateHostKey().publicKey)}\n${line('worker-1')}`],
  ])('finds the host key in a %s entry of known_hosts', async (_kind, entry) => {
    await knownHosts(entry());

    expect((await access.run('worker-1', 'inspect', {}, run)).hostname).toBe('worker-1');
  });

  it('refuses a node whose key is on no file, and says what to do', async () => {
    await knownHosts(line('worker-2'));

    const refused = access.run('worker-1', 'inspect', {}, run);

    await expect(refused).rejects.toMatchObject({
      type: 'NodeUnreachable',
      message: expect.stringContaining('no host key of worker-1 is known'),
      remedy: expect.stringContaining('ssh-keyscan'),
    });
    expect(await readFile(path('known_hosts'), 'utf8')).toBe(line('worker-2'));
  });

  it('refuses a changed key and names both fingerprints', async () => {
    const other = generateHostKey();
    await knownHosts(line('worker-1', other.publicKey));

    const refused = access.run('worker-1', 'inspect', {}, run);

    await expect(refused).rejects.toMatchObject({
      type: 'HostKeyMismatch',
      message: expect.stringContaining(other.fingerprint),
    });
    await expect(refused).rejects.toMatchObject({
      message: expect.stringContaining(nodes.get('worker-1')!.hostKey.fingerprint),
    });
  });

  it('notices a key that changes under way, and goes on when the old one is back', async () => {
    await access.run('worker-1', 'inspect', {}, run);
    faults.inject({ name: 'host-key-changed', nodes: ['worker-1'] });

    await expect(access.run('worker-1', 'inspect', {}, run)).rejects.toMatchObject({ type: 'HostKeyMismatch' });
    await expect(access.hostKey('worker-1')).rejects.toMatchObject({ type: 'HostKeyMismatch' });
    faults.clear();

    expect((await access.run('worker-1', 'inspect', {}, run)).hostname).toBe('worker-1');
  });

  it('refuses a key that is marked as revoked', async () => {
    await knownHosts(line('worker-1'), `@revoked ${line('worker-1')}`);

    await expect(access.run('worker-1', 'inspect', {}, run)).rejects.toMatchObject({
      type: 'HostKeyMismatch',
      message: expect.stringContaining('revoked'),
    });
  });

  it('says which node refuses connections', async () => {
    faults.inject({ name: 'ssh-refused', nodes: ['worker-2'] });

    await expect(access.run('worker-2', 'inspect', {}, run)).rejects.toMatchObject({
      type: 'NodeUnreachable',
      message: expect.stringContaining('worker-2'),
    });
    expect((await access.run('worker-1', 'inspect', {}, run)).hostname).toBe('worker-1');
  });

  it('says that the login is refused when the key is not accepted, and shows no key', async () => {
    const other = generateHostKey();
    await writeFile(path('other'), other.privateKey);
    await writeFile(
      path('config'),
      `Host worker-1\n  HostName 127.0.0.1\n  Port ${servers.ports.get('worker-1')}\n  IdentityFile ${path('other')}\n  IdentitiesOnly yes\n  UserKnownHostsFile ${path('known_hosts')}\n`,
    );

    const error = await open()
      .run('worker-1', 'inspect', {}, run)
      .catch((caught: unknown) => caught);

    expect(error).toMatchObject({ type: 'NodeUnreachable', message: expect.stringContaining('refuses to log in') });
    expect(`${JSON.stringify(error)} ${String(error)} ${connections.join()}`).not.toContain(
      other.privateKey.split('\n')[1],
    );
  });

  it.each([
    ['before', { '/etc/cni/net.d/10-calico.conflist': false }],
    ['after', { '/etc/cni/net.d/10-calico.conflist': true }],
  ])('reports a connection that is lost %s the verb has acted; the verb can run again', async (phase, files) => {
    faults.inject({ name: 'ssh-lost', nodes: ['worker-1'], verb: 'fence', phase, times: 1 });
    const fence = { confName: '10-calico.conflist', waitSeconds: 2 };

    await expect(access.run('worker-1', 'fence', fence, run)).rejects.toMatchObject({
      type: 'NodeUnreachable',
      message: expect.stringContaining('lost while fence ran'),
    });
    for (const [file, there] of Object.entries(files)) expect(nodes.get('worker-1')!.files.has(file)).toBe(there);

    expect(await access.run('worker-1', 'fence', fence, run)).toMatchObject({
      loaded: ['cutover-fence'],
      existed: phase === 'after',
    });
  });

  it('gives the sentence of a verb that failed', async () => {
    const failed = access.run(
      'worker-1',
      'unfence',
      { confName: '10-flannel.conflist', expect: 'cbr0', waitSeconds: 1 },
      run,
    );

    await expect(failed).rejects.toMatchObject({
      type: 'VerbFailed',
      message: expect.stringContaining('10-flannel.conflist is the conf of cbr0 itself'),
      details: { error: 'WrongConf' },
    });
  });

  it('tells an attempt that a newer one owns the node', async () => {
    await access.run('worker-1', 'start-kubelet', {}, { ...run, token: 7 });

    await expect(access.run('worker-1', 'start-kubelet', {}, { ...run, token: 6 })).rejects.toMatchObject({
      type: 'AttemptFenced',
      details: { seen: 7, token: 6 },
    });
  });

  it('ends at its time-out', async () => {
    startGate = new Promise(() => {});

    await expect(access.run('worker-1', 'start-kubelet', {}, { ...run, timeoutMs: 300 })).rejects.toMatchObject({
      type: 'StepTimedOut',
      message: expect.stringContaining('start-kubelet on worker-1'),
    });
  });

  it('ends when it is aborted, with the reason of the signal, and the connection stays usable', async () => {
    await access.run('worker-1', 'inspect', {}, run);
    const controller = new AbortController();
    const reason = new Error('cancelled by a person');
    startGate = new Promise((done) =>
      setImmediate(() => {
        controller.abort(reason);
        done();
      }),
    );

    await expect(access.run('worker-1', 'start-kubelet', {}, { ...run, signal: controller.signal })).rejects.toBe(
      reason,
    );
    await expect(access.run('worker-1', 'inspect', {}, { ...run, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );

    expect((await access.run('worker-1', 'inspect', {}, run)).hostname).toBe('worker-1');
    expect(dials()).toBe(1);
  });

  it('refuses an SSH config that cannot be read, and one that needs a proxy', async () => {
    expect(() => createSshAccess({ ...options(), configFile: path('nothing-here') })).toThrow(
      /nothing-here cannot be read/,
    );
    await writeFile(path('config'), 'Host worker-1\n  ProxyJump bastion\n');

    await expect(open().run('worker-1', 'inspect', {}, run)).rejects.toMatchObject({
      type: 'NodeUnreachable',
      message: expect.stringContaining('ProxyJump'),
    });
  });

  it('takes no new work once it is closed', async () => {
    await access.run('worker-1', 'inspect', {}, run);
    await access.close();

    await expect(access.run('worker-1', 'inspect', {}, run)).rejects.toMatchObject({ type: 'NodeUnreachable' });
  });
});
