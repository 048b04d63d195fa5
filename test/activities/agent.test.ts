import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { calicoDaemonSet, daemonSet, flannelDaemonSet, networkLabel, startWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await startWorld();
  await world.run('cluster.labelNodes', { with: { key: networkLabel, value: 'flannel' } });
  await world.run('cluster.selectDaemonSet', { with: { ...flannelDaemonSet, key: networkLabel, value: 'flannel' } });
});
afterEach(() => world.stop());

const failure = (running: Promise<unknown>) => running.catch((error: unknown) => error);
const podsOn = (node: string, namespace: string): string[] =>
  world.store.list('pods', { namespace, fieldSelector: `spec.nodeName=${node}` }).map(({ metadata }) => metadata.name);
const stop = (node = 'w1') => ({ node, with: { ...flannelDaemonSet, key: networkLabel, value: 'none' } });
const start = (node = 'w1') => ({ node, with: { ...flannelDaemonSet, key: networkLabel, value: 'flannel' } });
const startCalico = (node = 'w1') => ({ node, with: { ...calicoDaemonSet, key: networkLabel, value: 'calico' } });

describe('stopping an agent', () => {
  it('waits until its pod is gone, on this node only', async () => {
    await world.run('node.stopAgent', stop());

    expect(podsOn('w1', 'kube-flannel')).toEqual([]);
    expect(podsOn('w2', 'kube-flannel')).toHaveLength(1);
    expect(world.node('w1').metadata.labels![networkLabel]).toBe('none');
  });

  it('waits for the runtime too, which may know a container longer than the API does', async () => {
    const pod = podsOn('w1', 'kube-flannel')[0]!;
    let looks = 0;
    world.nodes.before.run = (node) => {
      const sandboxes = [{ id: 'x', name: pod, namespace: 'kube-flannel', network: 'NODE' as const, ready: true }];
      world.nodes.state(node).sandboxes = ++looks < 3 ? sandboxes : [];
    };

    await world.run('node.stopAgent', stop());

    expect(looks).toBe(3);
  });

  it('does not wait for a sandbox that has ended: kubelet removes it a minute later', async () => {
    const pod = podsOn('w1', 'kube-flannel')[0]!;
    let looks = 0;
    world.nodes.before.run = (node) => {
      looks++;
      const ended = { id: 'x', name: pod, namespace: 'kube-flannel', network: 'NODE' as const, ready: false };
      world.nodes.state(node).sandboxes = [ended];
    };

    await world.run('node.stopAgent', stop());

    expect(looks).toBe(1);
  });

  it('does nothing the second time', async () => {
    await world.run('node.stopAgent', stop());

    expect(await world.run('node.stopAgent', stop())).toMatchObject({ changed: false });
  });

  it('names the pod that does not leave', async () => {
    world.kubelets.hanging.add('flannel');

    expect(await failure(world.run('node.stopAgent', { ...stop(), timeoutMs: 3_000 }))).toMatchObject({
      type: 'StepTimedOut',
      message: expect.stringMatching(/kube-flannel\/kube-flannel-ds-\S+ does not leave w1/),
    });
  });
});

describe('starting an agent', () => {
  it('takes the old links away once it runs, and leaves them when it does not come', async () => {
    await world.run('node.stopAgent', stop());
    world.kubelets.broken.set('flannel', 'ImagePullBackOff');
    const replacing = { ...start(), with: { ...start().with, replaces: 'flannel' } };

    await failure(world.run('node.startAgent', { ...replacing, timeoutMs: 2_000 }));
    expect(world.nodes.state('w1').links.map(({ name }) => name)).toContain('flannel.1');

    await world.run('node.stopAgent', stop());
    world.kubelets.broken.clear();
    await world.run('node.startAgent', replacing);
    expect(world.nodes.state('w1').links).toEqual([]);
  });

  it('arms the dead-man switch anew when the node has lost it, and says so', async () => {
    await world.run('node.stopAgent', stop());
    const replacing = { ...start(), with: { ...start().with, replaces: 'flannel' } };

    expect((await world.run('node.startAgent', replacing)).summary).toMatch(
      /is Ready on w1; the dead-man switch was gone, .* and is armed anew/,
    );
    expect(world.nodes.state('w1').revertArmed).toBe(true);
    expect((await world.run('node.startAgent', replacing)).summary).not.toContain('dead-man');
  });

  it('waits until its pod is Ready', async () => {
    await world.run('node.stopAgent', stop());

    const result = await world.run('node.startAgent', start());

    expect(result.summary).toMatch(/kube-flannel-ds-\S+ is Ready on w1/);
    expect(await world.run('node.startAgent', start())).toMatchObject({ changed: false });
  });

  it('gives the reason of the pod, and its last events, when it does not come', async () => {
    world.kubelets.broken.set('calico', 'ImagePullBackOff');
    world.store.create(
      'daemonsets.apps',
      daemonSet(
        calicoDaemonSet.namespace,
        calicoDaemonSet.name,
        { app: 'calico' },
        { hostNetwork: true, nodeSelector: { [networkLabel]: 'calico' } },
      ),
    );
    const watching = world.store.watch('pods', ({ type, object }) => {
      if (type === 'ADDED') world.store.event(object, 'Warning', 'Failed', 'Error: ImagePullBackOff', 'kubelet');
    });

    const failed = await failure(world.run('node.startAgent', { ...startCalico(), timeoutMs: 3_000 }));
    watching();

    expect(failed).toMatchObject({
      type: 'AgentNotReady',
      message: expect.stringMatching(
        /calico-node does not become ready on w1: calico-node-\S+: container agent: ImagePullBackOff: because of ImagePullBackOff/,
      ),
      details: [{ events: expect.arrayContaining(['Warning Failed: Error: ImagePullBackOff']) }],
    });
  });

  it('says so when the DaemonSet makes no pod at all', async () => {
    expect(await failure(world.run('node.startAgent', { ...startCalico(), timeoutMs: 2_000 }))).toMatchObject({
      type: 'AgentNotReady',
      message: expect.stringContaining('DaemonSet kube-system/calico-node makes no pod on it'),
    });
  });
});

