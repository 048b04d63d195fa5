import { afterEach, beforeEach, expect, it } from 'vitest';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { until } from '../support/until.ts';
import { migration, startWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

const deployment = (name: string, replicas: number, pod: object = {}): KubernetesObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: 'default' },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'a:1' }], ...pod } },
  },
});
const bare = (name: string, change: object = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { app: name }, ...change },
  spec: { nodeName: 'w1', containers: [{ name: 'main', image: 'a:1' }] },
});
const onNode = (name: string, app?: string): string[] =>
  world.store
    .list('pods', { fieldSelector: `spec.nodeName=${name}`, ...(app ? { labelSelector: `app=${app}` } : {}) })
    .map(({ metadata }) => metadata.name);
const cordon = (name: string): void =>
  void world.store.mutate('nodes', undefined, name, (node) => void (node['spec'].unschedulable = true));

/** All replicas on w1: the others take no pods while it is deployed. */
async function deployOnW1(name: string, replicas: number, pod: object = {}): Promise<void> {
  for (const other of ['w2', 'w3']) cordon(other);
  world.store.create('deployments.apps', deployment(name, replicas, pod));
  await world.settled();
  for (const other of ['w2', 'w3'])
    world.store.mutate('nodes', undefined, other, (node) => void delete node['spec'].unschedulable);
  cordon('w1');
  await world.settled();
}

async function budget(name: string, minAvailable: number): Promise<void> {
  world.store.create('poddisruptionbudgets.policy', {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace: 'default' },
    spec: { minAvailable, selector: { matchLabels: { app: name } } },
  });
  await world.settled();
}

it('moves what has to leave and lets DaemonSet pods stay', async () => {
  await deployOnW1('web', 3);
  const agents = onNode('w1', 'flannel');
  expect(onNode('w1', 'web')).toHaveLength(3);

  const result = await world.run('node.drain', { node: 'w1' });

  expect(result).toMatchObject({ changed: true, summary: '3 pods moved' });
  expect(onNode('w1')).toEqual(agents);
  await world.settled();
  expect([...onNode('w2', 'web'), ...onNode('w3', 'web')]).toHaveLength(3);
});

it('finds nothing to do when it is run again', async () => {
  await deployOnW1('web', 2);
  await world.run('node.drain', { node: 'w1' });

  expect(await world.run('node.drain', { node: 'w1' })).toMatchObject({
    changed: false,
    summary: 'no pod had to leave w1',
  });
});

it('goes on where an attempt was cut off', async () => {
  await deployOnW1('web', 3);
  const cancel = new AbortController();
  world.between.kubernetes = (client) => ({
    ...client,
    evict: async (pod) => {
      const answer = await client.evict(pod);
      cancel.abort();
      return answer;
    },
  });
  await expect(world.run('node.drain', { node: 'w1', cancel: cancel.signal })).rejects.toMatchObject({
    name: 'CancelledFailure',
  });
  world.between.kubernetes = (client) => client;

  await world.run('node.drain', { node: 'w1' });

  expect(onNode('w1', 'web')).toEqual([]);
});

it('keeps within a budget, tries again, and says how often it was refused', async () => {
  await deployOnW1('web', 3);
  await budget('web', 2);

  const result = await world.run('node.drain', { node: 'w1' });

  expect(result.summary).toMatch(/^3 pods moved(, \d+ evictions? (was|were) refused at first)?$/);
  expect(onNode('w1', 'web')).toEqual([]);
});

it('asks for pods of one owner one after the other, and for those of others meanwhile', async () => {
  await deployOnW1('web', 3);
  world.store.mutate('nodes', undefined, 'w1', (node) => void delete node['spec'].unschedulable);
  await deployOnW1('api', 1);
  const under: string[] = [];
  const seen: string[] = [];
  world.between.kubernetes = (client) => ({
    ...client,
    evict: async (pod) => {
      under.push(pod.name.split('-')[0]!);
      seen.push(under.toSorted().join(' '));
      const answer = await client.evict(pod);
      under.splice(under.indexOf(pod.name.split('-')[0]!), 1);
      return answer;
    },
  });

  await world.run('node.drain', { node: 'w1' });

  expect(seen).toHaveLength(4);
  expect(seen).toContain('api web');
  expect(seen.filter((apps) => apps.includes('web web'))).toEqual([]);
});

it('tries again the moment a budget lets a pod go, however seldom the plan wants tries', async () => {
  await world.stop();
  world = await startWorld({
    plan: { drain: { timeoutSeconds: 15, retrySeconds: 3_600, deleteEmptyDirData: false, force: false } },
  });
  await deployOnW1('web', 3);
  await budget('web', 2);

  const result = await world.run('node.drain', { node: 'w1' });

  expect(result.summary).toContain('refused at first');
  expect(onNode('w1', 'web')).toEqual([]);
});

it('waits longer than the plan says for an eviction that was cut off, because it lapses by itself', async () => {
  await world.stop();
  world = await startWorld({
    plan: { drain: { timeoutSeconds: 3, retrySeconds: 0.2, deleteEmptyDirData: false, force: false } },
  });
  await deployOnW1('web', 3);
  await budget('web', 2);
  world.clock.setSpeed(10);
  const [granted] = onNode('w1', 'web');
  // What the API server leaves behind when its client dies in the middle of an eviction: granted, never deleted.
  world.store.mutate('poddisruptionbudgets.policy', 'default', 'web', (object) => {
    object['status'].disruptedPods = { [granted!]: new Date(Date.now() - 6_000).toISOString() };
  });
  await until(
    () => world.store.get('poddisruptionbudgets.policy', 'default', 'web')!['status'].currentHealthy === 2,
    'the budget is jammed',
  );

  const result = await world.run('node.drain', { node: 'w1' });

  expect(onNode('w1', 'web')).toEqual([]);
  expect(result.summary).toContain('refused at first');
});

