import { afterEach, describe, expect, it } from 'vitest';

import type { ObjectStore } from '../../src/simulator/types.ts';
import { addNode, barePod, daemonSet, deployment, nodesOf, podsOf, startControlPlane } from './control-plane.ts';

let plane: ReturnType<typeof startControlPlane>;
afterEach(() => {
  plane.stop();
  expect(plane.errors).toEqual([]);
});

const hostPort = (port: number) => ({
  containers: [{ name: 'main', image: 'a:1', ports: [{ containerPort: 80, hostPort: port }] }],
});

describe('the scheduler', () => {
  it('spreads the replicas of one owner over zones first and nodes second', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'a-1', { zone: 'a' });
    addNode(plane.store, 'a-2', { zone: 'a' });
    addNode(plane.store, 'b-1', { zone: 'b' });

    plane.store.create('deployments.apps', deployment('web', 4));

    expect(await plane.settled((store) => nodesOf(store, 'web'))).toEqual(['a-1', 'a-2', 'b-1', 'b-1']);
  });

  it.each([
    ['a cordoned node', { unschedulable: true }, {}, 'node(s) were unschedulable'],
    [
      'a taint',
      { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] },
      {},
      'node(s) had untolerated taint {dedicated: db}',
    ],
    ['a nodeSelector', {}, { nodeSelector: { disk: 'ssd' } }, "node(s) didn't match Pod's node affinity/selector"],
  ])('leaves a pod pending because of %s, and says so', async (_why, node, pod, reason) => {
    plane = startControlPlane();
    addNode(plane.store, 'one', node);

    plane.store.create('pods', barePod('lonely', pod));

    const [lonely] = await plane.settled((store) => podsOf(store, 'lonely'));
    expect(lonely!['spec'].nodeName).toBeUndefined();
    expect(lonely!['status'].conditions).toContainEqual(
      expect.objectContaining({
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message: expect.stringContaining(`0/1 nodes are available: 1 ${reason}`),
      }),
    );
    expect(plane.store.list('events').map((event) => event['reason'])).toContain('FailedScheduling');
  });

  it('places a waiting pod as soon as the node takes pods again', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'one', { unschedulable: true });
    plane.store.create('pods', barePod('waiting'));
    await plane.settled(() => undefined);

    plane.store.mutate('nodes', undefined, 'one', (node) => void delete node['spec'].unschedulable);

    expect(await plane.settled((store) => nodesOf(store, 'waiting'))).toEqual(['one']);
  });

  it('gives a host port once, and again when its pod is gone', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'one');
    plane.store.create('pods', barePod('first', hostPort(8080)));
    await plane.settled(() => undefined);
    plane.store.create('pods', barePod('second', hostPort(8080)));
    expect(await plane.settled((store) => nodesOf(store, 'second'))).toEqual(['']);

    plane.store.delete('pods', 'default', 'first');

    expect(await plane.settled((store) => nodesOf(store, 'second'))).toEqual(['one']);
  });
});