describe('settling', () => {
  beforeEach(async () => {
    world.store.create('daemonsets.apps', daemonSet('default', 'logger', { app: 'logger' }, {}));
    world.store.create('services', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        type: 'NodePort',
        ports: [
          { port: 80, nodePort: 30_080 },
          { port: 53, nodePort: 30_053, protocol: 'UDP' },
        ],
      },
    });
    await world.settled();
    // As after purge and fence: kubelet is back, and the API still shows the pod as it was, Running with its old address.
    await world.run('node.purge', { node: 'w1' });
    await world.run('node.fence', { node: 'w1', with: { confName: '10-calico.conflist', clean: 'none' } });
    await world.run('node.startKubelet', { node: 'w1' });
    await world.settled();
  });
  const settle = { node: 'w1', with: { expect: 'k8s-pod-network' } };

  it('starts afresh what waits behind the back-off, once the runtime has the network', async () => {
    const [waiting] = podsOn('w1', 'default');
    world.nodes.state('w1').loadedNetworks = ['k8s-pod-network'];

    const result = await world.run('node.settle', settle);

    const after = world.store.list('pods', { labelSelector: 'app=logger', fieldSelector: 'spec.nodeName=w1' });
    expect(after.map(({ metadata }) => metadata.name)).not.toContain(waiting);
    expect(after[0]?.['status'].phase).toBe('Running');
    expect(result.summary).toContain('1 waiting pod started afresh; every DaemonSet pod is Ready');
    expect(world.nodes.calls.find(({ verb }) => verb === 'flush-syn-sent')?.input).toEqual({
      ports: '30080',
      link: 'vxlan.calico',
      waitSeconds: 10,
    });
  });

  it('leaves unanswered SYNs alone, and says so, on a node without conntrack', async () => {
    world.nodes.state('w1').loadedNetworks = ['k8s-pod-network'];
    world.nodes.state('w1').missingTools = ['conntrack'];

    const result = await world.run('node.settle', settle);

    expect(result.summary).toContain('unanswered connections stay for two minutes: the node has no conntrack');
    expect(world.nodes.calls.some(({ verb }) => verb === 'flush-syn-sent')).toBe(false);
  });

  it('starts nothing afresh the second time', async () => {
    world.nodes.state('w1').loadedNetworks = ['k8s-pod-network'];
    await world.run('node.settle', settle);
    const before = podsOn('w1', 'default');

    await world.run('node.settle', settle);

    expect(podsOn('w1', 'default')).toEqual(before);
  });

  it('waits for the runtime, and says what it has loaded instead', async () => {
    expect(await failure(world.run('node.settle', { ...settle, timeoutMs: 3_000 }))).toMatchObject({
      type: 'RuntimeNotLoaded',
      nonRetryable: false,
      message: 'the runtime of w1 has loaded cutover-fence, not k8s-pod-network',
    });
  });

  it('does not wait for ever for a pod that is connected and broken by itself', async () => {
    world.kubelets.broken.set('logger', 'CrashLoopBackOff');
    world.nodes.state('w1').loadedNetworks = ['k8s-pod-network'];

    const result = await world.run('node.settle', { ...settle, timeoutMs: 6_000 });

    expect(result.summary).toMatch(/default\/logger-\S+ not Ready, but connected/);
  });
});
