import { readFileSync, readdirSync } from 'node:fs';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { abortedMigrations, endedMigrations } from '../../activities/earlier.ts';
import type { SupportActivities } from '../../activities/types.ts';
import type { JsonObject } from '../../src/json.ts';
import { createdBy, foundState } from '../../src/kubernetes/marks.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import type { ClusterFacts } from '../../src/plan/facts.ts';
import type { CompiledPlan } from '../../src/plan/types.ts';
import { calicoDaemonSet, migration, networkLabel, startWorld, type World } from './world.ts';

const folder = new URL('../../plans/manifests/calico/', import.meta.url);
const bundle = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => ({ name, content: readFileSync(new URL(name, folder), 'utf8') }));
const earlier = 'test-0a1b2c';
const crds = { with: { bundle: 'manifests', only: 'CustomResourceDefinition' } };
const rest = { with: { bundle: 'manifests', except: 'CustomResourceDefinition' } };
const agents = { with: { ...rest.with, select: { ...calicoDaemonSet, key: networkLabel, value: 'calico' } } };

let world: World;
const failure = (promise: Promise<unknown>): Promise<{ type?: string; message: string }> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: { type?: string; message: string }) => error,
  );
const list = (plural: string): string[] => world.store.list(plural).map(({ metadata }) => metadata.name);
const resources = [
  'nodes',
  'serviceaccounts',
  'configmaps',
  'daemonsets.apps',
  'customresourcedefinitions.apiextensions.k8s.io',
  ...['clusterroles', 'clusterrolebindings'].map((plural) => `${plural}.rbac.authorization.k8s.io`),
  ...['ippools', 'felixconfigurations', 'ipamconfigs', 'ipamblocks', 'ipamhandles', 'blockaffinities'].map(
    (plural) => `${plural}.crd.projectcalico.org`,
  ),
];
const moveToCalico = (name: string): void =>
  void world.store.mutate('nodes', undefined, name, (node) => void (node.metadata.labels![networkLabel] = 'calico'));

/** A Calico that migration has made, except a ConfigMap, which a person made. */
async function leftBy(maker: string): Promise<void> {
  world.store.create('configmaps', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'calico-config', namespace: 'kube-system' },
    data: { theirs: 'yes' },
  });
  await world.run('cluster.applyBundle', crds);
  await world.run('calico.adoptFlannelIpam');
  await world.run('cluster.applyBundle', agents);
  for (const plural of resources)
    for (const { metadata } of world.store.list(plural).filter((each) => makerOf(each) === migration))
      world.store.mutate(plural, metadata.namespace, metadata.name, (object) => {
        object.metadata.annotations![createdBy] = maker;
      });
}
const makerOf = (object: KubernetesObject | undefined): string | undefined => object?.metadata.annotations?.[createdBy];

const undoAll = async (): Promise<void> => {
  await world.run('cluster.deleteBundle', { ...rest, direction: 'back' });
  await world.run('calico.releaseFlannelIpam', { direction: 'back' });
  await world.run('cluster.deleteBundle', { ...crds, direction: 'back' });
};

describe('what an adopted migration made', () => {
  beforeEach(async () => {
    world = await startWorld({ bundle, plan: { adopts: [earlier] } });
    await leftBy(earlier);
  });
  afterEach(() => world.stop());

  it('is marked anew when it is applied again, and nothing of anybody else is', async () => {
    await world.run('cluster.applyBundle', agents);

    expect(makerOf(world.store.get('daemonsets.apps', 'kube-system', 'calico-node'))).toBe(migration);
    expect(makerOf(world.store.get('configmaps', 'kube-system', 'calico-config'))).toBeUndefined();
  });

  it('is taken back whole, and nothing of anybody else is', async () => {
    await undoAll();

    expect(list('customresourcedefinitions.apiextensions.k8s.io')).toEqual([]);
    expect(world.store.get('daemonsets.apps', 'kube-system', 'calico-node')).toBeUndefined();
    expect(world.store.get('configmaps', 'kube-system', 'calico-config')?.['data']).toMatchObject({ theirs: 'yes' });
    expect(Object.keys(world.node('w1').metadata.annotations!).filter((key) => /calico|cutover/.test(key))).toEqual([]);
  });

  it("is not written over: blocks of nodes that have moved are Calico's, also one that it gave up", async () => {
    moveToCalico('w1');
    const block = '10-244-1-128-26';
    world.store.delete('ipamblocks.crd.projectcalico.org', undefined, block);
    world.store.mutate(
      'ipamblocks.crd.projectcalico.org',
      undefined,
      '10-244-1-64-26',
      ({ spec }) => void (spec.allocations[5] = 0),
    );

    expect(await world.run('calico.adoptFlannelIpam')).toMatchObject({
      summary: expect.stringContaining(': 0 objects written'),
    });

    expect(list('ipamblocks.crd.projectcalico.org')).not.toContain(block);
    expect(
      world.store.get('ipamblocks.crd.projectcalico.org', undefined, '10-244-1-64-26')!['spec'].allocations[5],
    ).toBe(0);
  });
});

describe('what a migration made that the plan does not adopt', () => {
  beforeEach(async () => {
    world = await startWorld({ bundle });
    await leftBy(earlier);
  });
  afterEach(() => world.stop());

  it('stays', async () => {
    await undoAll();

    expect(list('customresourcedefinitions.apiextensions.k8s.io')).toContain('ippools.crd.projectcalico.org');
    expect(world.store.get('daemonsets.apps', 'kube-system', 'calico-node')).toBeDefined();
    expect(list('ippools.crd.projectcalico.org')).toEqual(['default-ipv4-ippool']);
  });
});

