import { afterEach, describe, expect, it } from 'vitest';
import { CALICO_CONF, FENCE, startCluster, until, type TestCluster } from './node-cluster.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const LEASES = '/var/lib/cni/networks/cbr0/';
const leases = (node: string) => cluster.node(node).state().leases;
const events = (reason: string) => cluster.store.list('events').filter((event) => event['reason'] === reason);
const condition = (node: string, type: string) =>
  (
    cluster.store.get('nodes', undefined, node)!['status'].conditions as {
      type: string;
      status: string;
      reason: string;
    }[]
  ).find((each) => each.type === type);
const conf = (name: string) => `{"cniVersion":"0.3.1","name":"${name}","plugins":[{"type":"no-such-plugin"}]}`;

describe('the conf directory', () => {
  const dir = '/etc/cni/net.d';

  it.each<[string, boolean, (node: ReturnType<TestCluster['node']>) => void]>([
    ['create and write', true, (node) => node.write(`${dir}/05-t.conflist`, conf('new'))],
    ['rewrite in place', true, (node) => node.write(`${dir}/10-flannel.conflist`, conf('new'))],
    [
      'a temporary file in the directory, renamed over',
      true,
      (node) => {
        node.write(`${dir}/.tmp1`, conf('new'));
        node.rename(`${dir}/.tmp1`, `${dir}/05-t.conflist`);
      },
    ],
    [
      'mv from another directory',
      false,
      (node) => {
        node.write('/root/05-t.conflist', conf('new'));
        node.rename('/root/05-t.conflist', `${dir}/05-t.conflist`);
      },
    ],
  ])('%s: noticed by the runtime: %s', async (_how, noticed, change) => {
    cluster = await startCluster({ count: 1, pods: false });
    const node = cluster.node('n1');

    change(node);
    await cluster.clock.sleep(2000);

    expect(node.loadedNetworks).toEqual([noticed ? 'new' : 'cbr0']);
  });

  it('a conf that was moved in unnoticed is loaded with the next change', async () => {
    cluster = await startCluster({ count: 1, pods: false });
    const node = cluster.node('n1');
    node.write('/root/05-t.conflist', conf('moved'));
    node.rename('/root/05-t.conflist', `${dir}/05-t.conflist`);

    node.write(`${dir}/99-other.conflist`, conf('other'));

    await cluster.loaded('n1', 'moved');
  });

  it('without a conf the node is not Ready, and pods wait', async () => {
    cluster = await startCluster({ count: 1, pods: false });
    cluster.node('n1').unlink(`${dir}/10-flannel.conflist`);
    await cluster.loaded('n1', '');

    cluster.pod('waits', 'n1');
    await until(() => events('NetworkNotReady').length > 0, 'kubelet says why');

    expect(condition('n1', 'Ready')).toMatchObject({ status: 'False', reason: 'KubeletNotReady' });
    expect(cluster.get('waits')!['status'].phase).toBe('Pending');
  });

  it('the fault runtime-ignores-conf keeps the old network loaded', async () => {
    cluster = await startCluster({ count: 1, pods: false });
    cluster.faults.inject({ name: 'runtime-ignores-conf' });

    cluster.node('n1').write(CALICO_CONF, FENCE);
    await cluster.clock.sleep(2000);

    expect(cluster.node('n1').loadedNetworks).toEqual(['cbr0']);
  });
});

