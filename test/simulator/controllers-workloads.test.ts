import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { KubernetesObject } from '../../src/simulator/types.ts';
import { addNode, deployment, podsOf, startControlPlane, statefulSet } from './control-plane.ts';

let plane: ReturnType<typeof startControlPlane>;
beforeEach(() => {
  plane = startControlPlane();
  ['n1', 'n2', 'n3'].forEach((name) => addNode(plane.store, name));
});
afterEach(() => {
  plane.stop();
  expect(plane.errors).toEqual([]);
});

const ready = (pod: KubernetesObject) =>
  pod.metadata.deletionTimestamp === undefined &&
  pod['status']?.conditions?.some(
    (each: { type: string; status: string }) => each.type === 'Ready' && each.status === 'True',
  );
const setImage = (image: string) =>
  plane.store.mutate(
    'deployments.apps',
    'default',
    'web',
    (object) => void (object['spec'].template.spec.containers[0].image = image),
  );
const allowed = (name: string): number =>
  plane.store.get('poddisruptionbudgets.policy', 'default', name)!['status'].disruptionsAllowed;

function budget(name: string, spec: object): KubernetesObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
  };
}

describe('Deployments', () => {
  it('bring a deleted pod back and report what runs', async () => {
    plane.store.create('deployments.apps', deployment('web', 3));
    const [first] = await plane.settled((store) => podsOf(store, 'web'));

    plane.store.delete('pods', 'default', first!.metadata.name);

    const pods = await plane.settled((store) => podsOf(store, 'web'));
    expect(pods).toHaveLength(3);
    expect(pods.map(({ metadata }) => metadata.uid)).not.toContain(first!.metadata.uid);
    expect(plane.store.get('deployments.apps', 'default', 'web')!['status']).toMatchObject({
      replicas: 3,
      readyReplicas: 3,
      updatedReplicas: 3,
      availableReplicas: 3,
    });
  });

  it('roll to a new template within maxUnavailable and maxSurge', async () => {
    plane.store.create('deployments.apps', deployment('web', 4));
    await plane.settled(() => undefined);
    let fewest = 4;
    let most = 4;
    plane.store.watch('pods', () => {
      fewest = Math.min(fewest, podsOf(plane.store, 'web').filter(ready).length);
    });
    plane.store.watch('replicasets.apps', () => {
      most = Math.max(
        most,
        plane.store.list('replicasets.apps').reduce((sum, set) => sum + set['spec'].replicas, 0),
      );
    });

    setImage('a:2');

    const pods = await plane.settled((store) => podsOf(store, 'web'));
    expect(pods.map((pod) => pod['spec'].containers[0].image)).toEqual(Array(4).fill('a:2'));
    expect(fewest).toBeGreaterThanOrEqual(3);
    expect(most).toBe(5);
  });

  it('stop a rollout whose pods do not become ready, and go back with the old template', async () => {
    plane.store.create('deployments.apps', deployment('web', 4));
    await plane.settled(() => undefined);
    plane.kubelets.hold('web');
    setImage('broken:1');
    expect((await plane.settled((store) => podsOf(store, 'web'))).filter(ready)).toHaveLength(3);

    setImage('a:1');
    plane.kubelets.release('web');

    const pods = await plane.settled((store) => podsOf(store, 'web'));
    expect(pods.map((pod) => pod['spec'].containers[0].image)).toEqual(Array(4).fill('a:1'));
    expect(plane.store.get('deployments.apps', 'default', 'web')!.metadata.annotations).toMatchObject({
      'deployment.kubernetes.io/revision': '3',
    });
  });

  it('scale down to nothing', async () => {
    plane.store.create('deployments.apps', deployment('web', 3));
    await plane.settled(() => undefined);

    plane.store.mutate('deployments.apps', 'default', 'web', (object) => void (object['spec'].replicas = 0));

    expect(await plane.settled((store) => podsOf(store, 'web'))).toEqual([]);
  });
});

describe('StatefulSets', () => {
  it('start their pods in order, one at a time', async () => {
    const order: string[] = [];
    plane.store.watch('pods', ({ type, object }) => {
      if (type === 'ADDED') order.push(object.metadata.name);
    });
    plane.kubelets.hold('db');
    plane.store.create('statefulsets.apps', statefulSet('db', 3));
    await plane.settled(() => undefined);
    expect(order).toEqual(['db-0']);

    plane.kubelets.release('db');

    await plane.settled(() => undefined);
    expect(order).toEqual(['db-0', 'db-1', 'db-2']);
  });
});

