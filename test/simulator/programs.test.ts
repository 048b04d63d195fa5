import { afterEach, describe, expect, it } from 'vitest';
import { splitWords } from '../../src/simulator/programs/words.ts';
import { CALICO_CONF, startCluster, until, type TestCluster } from './node-cluster.ts';

let cluster: TestCluster | undefined;
afterEach(() => cluster?.stop());

async function start(options: Parameters<typeof startCluster>[0] = {}): Promise<TestCluster> {
  cluster = await startCluster(options);
  return cluster;
}

async function run(pod: string, ...command: string[]) {
  const output = { stdout: '', stderr: '' };
  const { exitCode } = await cluster!.world.kubelets.exec(cluster!.get(pod)!, '', command, {
    stdout: (data) => void (output.stdout += data),
    stderr: (data) => void (output.stderr += data),
  });
  return { ...output, exitCode };
}

const url = (pod: string, path: string) => `http://${cluster!.ip(pod)}:8080${path}`;

/** CoreDNS on n1 behind the Service that pods have in their resolv.conf. */
async function withDns() {
  const { pod, ready, store, ip, service, send } = await start();
  pod('coredns', 'n1', {
    labels: { 'k8s-app': 'kube-dns' },
    container: {
      image: 'registry.k8s.io/coredns/coredns:v1.12.1',
      args: [],
      ports: [{ containerPort: 53, protocol: 'UDP' }],
      readinessProbe: undefined,
    },
  });
  await until(() => ready('coredns'), 'CoreDNS is Ready');
  const metadata = { name: 'kube-dns', namespace: 'kube-system' };
  const port = { port: 53, protocol: 'UDP' };
  store.create('services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { clusterIP: '10.96.0.10', ports: [{ ...port, targetPort: 53 }] },
  });
  store.create('endpoints', {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata,
    subsets: [{ addresses: [{ ip: ip('coredns'), nodeName: 'n1' }], ports: [port] }],
  });
  service('web', { clusterIP: '10.96.0.80', backends: ['a-n1', 'a-n2', 'a-n3'] });
  await until(
    () => send('default/a-n2', '10.96.0.10', { port: 53, protocol: 'udp' }).answeredBy === 'default/coredns',
    'DNS answers',
  );
  await until(
    () => send('default/a-n2', '10.96.0.80', { port: 80 }).answeredBy.startsWith('default/a-'),
    'the Service answers',
  );
}

describe('curl', () => {
  it('asks netexec in another pod, which sees the address of the pod that asks', async () => {
    const { ip } = await start();

    const hostname = await run('a-n1', 'curl', '-sS', '-m', '2', url('a-n2', '/hostname'));
    const client = await run('a-n1', 'curl', '-s', url('a-n2', '/clientip'));
    const echo = await run('a-n1', 'curl', '-s', url('a-n2', '/echo?msg=two%20words'));

    expect(hostname).toEqual({ stdout: 'a-n2', stderr: '', exitCode: 0 });
    expect(client.stdout).toMatch(new RegExp(`^${ip('a-n1')}:\\d+$`));
    expect(echo.stdout).toBe('two words');
  });

  it('takes several URLs and writes a line of our own after each, whether it answered or not', async () => {
    await start();
    const urls = [url('a-n2', '/hostname'), 'http://10.244.9.9:8080/hostname', url('b-n1', '/hostname')];

    const { stdout, stderr, exitCode } = await run(
      'a-n1',
      'curl',
      '-s',
      '-S',
      '--max-time',
      '2',
      '-H',
      'Connection: close',
      '-w',
      '\\n@ %{http_code} %{exitcode} %{time_total}\\n',
      ...urls,
    );

    const lines = stdout.split('\n');
    expect(lines[0]).toBe('a-n2');
    expect(lines[1]).toMatch(/^@ 200 0 0\.\d{6}$/);
    expect(lines.slice(2, 4)).toEqual(['', '@ 000 28 2.000000']);
    expect(lines[4]).toBe('b-n1');
    expect(stderr).toBe('curl: (28) Connection timed out after 2001 milliseconds\n');
    expect(exitCode).toBe(0);
  });

  it('is refused where nothing listens, with exit code 7', async () => {
    const { ip } = await start();

    const { stderr, exitCode } = await run('a-n1', 'curl', '-sS', `http://${ip('a-n2')}:9999/`);

    expect(exitCode).toBe(7);
    expect(stderr).toMatch(
      /^curl: \(7\) Failed to connect to 10\.244\.1\.\d+ port 9999 after \d+ ms: Couldn't connect to server\n$/,
    );
  });

  it('asks a pod on the host network by the address of its node, and is seen with that of its own', async () => {
    const { pod, ready } = await start();
    pod('host', 'n2', {
      spec: { hostNetwork: true },
      container: { args: ['netexec', '--http-port=31001', '--udp-port=31002'] },
    });
    await until(() => ready('host'), 'Ready');

    const hostname = await run('a-n1', 'curl', '-s', 'http://10.99.0.12:31001/hostname');
    const client = await run('a-n1', 'curl', '-s', 'http://10.99.0.12:31001/clientip');
    const refused = await run('a-n1', 'curl', '-s', 'http://10.99.0.13:31001/hostname');

    expect(hostname.stdout).toBe('n2');
    expect(client.stdout).toMatch(/^10\.99\.0\.11:\d+$/);
    expect(refused.exitCode).toBe(7);
  });

  it('times out with a big answer through an MTU hole that small answers pass', async () => {
    const { faults } = await start();
    faults.inject({ name: 'mtu-hole', nodes: ['n2'] });

    const small = await run('a-n1', 'curl', '-sS', '-m', '1', url('a-n2', '/echo?msg=small'));
    const big = await run('a-n1', 'curl', '-sS', '-m', '1', url('a-n2', `/echo?msg=${'m'.repeat(3000)}`));
    const elsewhere = await run('a-n1', 'curl', '-sS', '-m', '1', url('a-n3', `/echo?msg=${'m'.repeat(3000)}`));

    expect(small).toMatchObject({ stdout: 'small', exitCode: 0 });
    expect(big).toMatchObject({
      exitCode: 28,
      stderr: 'curl: (28) Operation timed out after 1001 milliseconds with 0 bytes received\n',
    });
    expect(elsewhere.stdout).toHaveLength(3000);
  });

  it('fails on an HTTP error only with -f', async () => {
    await start();

    const plain = await run('a-n1', 'curl', '-s', url('a-n2', '/echo?msg=no&code=503'));
    const failing = await run('a-n1', 'curl', '-sf', url('a-n2', '/echo?msg=no&code=503'));

    expect([plain.exitCode, plain.stdout]).toEqual([0, 'no']);
    expect([failing.exitCode, failing.stdout]).toEqual([22, '']);
  });
});