describe('kubelet', () => {
  it('brings a pod to Ready with address, times and conditions', async () => {
    cluster = await startCluster({ count: 1 });

    const { status } = cluster.get('a-n1')!;

    expect(status).toMatchObject({ phase: 'Running', hostIP: '10.99.0.11', podIP: cluster.ip('a-n1') });
    expect(status.containerStatuses[0]).toMatchObject({ ready: true, restartCount: 0, state: { running: {} } });
    expect(status.conditions.map((each: { type: string; status: string }) => `${each.type}=${each.status}`)).toContain(
      'Ready=True',
    );
    expect(condition('n1', 'NetworkUnavailable')).toMatchObject({ status: 'False', reason: 'FlannelIsUp' });
  });

  it('leaves containers and their network alone while it is stopped, and re-creates what was purged', async () => {
    cluster = await startCluster();
    const node = cluster.node('n1');
    const { uid } = cluster.get('a-n1')!.metadata;

    await node.kubelet.stop();
    const running = cluster.toPod('default/a-n2', 'a-n1').delivered;
    await cluster.purge('n1');
    const purged = {
      lost: cluster.toPod('default/a-n2', 'a-n1').delivered,
      leases: leases('n1'),
      hosts: node.state().sandboxes.map(({ network }) => network),
    };
    const alive = cluster.world.isAlive('n1');
    await node.kubelet.start();
    await until(
      () => cluster.get('a-n1')?.['status'].containerStatuses[0].restartCount === 1 && cluster.ready('a-n1'),
      'the pod is Ready again',
    );

    expect(running).toBe(true);
    expect(alive).toBe(false);
    expect(purged).toEqual({ lost: false, leases: [], hosts: ['NODE'] });
    expect(cluster.get('a-n1')!.metadata.uid).toBe(uid);
    expect(cluster.toPod('default/a-n2', 'a-n1').delivered).toBe(true);
  });

  it('takes no pods while it is stopped, and catches up when it starts', async () => {
    cluster = await startCluster({ count: 2 });
    await cluster.node('n1').kubelet.stop();
    cluster.pod('new', 'n1');
    cluster.store.delete('pods', 'default', 'b-n1');
    await cluster.clock.sleep(20_000);
    const meanwhile = [cluster.get('new')!['status'].phase, cluster.get('b-n1') !== undefined];

    await cluster.node('n1').kubelet.start();
    await until(() => cluster.ready('new') && cluster.get('b-n1') === undefined, 'both are done');

    expect(meanwhile).toEqual(['Pending', true]);
  });

  it('stops a container after its preStop, within the grace period', async () => {
    cluster = await startCluster({ count: 1, pods: false });
    cluster.pod('slow', 'n1', {
      spec: { terminationGracePeriodSeconds: 30 },
      container: { lifecycle: { preStop: { sleep: { seconds: 10 } } } },
    });
    await until(() => cluster.ready('slow'), 'Ready');

    cluster.store.delete('pods', 'default', 'slow');
    await cluster.clock.sleep(4000);
    const still = cluster.send('node:n1', cluster.ip('slow')).delivered;
    await until(() => cluster.get('slow') === undefined, 'it is gone');

    expect(still).toBe(true);
    expect(
      cluster
        .node('n1')
        .state()
        .sandboxes.filter(({ ready }) => ready),
    ).toHaveLength(1);
  });

  it('waits for a missing agent image and goes on when it is there', async () => {
    cluster = await startCluster({ count: 1 });
    cluster.adopt();
    cluster.faults.inject({ name: 'agent-image-missing', nodes: ['n1'] });
    cluster.calico('n1');
    await until(
      () =>
        cluster.get('calico-n1', 'kube-system')?.['status'].initContainerStatuses?.[0].state.waiting?.reason ===
        'ImagePullBackOff',
      'it backs off',
    );

    cluster.faults.clear('agent-image-missing');

    await until(() => cluster.ready('calico-n1', 'kube-system'), 'the agent is Ready');
  });

  it('an agent that never becomes ready is Running and not Ready, until the fault goes', async () => {
    cluster = await startCluster({ count: 1 });
    cluster.adopt();
    cluster.faults.inject({ name: 'agent-never-ready', nodes: ['n1'] });
    cluster.calico('n1');
    await until(() => cluster.node('n1').files.has('/var/lib/calico/nodename'), 'the agent has started');
    await cluster.clock.sleep(5000);
    const before = cluster.ready('calico-n1', 'kube-system');

    cluster.faults.clear();

    await until(() => cluster.ready('calico-n1', 'kube-system'), 'the agent is Ready');
    expect(before).toBe(false);
  });
});

