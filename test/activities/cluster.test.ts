import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createdBy, foundState } from '../../src/kubernetes/marks.ts';
import { kinds } from '../../src/kubernetes/kinds.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { calicoDaemonSet, flannelDaemonSet, migration, networkLabel, startWorld, type World } from './world.ts';

const definitions = (
  ['IPPool', 'FelixConfiguration', 'IPAMConfig', 'IPAMBlock', 'IPAMHandle', 'BlockAffinity'] as const
).map((kind) => {
  const plural = kind === 'BlockAffinity' ? 'blockaffinities' : `${kind.toLowerCase()}s`;
  return `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ${plural}.crd.projectcalico.org}
spec:
  group: crd.projectcalico.org
  scope: Cluster
  names: {kind: ${kind}, plural: ${plural}, singular: ${kind.toLowerCase()}, listKind: ${kind}List}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`;
});
const calico = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: calico-node}}
  template:
    metadata: {labels: {k8s-app: calico-node}}
    spec:
      hostNetwork: true
      nodeSelector: {kubernetes.io/os: linux}
      tolerations: [{operator: Exists}]
      initContainers: [{name: install-cni, image: calico/cni:v3}]
      containers: [{name: calico-node, image: calico/node:v3}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: calico-config, namespace: kube-system}
data: {calico_backend: vxlan}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: calico-node, namespace: kube-system}
`;
const bundle = [
  { name: 'crds.yaml', content: definitions.join('---\n') },
  { name: 'calico.yaml', content: calico },
];

let world: World;
beforeEach(async () => {
  world = await startWorld({ bundle });
});
afterEach(() => world.stop());

const failure = (running: Promise<unknown>) => running.catch((error: unknown) => error);
const labels = (): (string | undefined)[] =>
  world.store.list('nodes').map(({ metadata }) => metadata.labels?.[networkLabel]);
const mark = { with: { key: networkLabel, value: 'flannel' } };

describe('marks', () => {
  it('come on every node, and never over one that is past it', async () => {
    world.store.mutate('nodes', undefined, 'w2', (node) => void (node.metadata.labels![networkLabel] = 'calico'));

    expect(await world.run('cluster.labelNodes', mark)).toMatchObject({
      changed: true,
      summary: '2 nodes marked, 1 were',
    });
    expect(labels()).toEqual(['flannel', 'calico', 'flannel']);
    expect(await world.run('cluster.labelNodes', mark)).toMatchObject({ changed: false });
  });

  it('go from every node', async () => {
    await world.run('cluster.labelNodes', mark);
    await world.run('cluster.unlabelNodes', { with: { key: networkLabel } });

    expect(labels()).toEqual([undefined, undefined, undefined]);
    expect(await world.run('cluster.unlabelNodes', { with: { key: networkLabel } })).toMatchObject({ changed: false });
  });

  it('go on where they were cut off', async () => {
    let patches = 0;
    world.between.kubernetes = (client) => ({
      ...client,
      mergePatch: (...args) => (++patches === 2 ? Promise.reject(new Error('cut')) : client.mergePatch(...args)),
    });
    await failure(world.run('cluster.labelNodes', mark));
    world.between.kubernetes = (client) => client;

    await world.run('cluster.labelNodes', mark);

    expect(labels()).toEqual(['flannel', 'flannel', 'flannel']);
  });
});

describe('tying a DaemonSet to the mark', () => {
  const select = { with: { ...flannelDaemonSet, key: networkLabel, value: 'flannel' } };

  const flannel = () => world.store.get('daemonsets.apps', 'kube-flannel', 'kube-flannel-ds')!;
  const pods = () =>
    world.store
      .list('pods', { namespace: 'kube-flannel' })
      .map(({ metadata }) => metadata.name)
      .toSorted();

  it('replaces no pod for it, and waits until it is ready everywhere', async () => {
    await world.run('cluster.labelNodes', mark);
    const before = pods();

    expect(await world.run('cluster.selectDaemonSet', select)).toMatchObject({
      changed: true,
      summary: 'kube-flannel-ds follows the mark flannel, 3 pods ready',
    });
    expect(flannel()['spec'].template.spec.nodeSelector).toEqual({ [networkLabel]: 'flannel' });
    expect(pods()).toEqual(before);
    expect(await world.run('cluster.selectDaemonSet', select)).toMatchObject({ changed: false });
  });

  it('says how far it came when it does not become ready', async () => {
    await world.run('cluster.labelNodes', mark);
    world.kubelets.broken.set('flannel', 'CrashLoopBackOff');
    const [first] = pods();
    world.store.remove('pods', 'kube-flannel', first!);

    expect(await failure(world.run('cluster.selectDaemonSet', { ...select, timeoutMs: 3_000 }))).toMatchObject({
      type: 'AgentNotReady',
      message: expect.stringMatching(/kube-flannel\/kube-flannel-ds does not become ready: \d of 3 updated, 2 ready/),
    });
  });

  it('puts back how the DaemonSet was updated', async () => {
    const { updateStrategy } = flannel()['spec'];
    await world.run('cluster.labelNodes', mark);
    await world.run('cluster.selectDaemonSet', select);
    expect(flannel()['spec'].updateStrategy).toEqual({ type: 'OnDelete' });

    await world.run('cluster.unselectDaemonSet', {
      with: { ...flannelDaemonSet, key: networkLabel },
      direction: 'back',
    });

    expect(flannel()['spec'].updateStrategy).toEqual(updateStrategy);
    expect(flannel()['spec'].template.spec.nodeSelector ?? {}).toEqual({});
    expect(Object.keys(flannel().metadata.annotations ?? {})).not.toContain('cutover.dev/found');
  });

  it('is taken back, also when it never happened or the DaemonSet is gone', async () => {
    await world.run('cluster.labelNodes', mark);
    await world.run('cluster.selectDaemonSet', select);
    const back = { with: { ...flannelDaemonSet, key: networkLabel }, direction: 'back' as const };

    expect(await world.run('cluster.unselectDaemonSet', back)).toMatchObject({ changed: true });
    expect(await world.run('cluster.unselectDaemonSet', back)).toMatchObject({ changed: false });
    await world.run('cluster.deleteDaemonSet', { with: flannelDaemonSet });
    expect(await world.run('cluster.unselectDaemonSet', back)).toMatchObject({ changed: false });
    expect(await failure(world.run('cluster.unselectDaemonSet', { ...back, direction: 'forward' }))).toMatchObject({
      type: 'NotFound',
    });
  });
});

const crds = { with: { bundle: 'manifests', only: 'CustomResourceDefinition' } };
const rest = { with: { bundle: 'manifests', except: 'CustomResourceDefinition' } };
const calicoOnMarked = { with: { ...rest.with, select: { ...calicoDaemonSet, key: networkLabel, value: 'calico' } } };
const list = (resource: string): string[] => world.store.list(resource).map(({ metadata }) => metadata.name);

describe('a bundle', () => {
  it('brings its definitions, and what needs them can be written at once', async () => {
    expect(await world.run('cluster.applyBundle', crds)).toMatchObject({
      changed: true,
      summary: '6 objects applied: 6 created, 0 changed, 0 as they were',
    });
    expect(await world.client.list(kinds.ipamBlock)).toEqual([]);
    expect(await world.run('cluster.applyBundle', crds)).toMatchObject({ changed: false });
  });

  it('brings its agents tied to the mark, so that none runs yet', async () => {
    await world.run('cluster.labelNodes', mark);

    await world.run('cluster.applyBundle', calicoOnMarked);
    await world.settled();

    const daemonSet = world.store.get('daemonsets.apps', 'kube-system', 'calico-node')!;
    expect(daemonSet['spec'].template.spec.nodeSelector).toEqual({
      'kubernetes.io/os': 'linux',
      [networkLabel]: 'calico',
    });
    expect(daemonSet.metadata.annotations).toMatchObject({ [createdBy]: migration });
    expect(world.store.list('pods', { labelSelector: 'k8s-app=calico-node' })).toEqual([]);
    expect(await world.run('cluster.applyBundle', calicoOnMarked)).toMatchObject({ changed: false });
  });

  it('is deleted without what was there before', async () => {
    world.store.create('configmaps', {
      ...kinds.configMap,
      metadata: { name: 'calico-config', namespace: 'kube-system' },
      data: { theirs: 'yes' },
    });
    await world.run('cluster.applyBundle', crds);
    await world.run('cluster.applyBundle', calicoOnMarked);

    const result = await world.run('cluster.deleteBundle', rest);
    await world.run('cluster.deleteBundle', crds);

    expect(result.summary).toBe('2 objects deleted; 1 left alone, not made by this migration or gone already');
    expect(world.store.get('configmaps', 'kube-system', 'calico-config')?.['data']).toMatchObject({ theirs: 'yes' });
    expect(world.store.get('daemonsets.apps', 'kube-system', 'calico-node')).toBeUndefined();
    expect(list('customresourcedefinitions.apiextensions.k8s.io')).toEqual([]);
    expect(await world.run('cluster.deleteBundle', rest)).toMatchObject({ changed: false });
  });

  it('keeps the marks of another migration, which can then take back what it made', async () => {
    const theirs = { [createdBy]: 'other-4f1c2a', 'cutover.dev/installation': 'theirs-1' };
    await world.run('cluster.applyBundle', crds);
    // As the other wrote them: by the same field manager.
    for (const { metadata, spec } of await world.client.list(kinds.definition))
      await world.client.apply(
        { ...kinds.definition, metadata: { name: metadata.name, annotations: theirs }, spec },
        { force: true },
      );

    await world.run('cluster.applyBundle', crds);
    const deleted = await world.run('cluster.deleteBundle', crds);

    const definitions = await world.client.list(kinds.definition);
    expect(definitions.length).toBeGreaterThan(0);
    for (const { metadata } of definitions) expect(metadata.annotations).toMatchObject(theirs);
    expect(deleted.changed).toBe(false);
  });

  it('counts nothing as its own that another installation made under the same name', async () => {
    await world.run('cluster.applyBundle', calicoOnMarked);
    const ref = { ...kinds.daemonSet, namespace: 'kube-system', name: 'calico-node' };
    await world.client.mergePatch(ref, { metadata: { annotations: { 'cutover.dev/installation': 'theirs-1' } } });

    await world.run('cluster.deleteBundle', rest);

    expect(await world.client.get(ref)).toBeDefined();
  });

  it('deletes nothing when it never came', async () => {
    expect(await world.run('cluster.deleteBundle', rest)).toMatchObject({ changed: false });
    expect(await world.run('cluster.deleteBundle', crds)).toMatchObject({ changed: false });
  });

  it('goes on where it was cut off, and still knows what it made', async () => {
    let writes = 0;
    world.between.kubernetes = (client) => ({
      ...client,
      apply: (...args) => (++writes === 2 ? Promise.reject(new Error('cut')) : client.apply(...args)),
    });
    await failure(world.run('cluster.applyBundle', calicoOnMarked));
    world.between.kubernetes = (client) => client;

    await world.run('cluster.applyBundle', calicoOnMarked);

    expect(await world.run('cluster.deleteBundle', rest)).toMatchObject({
      summary: expect.stringMatching(/^3 objects deleted/),
    });
  });

  it('that lacks the DaemonSet of the route is refused before anything is applied', async () => {
    const select = { ...calicoOnMarked.with.select, name: 'cilium' };

    expect(await failure(world.run('cluster.applyBundle', { with: { ...rest.with, select } }))).toMatchObject({
      type: 'PlanInvalid',
      message: 'the bundle manifests has no DaemonSet kube-system/cilium',
    });
    expect(list('daemonsets.apps')).toEqual(['kube-flannel-ds']);
  });
});

describe("Calico's address management", () => {
  beforeEach(() => world.run('cluster.applyBundle', crds));
  const ipam = (): string[] =>
    ['ipamblocks', 'ipamhandles', 'blockaffinities', 'ippools'].map((plural) =>
      list(`${plural}.crd.projectcalico.org`).length.toString(),
    );
  const annotation = (name: string, key: string): string | undefined =>
    world.node(name).metadata.annotations?.[`projectcalico.org/${key}`];

  it('takes over every node', async () => {
    const result = await world.run('calico.adoptFlannelIpam');

    expect(result.summary).toBe('3 nodes of 10.244.0.0/16 in blocks of /26: 27 objects written, 0 were there');
    expect(ipam()).toEqual(['12', '3', '12', '1']);
    expect(annotation('w2', 'IPv4VXLANTunnelAddr')).toBe('10.244.2.0');
    expect(annotation('w2', 'VXLANTunnelMACAddr')).toBe('0e:00:00:00:00:02');
    expect(await world.run('calico.adoptFlannelIpam')).toMatchObject({ changed: false });
  });

  it('never writes over a block that has pods', async () => {
    await world.run('calico.adoptFlannelIpam');
    world.store.mutate(
      'ipamblocks.crd.projectcalico.org',
      undefined,
      '10-244-1-64-26',
      (block) => void (block['spec'].allocations[5] = 0),
    );

    await world.run('calico.adoptFlannelIpam');

    expect(
      world.store.get('ipamblocks.crd.projectcalico.org', undefined, '10-244-1-64-26')?.['spec'].allocations[5],
    ).toBe(0);
  });

  it('leaves a node alone that has moved', async () => {
    world.store.mutate('nodes', undefined, 'w1', (node) => {
      node.metadata.labels![networkLabel] = 'calico';
      node.metadata.annotations!['projectcalico.org/IPv4Address'] = '10.99.0.1/24';
    });

    await world.run('calico.adoptFlannelIpam');

    expect(annotation('w1', 'IPv4Address')).toBe('10.99.0.1/24');
  });

  it('refuses a pool of another shape, and names the difference', async () => {
    world.store.create('ippools.crd.projectcalico.org', {
      ...kinds.ipPool,
      metadata: { name: 'default-ipv4-ippool' },
      spec: { cidr: '192.168.0.0/16', blockSize: 26, natOutgoing: true, vxlanMode: 'Always', ipipMode: 'Never' },
    });

    expect(await failure(world.run('calico.adoptFlannelIpam'))).toMatchObject({
      type: 'DriftFound',
      message:
        'IPPool default-ipv4-ippool exists and does not fit: cidr is "192.168.0.0/16", needed is "10.244.0.0/16"',
    });
  });

  it('is taken back whole, also what Calico wrote since and no longer says whose it is', async () => {
    await world.run('calico.adoptFlannelIpam');
    world.store.mutate(
      'ipamblocks.crd.projectcalico.org',
      undefined,
      '10-244-1-64-26',
      (block) => void delete block.metadata.annotations,
    );
    const fresh: KubernetesObject = {
      ...kinds.ipamHandle,
      metadata: { name: 'k8s-pod-network.abc' },
      spec: { handleID: 'k8s-pod-network.abc', block: { '10.244.1.64/26': 1 } },
    };
    world.store.create('ipamhandles.crd.projectcalico.org', fresh);

    await world.run('calico.releaseFlannelIpam', { direction: 'back' });

    expect(ipam()).toEqual(['0', '0', '0', '0']);
    expect(list('felixconfigurations.crd.projectcalico.org')).toEqual([]);
    expect(
      Object.keys(world.node('w1').metadata.annotations!).filter((key) => /projectcalico|cutover/.test(key)),
    ).toEqual([]);
    expect(await world.run('calico.releaseFlannelIpam', { direction: 'back' })).toMatchObject({ changed: false });
  });

  it('is taken back after an adoption that was cut off', async () => {
    let writes = 0;
    world.between.kubernetes = (client) => ({
      ...client,
      apply: (...args) => (++writes === 9 ? Promise.reject(new Error('cut')) : client.apply(...args)),
    });
    await failure(world.run('calico.adoptFlannelIpam'));
    world.between.kubernetes = (client) => client;

    await world.run('calico.releaseFlannelIpam', { direction: 'back' });

    expect(ipam()).toEqual(['0', '0', '0', '0']);
  });

  it('puts settings back that were there before, and never touches pools and blocks of others', async () => {
    const felix: KubernetesObject = {
      ...kinds.felixConfiguration,
      metadata: { name: 'default' },
      spec: { vxlanPort: 4789, logSeverityScreen: 'Warning' },
    };
    world.store.create('felixconfigurations.crd.projectcalico.org', felix);
    world.store.create('ipamblocks.crd.projectcalico.org', {
      ...kinds.ipamBlock,
      metadata: { name: '172-16-0-0-26' },
      spec: { cidr: '172.16.0.0/26' },
    });
    await world.run('calico.adoptFlannelIpam');
    expect(world.store.get('felixconfigurations.crd.projectcalico.org', undefined, 'default')?.['spec']).toMatchObject({
      vxlanPort: 8472,
      logSeverityScreen: 'Warning',
    });

    await world.run('calico.releaseFlannelIpam', { direction: 'back' });

    const after = world.store.get('felixconfigurations.crd.projectcalico.org', undefined, 'default')!;
    expect(after['spec']).toEqual({ vxlanPort: 4789, logSeverityScreen: 'Warning' });
    expect(after.metadata.annotations ?? {}).not.toHaveProperty([foundState]);
    expect(list('ipamblocks.crd.projectcalico.org')).toEqual(['172-16-0-0-26']);
  });

  it('does nothing back when nothing was adopted', async () => {
    expect(await world.run('calico.releaseFlannelIpam', { direction: 'back' })).toMatchObject({ changed: false });
    await world.run('cluster.deleteBundle', crds);
    expect(await world.run('calico.releaseFlannelIpam', { direction: 'back' })).toMatchObject({ changed: false });
  });
});
