import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CutoverError } from '../../src/errors.ts';
import { flannelDaemonSet, nodeNames, startWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

const failure = (running: Promise<unknown>) => running.catch((error: unknown) => error);
const configMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
  data: {},
};

describe('the probes', () => {
  it('run on every node, cordoned or not, and are found running the second time', async () => {
    world.store.mutate('nodes', undefined, 'w2', (node) => void (node['spec'].unschedulable = true));

    expect(await world.run('probe.deploy')).toMatchObject({ changed: true, summary: 'probes are Ready on 3 nodes' });
    expect(await world.run('probe.deploy')).toMatchObject({ changed: false });
    expect(world.store.list('pods', { namespace: 'cutover-probe' })).toHaveLength(6);
    expect(world.store.get('services', 'cutover-probe', 'cutover-probe')?.['spec'].ports[0].nodePort).toBe(30_999);
  });

  it('leave nothing behind', async () => {
    await world.run('probe.deploy');
    await world.run('probe.remove');

    expect(world.store.get('namespaces', undefined, 'cutover-probe')).toBeUndefined();
    expect(world.store.list('pods', { namespace: 'cutover-probe' })).toEqual([]);
    expect(await world.run('probe.remove')).toMatchObject({ changed: false, summary: 'there were no probes' });
  });

  it('leave a namespace that was there before', async () => {
    world.store.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'cutover-probe' } });

    await world.run('probe.deploy');
    await world.run('probe.remove');

    expect(world.store.get('namespaces', undefined, 'cutover-probe')?.metadata.deletionTimestamp).toBeUndefined();
    expect(world.store.list('daemonsets.apps', { namespace: 'cutover-probe' })).toEqual([]);
  });
});

describe('the end of Flannel', () => {
  it('comes when the last pod of its DaemonSet is gone', async () => {
    expect(await world.run('cluster.deleteDaemonSet', { with: flannelDaemonSet })).toMatchObject({ changed: true });
    expect(world.store.list('pods', { namespace: 'kube-flannel' })).toEqual([]);
    expect(await world.run('cluster.deleteDaemonSet', { with: flannelDaemonSet })).toMatchObject({ changed: false });
  });

  it('waits for a pod that does not end, and names it', async () => {
    world.kubelets.hanging.add('flannel');

    expect(
      await failure(world.run('cluster.deleteDaemonSet', { with: flannelDaemonSet, timeoutMs: 3_000 })),
    ).toMatchObject({ type: 'StepTimedOut', message: expect.stringContaining('3 pods of kube-flannel-ds do not end') });
  });

  it('takes its files from every node, once', async () => {
    const beat = Promise.withResolvers<{ message: string }>();
    world.nodes.before.run = async (node, verb) => {
      // The last node waits until Temporal has heard of the others.
      if (node === 'w3' && verb === 'clean-flannel') await beat.promise;
    };

    await world.run('cluster.cleanNodes', { onHeartbeat: beat.resolve });

    expect(nodeNames.map((name) => world.nodes.state(name).confs)).toEqual([[], [], []]);
    expect(await beat.promise).toEqual({ message: '2 of 3 nodes cleaned' });
    expect(await world.run('cluster.cleanNodes')).toMatchObject({ changed: false });
  });

  it('gives every node its turn when one fails, and names that one', async () => {
    world.nodes.before.run = (node) => {
      if (node === 'w2') throw new CutoverError('NodeUnreachable', 'no answer from w2');
    };

    expect(await failure(world.run('cluster.cleanNodes'))).toMatchObject({
      type: 'NodeUnreachable',
      nonRetryable: true,
      message: '1 node could not be cleaned: w2: no answer from w2',
      details: [{ nodes: [{ node: 'w2' }] }],
    });
    expect(world.nodes.state('w3').confs).toEqual([]);
  });

  it('takes objects, namespace and annotations, and lets the nodes forget the migration', async () => {
    world.store.create('configmaps', configMap);
    await world.run('node.snapshot', { node: 'w1' });
    await world.run('cluster.deleteDaemonSet', { with: flannelDaemonSet });

    const result = await world.run('cluster.removeFlannel');

    expect(result).toMatchObject({ changed: true });
    expect(world.store.get('namespaces', undefined, 'kube-flannel')).toBeUndefined();
    expect(Object.keys(world.node('w2').metadata.annotations ?? {}).filter((key) => key.startsWith('flannel'))).toEqual(
      [],
    );
    expect(
      world.nodes.calls
        .filter(({ verb }) => verb === 'forget')
        .map(({ node }) => node)
        .toSorted(),
    ).toEqual(nodeNames);
    expect(await world.run('cluster.removeFlannel')).toMatchObject({ changed: false });
  });

  it('begins early, and what it began is waited for later', async () => {
    await world.run('cluster.deleteDaemonSet', { with: flannelDaemonSet });

    expect(await world.run('cluster.deleteFlannel')).toMatchObject({ changed: true });
    await world.run('cluster.removeFlannel');
    expect(world.store.get('namespaces', undefined, 'kube-flannel')).toBeUndefined();
    expect(await world.run('cluster.deleteFlannel')).toMatchObject({ changed: false });
  });

  it('leaves the namespace when somebody else lives in it', async () => {
    world.store.create('configmaps', configMap);
    world.store.create('pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'stranger', namespace: 'kube-flannel' },
      spec: { nodeName: 'w1', containers: [{ name: 'a', image: 'a:1' }] },
    });
    await world.run('cluster.deleteDaemonSet', { with: flannelDaemonSet });

    await world.run('cluster.removeFlannel');

    expect(world.store.get('namespaces', undefined, 'kube-flannel')?.metadata.deletionTimestamp).toBeUndefined();
    expect(world.store.get('configmaps', 'kube-flannel', 'kube-flannel-cfg')).toBeUndefined();
  });
});