describe('the sandbox of a pod that is gone', () => {
  it('is listed as not ready until kubelet collects it', async () => {
    cluster = await startCluster({ count: 1, timing: { sandboxCollection: [60_000, 60_000] } });
    const node = cluster.node('n1');
    const of = () => node.state().sandboxes.filter(({ name }) => name === 'a-n1');
    expect(of()).toMatchObject([{ ready: true }]);

    cluster.store.delete('pods', 'default', 'a-n1');
    await until(() => cluster.get('a-n1') === undefined, 'the pod is gone');

    expect(of()).toMatchObject([{ ready: false }]);
    expect(leases('n1')).toHaveLength(1);
    await until(() => of().length === 0, 'kubelet collects it');
  });

  it('stays while kubelet does not run, and goes when it is removed by hand', async () => {
    cluster = await startCluster({ count: 1, timing: { sandboxCollection: [60_000, 60_000] } });
    const node = cluster.node('n1');
    cluster.store.delete('pods', 'default', 'a-n1');
    await until(() => cluster.get('a-n1') === undefined, 'the pod is gone');
    await node.kubelet.stop();
    await cluster.clock.sleep(61_000);
    const [dead] = node.state().sandboxes.filter(({ name }) => name === 'a-n1');

    await node.removeSandbox(dead!.id);

    expect(node.state().sandboxes.map(({ name }) => name)).not.toContain('a-n1');
    expect(leases('n1')).toHaveLength(1);
  });
});

describe('a fence', () => {
  it('makes deletions fail: the pod hangs Terminating with its lease until the old conf is back', async () => {
    cluster = await startCluster({ count: 1 });
    const node = cluster.node('n1');
    node.write(CALICO_CONF, FENCE);
    await cluster.loaded('n1', 'cutover-fence');

    cluster.store.delete('pods', 'default', 'a-n1');
    await until(() => events('FailedKillPod').length > 0, 'kubelet says that it cannot');
    const hanging = { there: cluster.get('a-n1') !== undefined, leases: leases('n1').length };
    node.unlink(CALICO_CONF);
    await cluster.loaded('n1', 'cbr0');
    await until(() => cluster.get('a-n1') === undefined, 'it goes with the next try');

    expect(hanging).toEqual({ there: true, leases: 2 });
    expect(leases('n1')).toHaveLength(1);
    await expect(node.removeSandbox('no-such-sandbox')).resolves.toBeUndefined();
  });

  it('makes removing a sandbox by hand fail with the name of the plugin', async () => {
    cluster = await startCluster({ count: 1 });
    const node = cluster.node('n1');
    node.write(CALICO_CONF, FENCE);
    await cluster.loaded('n1', 'cutover-fence');
    await node.kubelet.stop();

    const sandbox = [...node.sandboxes.values()].find(({ network }) => network === 'POD')!;

    await expect(node.removeSandbox(sandbox.id)).rejects.toThrow(
      'failed to find plugin "cutover-fence" in path [/opt/cni/bin]',
    );
  });

  it('leaves waiting pods with a back-off that a new pod does not have', async () => {
    cluster = await startCluster({ count: 1, speed: 50 });
    const node = cluster.node('n1');
    node.write(CALICO_CONF, FENCE);
    await cluster.loaded('n1', 'cutover-fence');
    cluster.pod('waiting', 'n1');
    await until(() => events('FailedCreatePodSandBox').length > 0, 'the first try has failed');
    node.unlink(CALICO_CONF);
    await cluster.loaded('n1', 'cbr0');

    cluster.pod('fresh', 'n1');
    await until(() => cluster.ready('fresh'), 'the new pod is Ready');
    const waiting = cluster.ready('waiting');
    await until(() => cluster.ready('waiting'), 'and the other one later');

    expect(waiting).toBe(false);
  });
});