describe('the DaemonSet controller', () => {
  const select = (store: typeof plane.store, value: string) =>
    store.mutate('daemonsets.apps', 'default', 'agent', (set) => {
      set['spec'].template.spec.nodeSelector = { cni: value };
    });

  it('puts one pod on each node that fits, cordoned ones included', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'one');
    addNode(plane.store, 'two', { unschedulable: true });
    addNode(plane.store, 'tainted', { taints: [{ key: 'dedicated', effect: 'NoSchedule' }] });

    plane.store.create('daemonsets.apps', daemonSet('agent'));

    expect(await plane.settled((store) => nodesOf(store, 'agent'))).toEqual(['one', 'two']);
    expect(plane.store.get('daemonsets.apps', 'default', 'agent')!['status']).toMatchObject({
      desiredNumberScheduled: 2,
      currentNumberScheduled: 2,
      numberReady: 2,
      updatedNumberScheduled: 2,
      numberAvailable: 2,
      numberMisscheduled: 0,
      observedGeneration: 1,
    });
  });

  it('takes its pod away from a node that loses the label, and brings it back with the label', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'one', { labels: { cni: 'flannel' } });
    addNode(plane.store, 'two', { labels: { cni: 'flannel' } });
    plane.store.create('daemonsets.apps', daemonSet('agent', { nodeSelector: { cni: 'flannel' } }));
    await plane.settled(() => undefined);
    const label = (value: string) =>
      plane.store.mutate('nodes', undefined, 'two', ({ metadata }) => void (metadata.labels!['cni'] = value));

    label('none');
    expect(await plane.settled((store) => nodesOf(store, 'agent'))).toEqual(['one']);

    label('flannel');
    expect(await plane.settled((store) => nodesOf(store, 'agent'))).toEqual(['one', 'two']);
  });

  it('never has more than maxUnavailable nodes without a ready pod while it rolls', async () => {
    plane = startControlPlane();
    const names = ['n1', 'n2', 'n3', 'n4'];
    names.forEach((name) => addNode(plane.store, name, { labels: { cni: 'flannel' } }));
    plane.store.create(
      'daemonsets.apps',
      daemonSet('agent', {}, { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } } }),
    );
    await plane.settled(() => undefined);
    const before = new Set(podsOf(plane.store, 'agent').map(({ metadata }) => metadata.uid));
    let worst = names.length;
    plane.store.watch('pods', () => {
      const ready = podsOf(plane.store, 'agent').filter(
        (pod) =>
          !pod.metadata.deletionTimestamp &&
          pod['status'].conditions?.some(
            (each: { type: string; status: string }) => each.type === 'Ready' && each.status === 'True',
          ),
      );
      worst = Math.min(worst, ready.length);
    });

    select(plane.store, 'flannel');

    const after = await plane.settled((store) => podsOf(store, 'agent'));
    expect(nodesOf(plane.store, 'agent')).toEqual(names);
    expect(after.filter(({ metadata }) => before.has(metadata.uid))).toEqual([]);
    expect(worst).toBe(3);
    expect(plane.store.get('daemonsets.apps', 'default', 'agent')!['status']).toMatchObject({
      updatedNumberScheduled: 4,
      observedGeneration: 2,
    });
  });

  it('waits with OnDelete until a person deletes the old pod', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'one', { labels: { cni: 'flannel' } });
    plane.store.create('daemonsets.apps', daemonSet('agent', {}, { updateStrategy: { type: 'OnDelete' } }));
    const [old] = await plane.settled((store) => podsOf(store, 'agent'));
    select(plane.store, 'flannel');
    expect((await plane.settled((store) => podsOf(store, 'agent')))[0]!.metadata.uid).toBe(old!.metadata.uid);

    plane.store.delete('pods', 'default', old!.metadata.name);

    const [young] = await plane.settled((store) => podsOf(store, 'agent'));
    expect(young!['spec'].nodeSelector).toEqual({ cni: 'flannel' });
  });
});

describe('the node controllers', () => {
  it('mark a silent node Unknown, taint it, and move its pods away when their patience ends', async () => {
    plane = startControlPlane({ nodeGraceMs: 0, speed: 1000 });
    addNode(plane.store, 'one');
    addNode(plane.store, 'two');
    plane.store.create('deployments.apps', deployment('web', 1, { nodeSelector: undefined }));
    const [home] = await plane.settled((store) => nodesOf(store, 'web'));

    plane.silent.add(home!);

    await expect.poll(() => nodesOf(plane.store, 'web').filter((node) => node !== home)).toHaveLength(1);
    const node = plane.store.get('nodes', undefined, home!)!;
    expect(node['status'].conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'Unknown' }));
    expect(
      node['spec'].taints.map((taint: { key: string; effect: string }) => `${taint.key}:${taint.effect}`).sort(),
    ).toEqual(['node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/unreachable:NoSchedule']);
  });

  it('take the taint away when the kubelet reports again', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'one');
    const report = (status: string) =>
      plane.store.mutate('nodes', undefined, 'one', (node) => void (node['status'].conditions[0].status = status));
    report('False');
    expect(await plane.settled((store) => store.get('nodes', undefined, 'one')!['spec'].taints)).toHaveLength(2);

    report('True');

    expect(await plane.settled((store) => store.get('nodes', undefined, 'one')!['spec'].taints)).toBeUndefined();
  });

  it('mark a cordoned node with a taint for as long as it is cordoned', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'one', { unschedulable: true });
    const taints = (store: ObjectStore) => store.get('nodes', undefined, 'one')!['spec'].taints;
    expect(await plane.settled(taints)).toEqual([
      expect.objectContaining({ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }),
    ]);

    plane.store.mutate('nodes', undefined, 'one', (node) => void (node['spec'].unschedulable = false));

    expect(await plane.settled(taints)).toBeUndefined();
  });

  it('remove the pods of a node that was deleted', async () => {
    plane = startControlPlane();
    addNode(plane.store, 'one');
    plane.store.create('pods', barePod('stranded'));
    await plane.settled(() => undefined);

    plane.store.delete('nodes', undefined, 'one');

    expect(await plane.settled((store) => podsOf(store, 'stranded'))).toEqual([]);
  });
});