it('names pod, budget and arithmetic when a budget never yields, and has shown them while it waited', async () => {
  await deployOnW1('web', 2);
  await budget('web', 2);
  const blocked: unknown[] = [];

  const failure = await world
    .run('node.drain', {
      node: 'w1',
      timeoutMs: 6_000,
      onHeartbeat: (details) => void (details['blocked'] && blocked.push(details['blocked'])),
    })
    .catch((error: unknown) => error);

  expect(failure).toMatchObject({
    type: 'DrainBlocked',
    nonRetryable: true,
    message: expect.stringContaining('(budget default/web needs 2 healthy, has 2)'),
    details: [{ node: 'w1', blocked: [{ budgets: ['default/web'] }, { budgets: ['default/web'] }] }],
  });
  expect(onNode('w1', 'web')).toHaveLength(2);
  expect(blocked.at(-1)).toMatchObject([{ reason: 'budget default/web needs 2 healthy, has 2' }, {}]);
  expect(world.records.records({ migration, kind: ['step.ended'] })[0]).toMatchObject({
    outcome: 'failed',
    error: { type: 'DrainBlocked' },
  });
});

it('evicts nothing at all when a pod is there that nobody would bring back', async () => {
  await deployOnW1('web', 1);
  world.store.create('pods', bare('alone'));
  await world.settled();

  const failure = await world.run('node.drain', { node: 'w1' }).catch((error: unknown) => error);

  expect(failure).toMatchObject({
    type: 'DrainBlocked',
    message: '1 pod of w1 may not be evicted: default/alone (no controller would bring it back)',
  });
  expect(onNode('w1', 'web')).toHaveLength(1);
});

it('moves a bare pod when the plan says so, and leaves mirror pods and probes', async () => {
  await world.stop();
  world = await startWorld({
    plan: { drain: { timeoutSeconds: 10, retrySeconds: 0.1, deleteEmptyDirData: true, force: true } },
  });
  world.store.create('pods', bare('alone'));
  world.store.create('pods', bare('static', { annotations: { 'kubernetes.io/config.mirror': 'x' } }));
  world.store.create('pods', bare('probe', { labels: { 'app.kubernetes.io/managed-by': 'cutover' } }));
  await world.settled();

  expect(await world.run('node.drain', { node: 'w1' })).toMatchObject({ summary: '1 pod moved' });
  expect(onNode('w1').toSorted()).toEqual(expect.arrayContaining(['probe', 'static']));
});

it('names a pod that was evicted and does not end', async () => {
  await deployOnW1('web', 1);
  world.kubelets.hanging.add('web');

  const failure = await world.run('node.drain', { node: 'w1', timeoutMs: 5_000 }).catch((error: unknown) => error);

  expect(failure).toMatchObject({
    type: 'DrainBlocked',
    message: expect.stringMatching(/web-\S+ \(terminating since 20/),
    details: [{ remedy: 'look at what keeps these pods from ending' }],
  });
});

it.each([
  ['without a budget', 0],
  ['with a budget', 1],
])('never moves what the cluster depends on from two nodes at once, %s', async (_title, available) => {
  const labels = { 'k8s-app': 'kube-dns' };
  const dns = deployment('coredns', 2);
  world.store.create('services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace: 'kube-system' },
    spec: { selector: labels, ports: [{ port: 53, protocol: 'UDP' }] },
  });
  // One on each of two nodes.
  cordon('w3');
  world.store.create('deployments.apps', {
    ...dns,
    metadata: { name: 'coredns', namespace: 'kube-system' },
    spec: {
      ...dns['spec'],
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'a:1' }] } },
    },
  });
  if (available > 0)
    world.store.create('poddisruptionbudgets.policy', {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'coredns', namespace: 'kube-system' },
      spec: { minAvailable: available, selector: { matchLabels: labels } },
    });
  await world.settled();
  const pods = (): KubernetesObject[] => world.store.list('pods', { labelSelector: 'k8s-app=kube-dns' });
  expect(new Set(pods().map(({ spec }) => spec.nodeName))).toEqual(new Set(['w1', 'w2']));
  world.store.mutate('nodes', undefined, 'w3', (node) => void delete node['spec'].unschedulable);
  for (const node of ['w1', 'w2']) cordon(node);

  const answering = (): number =>
    pods().filter(
      ({ metadata, status }) =>
        !metadata.deletionTimestamp &&
        status?.conditions?.some(
          ({ type, status: of }: { type: string; status: string }) => type === 'Ready' && of === 'True',
        ),
    ).length;
  let waits = '';
  // The first that is moved does not become Ready for a while.
  world.kubelets.broken.set('kube-dns', 'ErrImagePull');
  const drains = Promise.all(
    ['w1', 'w2'].map((node) =>
      world.run('node.drain', { node, activityId: node, onHeartbeat: ({ message }) => (waits += message) }),
    ),
  );
  await until(() => pods().some(({ spec }) => spec.nodeName === 'w3'), 'one of them is moved');
  await until(() => waits.includes('refused'), 'the other drain has asked, and waits');
  expect(answering()).toBe(1);

  world.kubelets.broken.clear();
  for (const { metadata } of pods())
    world.store.mutate(
      'pods',
      'kube-system',
      metadata.name,
      (pod) => void (pod.metadata.annotations = { seen: 'again' }),
    );
  expect((await drains).map(({ summary }) => summary.slice(0, 11))).toEqual(['1 pod moved', '1 pod moved']);
  await world.settled();
  expect(pods().map(({ spec }) => spec.nodeName)).toEqual(['w3', 'w3']);
});