describe('/dial', () => {
  it('has a pod ask another one, by TCP and by UDP', async () => {
    const { ip } = await start();
    const dial = async (protocol: string, port: number): Promise<unknown> => {
      const path = `/dial?host=${ip('a-n3')}&port=${port}&protocol=${protocol}&request=hostname&tries=2`;
      return JSON.parse((await run('b-n1', 'curl', '-s', url('a-n1', path))).stdout);
    };

    expect(await dial('http', 8080)).toEqual({ responses: ['a-n3', 'a-n3'] });
    expect(await dial('udp', 8081)).toEqual({ responses: ['a-n3', 'a-n3'] });
  });

  it('reports what the asking pod met', async () => {
    await start();

    const { stdout } = await run(
      'b-n1',
      'curl',
      '-s',
      url('a-n1', '/dial?host=10.244.9.9&port=8080&protocol=http&request=hostname&tries=1'),
    );

    expect(JSON.parse(stdout)).toEqual({
      errors: [
        'Get "http://10.244.9.9:8080/hostname": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
      ],
    });
  });
});

describe('names', () => {
  it('of the cluster resolve through CoreDNS, short ones by the search list', async () => {
    await withDns();

    expect(await run('a-n2', 'dig', '+short', 'web.default.svc.cluster.local')).toMatchObject({
      stdout: '10.96.0.80\n',
      exitCode: 0,
    });
    expect(await run('a-n2', 'dig', '+search', '+short', '+tries=2', '+time=2', 'web.default.svc')).toMatchObject({
      stdout: '10.96.0.80\n',
      exitCode: 0,
    });
    expect(await run('a-n2', 'dig', '+short', 'nobody.default.svc.cluster.local')).toMatchObject({
      stdout: '',
      exitCode: 0,
    });
    expect((await run('a-n2', 'nslookup', 'web')).stdout).toContain('Address: 10.96.0.80');
    expect(await run('a-n2', 'nslookup', 'nobody')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining("** server can't find nobody: NXDOMAIN"),
    });
    expect((await run('a-n2', 'curl', '-s', 'http://web/hostname')).stdout).toMatch(/^a-n[123]$/);
    expect((await run('a-n2', 'dig', '+short', 'example.com')).stdout).toMatch(/^203\.0\.113\.\d+\n$/);
  });

  it('end in dig exit 9 and curl exit 28 when no server answers', async () => {
    await withDns();
    cluster!.faults.inject({ name: 'vxlan-blocked', nodes: ['n1'], when: 'always' });

    const dig = await run('a-n2', 'dig', '+short', '+time=1', '+tries=2', 'web.default.svc.cluster.local');
    const curl = await run('a-n2', 'curl', '-sS', '-m', '2', 'http://web/hostname');

    expect(dig.exitCode).toBe(9);
    expect(dig.stdout).toContain(';; no servers could be reached');
    expect(curl).toMatchObject({ exitCode: 28, stderr: 'curl: (28) Resolving timed out after 2001 milliseconds\n' });
  });

  it('that do not exist are exit 6 of curl', async () => {
    await withDns();

    expect(await run('a-n2', 'curl', '-sS', 'http://nobody/')).toMatchObject({
      exitCode: 6,
      stderr: 'curl: (6) Could not resolve host: nobody\n',
    });
  });
});