describe('sandboxes that are removed when another conf is loaded already', () => {
  it('leak their lease, and their hostPort rules win over those of the new pod', async () => {
    cluster = await startCluster({ count: 2 });
    cluster.adopt();
    const node = cluster.node('n1');
    const hostPort = { container: { ports: [{ containerPort: 8080, hostPort: 18080 }] } };
    cluster.pod('host', 'n1', hostPort);
    await until(() => cluster.ready('host'), 'Ready');
    const knock = () => cluster.send('default/a-n2', '10.99.0.11', { port: 18080 });
    const before = knock();

    // The wrong order: the agent is swapped first, the old sandboxes go afterwards.
    await cluster.stopPod('flannel-n1', 'kube-flannel');
    node.deleteLink('flannel.1');
    cluster.calico('n1');
    await until(() => cluster.ready('calico-n1', 'kube-system'), 'calico-node is Ready');
    await cluster.loaded('n1', 'k8s-pod-network');
    await cluster.purge('n1');
    await until(
      () =>
        ['host', 'a-n1', 'b-n1'].every((name) => cluster.get(name)!['status'].containerStatuses[0].restartCount === 1),
      'the pods are back on Calico',
    );
    await until(() => cluster.node('n1').links.has('vxlan.calico') && cluster.ready('host'), 'and Ready');
    const after = knock();

    expect(before).toMatchObject({ delivered: true, answeredBy: 'default/host' });
    expect(leases('n1').length).toBeGreaterThan(0);
    expect(node.rules.filter(({ chain }) => chain === 'CNI-HOSTPORT-DNAT')).toHaveLength(2);
    // A black hole, or a pod that has got the old address: never the one that owns the port now.
    expect(after.answeredBy).not.toBe('default/host');
  });

  it('do so too when they were deleted behind a fence: the retry reaches the new plugin', async () => {
    cluster = await startCluster({ count: 2 });
    cluster.adopt();
    const node = cluster.node('n1');
    cluster.pod('host', 'n1', { container: { ports: [{ containerPort: 8080, hostPort: 18080 }] } });
    await until(() => cluster.ready('host'), 'Ready');
    await cluster.stopPod('flannel-n1', 'kube-flannel');
    node.write(CALICO_CONF, FENCE);
    await cluster.loaded('n1', 'cutover-fence');
    cluster.store.delete('pods', 'default', 'host');
    await until(() => events('FailedKillPod').length > 0, 'the deletion fails');

    cluster.cleanFlannel('n1');
    cluster.calico('n1');
    await until(() => cluster.get('host') === undefined, 'the retry succeeds');

    expect(node.loadedNetworks).toEqual(['k8s-pod-network']);
    expect(node.rules.filter(({ chain, text }) => chain === 'CNI-HOSTPORT-DNAT' && text.includes('cbr0'))).toHaveLength(
      1,
    );
    expect(cluster.send('default/a-n2', '10.99.0.11', { port: 18080 }).delivered).toBe(false);
  });

  it('purged first, they leave nothing, and the hostPort leads to the new pod', async () => {
    cluster = await startCluster({ count: 2 });
    cluster.adopt();
    cluster.pod('host', 'n1', { container: { ports: [{ containerPort: 8080, hostPort: 18080 }] } });
    await until(() => cluster.ready('host'), 'Ready');

    await cluster.migrate('n1');
    await until(() => cluster.ready('host'), 'Ready on Calico');

    expect(leases('n1')).toEqual([]);
    expect(cluster.send('default/a-n2', '10.99.0.11', { port: 18080 })).toMatchObject({
      delivered: true,
      answeredBy: 'default/host',
    });
    expect(cluster.node('n1').state().rules[0]).toMatchObject({ flannel: 0, hostport: expect.any(Number) });
    expect(cluster.node('n1').rules.filter(({ chain }) => chain === 'CNI-HOSTPORT-DNAT')).toHaveLength(1);
  });
});