describe('under a node on the new network', () => {
  beforeEach(async () => {
    world = await startWorld({ bundle });
    await world.run('cluster.labelNodes', { with: { key: networkLabel, value: 'flannel' } });
    moveToCalico('w2');
  });
  afterEach(() => world.stop());

  it.each<[string, JsonObject]>([
    ['cluster.deleteBundle', rest.with],
    ['calico.releaseFlannelIpam', {}],
    ['cluster.unselectDaemonSet', { namespace: 'kube-flannel', name: 'kube-flannel-ds', key: networkLabel }],
    ['cluster.unlabelNodes', { key: networkLabel }],
    ['probe.remove', {}],
  ])('nothing is taken away by %s', async (verb, args) => {
    const before = world.store.resourceVersion;

    expect(await failure(world.run(verb, { with: args, direction: 'back' }))).toMatchObject({
      type: 'ChecksFailed',
      message: 'w2 is still on calico, and nothing is taken away under it',
    });
    expect(world.store.resourceVersion).toBe(before);
  });
});

describe('earlier migrations', () => {
  beforeEach(async () => {
    world = await startWorld();
  });
  afterEach(() => world.stop());
  const ended = (id: string, outcome: string, plan: Partial<CompiledPlan> = {}): void => {
    const planHash = world.records.putDocument('plan', { ...world.plan, ...plan } as unknown as JsonObject);
    const at = '2026-11-21T10:00:00.000Z';
    world.records.append({ key: id, kind: 'migration.ended', at, actor: 'workflow', migration: id, planHash, outcome });
  };

  it('are adopted when they were aborted on this cluster, since one left nothing', () => {
    ended('a', 'aborted');
    ended('b', 'completed');
    ended('c', 'aborted');
    ended('d', 'rolled-back');
    ended('e', 'aborted');
    ended('f', 'aborted', { cluster: { ...world.plan.cluster, uid: 'another' } });

    expect(abortedMigrations(world.records, 'u')).toEqual([
      { id: 'e', bundles: { manifests: world.plan.bundles['manifests']!.sha256 } },
    ]);
    expect(endedMigrations(world.records, 'u').map(({ id }) => id)).toEqual(['c', 'd', 'e']);
  });

  it('are forgotten by every node at the end', async () => {
    ended('a', 'aborted');
    ended('b', 'rolled-back');

    await world.run('cluster.removeFlannel');

    const forgotten = world.nodes.calls.filter(({ node, verb }) => node === 'w2' && verb === 'forget');
    expect(forgotten.map(({ input }) => (input as { migration: string }).migration)).toEqual(['a', 'b', migration]);
  });
});

describe('observing a mixed cluster', () => {
  beforeEach(async () => {
    world = await startWorld();
    const { uid } = world.store.get('namespaces', undefined, 'kube-system')!.metadata;
    const plan = { ...world.plan, cluster: { ...world.plan.cluster, uid: uid! } };
    world.records.append({
      key: 'k',
      kind: 'migration.ended',
      at: '2026-11-21T10:00:00.000Z',
      actor: 'workflow',
      migration: earlier,
      planHash: world.records.putDocument('plan', plan as unknown as JsonObject),
      outcome: 'aborted',
    });
    moveToCalico('w1');
    const state = world.nodes.state('w1');
    state.confs.push({ name: '10-calico.conflist', sha256: 'c1', network: 'k8s-pod-network', firstPlugin: 'calico' });
    state.loadedNetworks = ['k8s-pod-network'];
    state.links = state.links.map((link) => (link.name === 'flannel.1' ? { ...link, name: 'vxlan.calico' } : link));
  });
  afterEach(() => world.stop());
  const nodes = async (): Promise<ClusterFacts['nodes']> => {
    const input = { kubeconfig: world.kubeconfig, context: '', ssh: world.plan.access.ssh, bundles: {} };
    const { factsSha256 } = await new MockActivityEnvironment().run<
      [typeof input],
      { factsSha256: string },
      SupportActivities['observeCluster']
    >(world.activities.observeCluster, input);
    return world.records.getDocument<ClusterFacts>('facts', factsSha256)!.nodes;
  };

  it('adopts a node that is wholly on a Calico of that migration, and keeps what it is on the old network', async () => {
    world.store.create('daemonsets.apps', {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'calico-node', namespace: 'kube-system', annotations: { [createdBy]: earlier } },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [] } },
      },
    });

    const [w1, w2] = await nodes();

    expect(w1).toMatchObject({ adopted: true, halfWay: '' });
    expect(w1!.fingerprint).toEqual(world.plan.stages[0]!.waves[0]!.nodes[0]!.fingerprint);
    expect(w2).toMatchObject({ adopted: false, halfWay: '' });

    world.store.mutate('nodes', undefined, 'w1', (node) => void (node.metadata.annotations![foundState] = '{}'));
    expect((await nodes())[0]).toMatchObject({ adopted: false, halfWay: 'it was taken out of service' });
  });

  it('adopts nothing when somebody else made Calico', async () => {
    expect((await nodes()).map(({ adopted }) => adopted)).toEqual([false, false, false]);
  });
});