describe('other tools', () => {
  it('nc tells an open port from a closed one and from a path that loses packets', async () => {
    const { ip, faults } = await start();
    const to = ip('a-n2');

    const open = await run('a-n1', 'nc', '-zv', '-w', '1', to, '8080');
    const closed = await run('a-n1', 'nc', '-zv', '-w', '1', to, '9');
    const udp = await run('a-n1', 'nc', '-zu', '-w', '1', to, '8081');
    faults.inject({ name: 'vxlan-blocked', nodes: ['n2'], when: 'always' });
    const lost = await run('a-n1', 'nc', '-zv', '-w', '1', to, '8080');

    expect([open.exitCode, closed.exitCode, udp.exitCode, lost.exitCode]).toEqual([0, 1, 0, 1]);
    expect(closed.stderr).toContain('failed: Connection refused');
    expect(lost.stderr).toContain('timed out');
  });

  it('ping -M do finds the MTU: 1422 bytes pass, 1423 are refused at once', async () => {
    const { ip } = await start();

    const fits = await run('a-n1', 'ping', '-c', '1', '-M', 'do', '-s', '1422', ip('a-n2'));
    const tooBig = await run('a-n1', 'ping', '-c', '1', '-W', '1', '-M', 'do', '-s', '1423', ip('a-n2'));

    expect([fits.exitCode, tooBig.exitCode]).toEqual([0, 1]);
    expect(fits.stdout).toContain('1 packets transmitted, 1 received, 0% packet loss');
    expect(tooBig.stdout).toContain('message too long, mtu=1450');
  });

  it('the small ones say what the pod is', async () => {
    const { ip } = await start();

    expect((await run('a-n1', 'hostname')).stdout).toBe('a-n1\n');
    expect((await run('a-n1', 'sh', '-c', 'hostname -i && cat /sys/class/net/eth0/mtu; echo "a  b"')).stdout).toBe(
      `${ip('a-n1')}\n1450\na  b\n`,
    );
    expect((await run('a-n1', 'ip', 'addr')).stdout).toContain(`inet ${ip('a-n1')}/24`);
    expect((await run('a-n1', 'ip', 'route')).stdout).toBe('default via 10.244.0.1 dev eth0\n');
    expect((await run('a-n1', 'env')).stdout).toContain('HOSTNAME=a-n1\n');
    expect(await run('a-n1', 'cat', '/nothing')).toEqual({
      stdout: '',
      stderr: 'cat: /nothing: No such file or directory\n',
      exitCode: 1,
    });
    expect((await run('a-n1', 'sh', '-c', 'false || echo other 2>/dev/null')).stdout).toBe('other\n');
    expect((await run('a-n1', 'sh', '-c', 'false | echo "a | b"; true | false || echo other')).stdout).toBe(
      'a | b\nother\n',
    );
    // As GNU coreutils and busybox print them.
    expect((await run('a-n1', 'sh', '-c', 'seq 9 12 && seq -s , 3')).stdout).toBe('9\n10\n11\n12\n1,2,3\n');
    expect((await run('a-n1', 'sh', '-c', 'echo hello | cksum; seq 1 5000 | cksum; true | cksum')).stdout).toBe(
      '3015617425 6\n1163661111 23893\n4294967295 0\n',
    );
    expect(await run('a-n1', 'no-such-tool')).toMatchObject({
      exitCode: 127,
      stderr: expect.stringContaining('executable file not found'),
    });
  });
});

it('exec and logs fail as the API server words it when kubelet or the container is away', async () => {
  const { world, get, ip, node, pod, loaded } = await start({ count: 2 });
  expect(world.kubelets.logs(get('a-n1')!, '', {})).toContain(ip('a-n1'));
  expect(world.kubelets.logs(get('a-n1')!, '', { tailLines: 0 })).toBe('');

  await node('n1').kubelet.stop();
  await expect(run('a-n1', 'hostname')).rejects.toMatchObject({
    code: 500,
    message: 'error dialing backend: dial tcp 10.99.0.11:10250: connect: connection refused',
  });

  node('n2').write(CALICO_CONF, '{"name":"fence","plugins":[{"type":"none"}]}');
  await loaded('n2', 'fence');
  pod('waits', 'n2');
  await expect(run('waits', 'hostname')).rejects.toMatchObject({
    code: 500,
    message: 'unable to upgrade connection: container not found ("main")',
  });
});

it.each([
  [`curl -w '%{http_code}\\n' "a b"`, ['curl', '-w', '%{http_code}\\n', 'a b']],
  ['a&&b||c;d', ['a', '&&', 'b', '||', 'c', ';', 'd']],
  [`a|b 'c|d'`, ['a', '|', 'b', 'c|d']],
  ['http://h/?a=1&b=2 x', ['http://h/?a=1&b=2', 'x']],
  [`echo ''`, ['echo', '']],
])('splits %s as sh does', (line, words) => {
  expect(splitWords(line)).toEqual(words);
});