describe('calico-node that stops', () => {
  it('leaves links, routes, blackholes and rules behind', async () => {
    cluster = await startCluster();
    cluster.adopt();
    await cluster.migrate('n1');

    await cluster.stopPod('calico-n1', 'kube-system');

    const { links, routes, rules, ipsets } = cluster.node('n1').state();
    expect(links.map(({ name }) => name)).toContain('vxlan.calico');
    expect(routes.filter(({ type, proto }) => type === 'blackhole' && proto === '80')).toHaveLength(4);
    expect(rules[0]!.calico).toBeGreaterThan(20);
    expect(ipsets.every((name) => name.startsWith('cali40'))).toBe(true);
    const nameless = cluster
      .node('n1')
      .rules.filter(({ chain, text }) => chain === 'FORWARD' && /cali:/.test(text) && !/cali-/.test(text));
    expect(nameless.map(({ text }) => text.replace(/^.*" /, ''))).toEqual([
      '-m mark --mark 0x10000/0x10000 -j ACCEPT',
      '-j MARK --set-xmark 0x10000/0x10000',
    ]);
  });

  it.each([
    [0, 'False', 'CalicoIsUp'],
    [30, 'True', 'CalicoIsDown'],
  ])('with a grace period of %i seconds the node is NetworkUnavailable=%s (%s)', async (grace, status, reason) => {
    cluster = await startCluster({ count: 1 });
    cluster.adopt();
    cluster.calico('n1', grace);
    await until(() => condition('n1', 'NetworkUnavailable')?.reason === 'CalicoIsUp', 'Calico says that it is up');

    await cluster.stopPod('calico-n1', 'kube-system');

    expect(condition('n1', 'NetworkUnavailable')).toMatchObject({ status, reason });
  });
});

it('a dead-man timer fires after its time, once, and not when it is cancelled', async () => {
  cluster = await startCluster({ count: 1, pods: false });
  const node = cluster.node('n1');
  const fired: string[] = [];

  node.startTimer('cutover-revert', 20, 'revert', async () => void fired.push('revert'));
  node.startTimer('other', 20, 'never', async () => void fired.push('never'));
  const armed = node.state().revertArmed;
  node.timers.get('other')!.cancel();
  await until(() => fired.length > 0, 'it fires');

  expect(armed).toBe(true);
  expect(fired).toEqual(['revert']);
  expect(node.state()).toMatchObject({ revertArmed: false, revertFired: true });
  expect(node.timers.has('other')).toBe(false);
});

it('a link takes its routes with it, and frees its ports', async () => {
  cluster = await startCluster({ count: 2 });
  const node = cluster.node('n1');

  expect(node.deleteLink('cni0')).toBe(true);
  expect(node.deleteLink('cni0')).toBe(false);

  expect(node.routes.some(({ dev }) => dev === 'cni0')).toBe(false);
  expect([...node.links.values()].some(({ master }) => master === 'cni0')).toBe(false);
  expect(cluster.toPod('default/a-n2', 'a-n1').delivered).toBe(false);
  expect(cluster.toPod('default/a-n1', 'b-n1').reason).toBe('n1: the bridge of default/a-n1 is gone');
});

it('host-local hands out no address twice while a lease file is there', async () => {
  cluster = await startCluster({ count: 1 });
  const node = cluster.node('n1');
  for (let at = 4; at < 254; at += 1) node.write(`${LEASES}10.244.0.${at}`, 'leaked\r\neth0');

  cluster.pod('last', 'n1');
  await until(() => cluster.ip('last') !== undefined, 'it has an address');
  cluster.pod('none', 'n1');
  await until(() => events('FailedCreatePodSandBox').length > 0, 'the range is used up');

  expect(cluster.ip('last')).toBe('10.244.0.254');
  expect(events('FailedCreatePodSandBox')[0]!['message']).toContain('no IP addresses available in range set');
});