describe('EndpointSlices', () => {
  it('list ready pods, and take a terminating one out of service', async () => {
    plane.store.create('deployments.apps', deployment('web', 2, { terminationGracePeriodSeconds: 30 }));
    plane.store.create('services', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    });
    await plane.settled(() => undefined);
    const slice = () =>
      plane.store.list('endpointslices.discovery.k8s.io', {
        namespace: 'default',
        labelSelector: 'kubernetes.io/service-name=web',
      })[0]!;
    expect(slice()['endpoints'].map((each: { conditions: { ready: boolean } }) => each.conditions.ready)).toEqual([
      true,
      true,
    ]);
    expect(slice()['ports']).toEqual([{ name: '', port: 8080, protocol: 'TCP' }]);
    const seen: unknown[] = [];
    plane.store.watch('endpointslices.discovery.k8s.io', ({ object }) =>
      seen.push(object['endpoints'].map((each: { conditions: unknown }) => each.conditions)),
    );
    const [victim] = podsOf(plane.store, 'web');
    plane.silent.add(victim!['spec'].nodeName);

    plane.store.delete('pods', 'default', victim!.metadata.name);

    await plane.settled(() => undefined);
    expect(seen.flat()).toContainEqual({ ready: false, serving: true, terminating: true });
    expect(
      plane.store.get('endpoints', 'default', 'web')!['subsets'][0].addresses.map((each: { ip: string }) => each.ip),
    ).not.toContain(victim!['status'].podIP);
  });
});

it('a Service that publishes addresses that are not ready has a terminating pod too', async () => {
  plane.store.create('deployments.apps', deployment('web', 1, { terminationGracePeriodSeconds: 30 }));
  plane.store.create('services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default' },
    spec: { publishNotReadyAddresses: true, selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
  });
  await plane.settled(() => undefined);
  const [victim] = podsOf(plane.store, 'web');
  plane.silent.add(victim!['spec'].nodeName);

  plane.store.delete('pods', 'default', victim!.metadata.name);

  await plane.settled(() => undefined);
  const [slice] = plane.store.list('endpointslices.discovery.k8s.io', { namespace: 'default' });
  const of = (each: { targetRef: { name: string } }): boolean => each.targetRef.name === victim!.metadata.name;
  expect(slice!['endpoints'].find(of).conditions).toEqual({ ready: true, serving: true, terminating: true });
  expect(plane.store.get('endpoints', 'default', 'web')!['subsets'][0].addresses.some(of)).toBe(true);
});

describe('PodDisruptionBudgets', () => {
  it.each([
    [{ minAvailable: 3 }, { expectedPods: 4, desiredHealthy: 3, currentHealthy: 4, disruptionsAllowed: 1 }],
    [{ minAvailable: '50%' }, { expectedPods: 4, desiredHealthy: 2, currentHealthy: 4, disruptionsAllowed: 2 }],
    [{ maxUnavailable: 1 }, { expectedPods: 4, desiredHealthy: 3, currentHealthy: 4, disruptionsAllowed: 1 }],
    [{ maxUnavailable: '30%' }, { expectedPods: 4, desiredHealthy: 2, currentHealthy: 4, disruptionsAllowed: 2 }],
    [{ minAvailable: 5 }, { expectedPods: 4, desiredHealthy: 5, currentHealthy: 4, disruptionsAllowed: 0 }],
  ])('with %j on four pods come to %j', async (spec, status) => {
    plane.store.create('deployments.apps', deployment('web', 4));

    plane.store.create('poddisruptionbudgets.policy', budget('web', spec));

    expect(
      await plane.settled((store) => store.get('poddisruptionbudgets.policy', 'default', 'web')!['status']),
    ).toMatchObject(status);
  });

  it('count a pod that was granted an eviction as gone, and forget it when it is', async () => {
    plane.store.create('deployments.apps', deployment('web', 2));
    plane.store.create('poddisruptionbudgets.policy', budget('web', { maxUnavailable: 1 }));
    const [victim] = await plane.settled((store) => podsOf(store, 'web'));
    expect(allowed('web')).toBe(1);

    plane.clock.setSpeed(1);
    plane.store.mutate('poddisruptionbudgets.policy', 'default', 'web', (object) => {
      object['status'].disruptedPods = { [victim!.metadata.name]: new Date().toISOString() };
    });
    expect(await plane.settled(() => allowed('web'))).toBe(0);

    plane.store.delete('pods', 'default', victim!.metadata.name);
    expect(await plane.settled(() => allowed('web'))).toBe(1);
    expect(plane.store.get('poddisruptionbudgets.policy', 'default', 'web')!['status'].disruptedPods).toBeUndefined();
  });

  it('allow nothing while the fault pdb-never-yields is on, and yield when it is cleared', async () => {
    plane.store.create('deployments.apps', deployment('web', 4));
    plane.store.create('poddisruptionbudgets.policy', budget('web', { maxUnavailable: 1 }));
    plane.store.create('poddisruptionbudgets.policy', budget('other', { maxUnavailable: 1 }));
    await plane.settled(() => undefined);

    plane.faults.inject({ name: 'pdb-never-yields', budget: 'default/web' });
    expect(await plane.settled(() => [allowed('web'), allowed('other')])).toEqual([0, 1]);

    plane.faults.clear('pdb-never-yields');
    expect(await plane.settled(() => [allowed('web'), allowed('other')])).toEqual([1, 1]);
  });
});

describe('Namespaces', () => {
  it('get a default service account', async () => {
    plane.store.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });

    expect(await plane.settled((store) => store.get('serviceaccounts', 'shop', 'default')?.metadata.name)).toBe(
      'default',
    );
  });
});
