import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SupportActivities } from '../../activities/types.ts';
import { bundleDigest } from '../../src/plan/bundle.ts';
import type { ClusterFacts } from '../../src/plan/facts.ts';
import { hashOf } from '../../src/plan/hash.ts';
import { flannelToCalico } from '../../src/routes/flannel-to-calico.ts';
import { verbs } from '../../activities/verbs.ts';
import { checkResult, migration, nodeNames, startWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

const call = <N extends keyof SupportActivities>(
  name: N,
  input: Parameters<SupportActivities[N]>[0],
): ReturnType<SupportActivities[N]> =>
  new MockActivityEnvironment({ heartbeatTimeoutMs: 15_000, startToCloseTimeoutMs: 20_000 }).run<
    [unknown],
    unknown,
    (input: unknown) => Promise<unknown>
  >(world.activities[name] as (input: unknown) => Promise<unknown>, input) as ReturnType<SupportActivities[N]>;

it('has a verb for every step and every undo of the route', () => {
  const { prepare, node, finalize } = flannelToCalico.runbook({
    drain: world.plan.drain,
    strategy: world.plan.strategy,
  });
  const wanted = [...prepare, ...node, ...finalize].flatMap((step) => [
    step.verb,
    ...(step.undo ?? []).map(({ verb }) => verb),
  ]);

  expect([...new Set(wanted)].filter((verb) => !(verb in verbs) || !(verb in world.activities))).toEqual([]);
});

it('appends a record once, and without secrets', async () => {
  const input = {
    key: 'k',
    kind: 'gate.opened' as const,
    at: '2026-11-21T10:00:00.000Z',
    actor: 'workflow',
    migration,
    message: 'Bearer abcdef0123456789',
  };

  await call('record', input);
  await call('record', input);

  expect(world.records.records({ migration })).toMatchObject([{ kind: 'gate.opened', message: 'Bearer [redacted]' }]);
});

it('loads what a wave and what a cluster need from the plan', async () => {
  const stage = world.plan.stages[0]!;

  expect(await call('loadWave', { planHash: world.planHash, stage: stage.id, wave: 'canary' })).toEqual({
    nodes: nodeNames.map((name) => ({ name, zone: 'a' })),
    steps: stage.node,
    verifyRollback: stage.verifyRollback,
    strategy: world.plan.strategy,
  });
  expect(await call('loadOutline', { planHash: world.planHash })).toMatchObject({
    name: world.plan.name,
    stages: [{ id: stage.id, waves: [{ id: 'canary', nodes: 3 }] }],
  });
  await expect(call('loadWave', { planHash: world.planHash, stage: stage.id, wave: 'other' })).rejects.toMatchObject({
    type: 'NotFound',
    // A migration cannot go on without it, and never ends for it.
    nonRetryable: false,
  });
});

describe('evidence', () => {
  it('that cannot be taken for a reason other than an outage is told, so that its gate blocks and says why', async () => {
    const place = { migration, planHash: 'f'.repeat(64), stage: world.plan.stages[0]!.id };

    await expect(call('gatherEvidence', { place, checks: [], nodes: [] })).rejects.toMatchObject({
      type: 'NotFound',
      nonRetryable: true,
    });
  });

  it('asks the cluster once and each node for itself, and never throws for a verdict', async () => {
    const asked: string[] = [];
    world.checks.answer = (ids, { node }) => {
      asked.push(`${node?.name ?? 'cluster'}: ${ids.join(' ')}`);
      return ids.map((id) => checkResult(id, node?.name === 'w2' ? { verdict: 'block', node: 'w2' } : {}));
    };

    const evidence = await call('gatherEvidence', {
      place: { migration, planHash: world.planHash, stage: '1-flannel-to-calico' },
      checks: ['cluster-matrix', 'pod-to-pod', 'dns'],
      nodes: ['w1', 'w2'],
    });

    expect(asked).toEqual(['cluster: cluster-matrix', 'w1: pod-to-pod dns', 'w2: pod-to-pod dns']);
    const { checks, bundle } = evidence;
    expect(evidence).toMatchObject({ verdict: 'block', digest: hashOf({ checks, bundle }) });
    expect(bundle).toMatchObject({
      nodes: { of: 3, migrated: [] },
      exposure: { policies: 0, enforcing: 0, ignoring: 3, since: '' },
      rollback: { nodes: 0, pods: 0, minutes: 0, measured: false, passed: false },
    });
    expect(evidence.checks).toHaveLength(5);
  });

  it('of a preflight is about the cluster', async () => {
    world.checks.answer = (ids, { node }) =>
      ids.map((id) => checkResult(id, { verdict: 'warn', message: node?.name ?? 'no node' }));

    expect(await call('preflight', { planHash: world.planHash })).toMatchObject({
      verdict: 'warn',
      checks: [{ id: 'nodes-ready', message: 'no node' }, { id: 'budgets' }],
    });
  });
});

describe('observing', () => {
  const observe = async (
    bundles: { [name: string]: { path: string } } = {},
    flows?: { path: string; file: string },
  ): Promise<ClusterFacts> => {
    const { factsSha256 } = await call('observeCluster', {
      kubeconfig: world.kubeconfig,
      context: '',
      ssh: world.plan.access.ssh,
      bundles,
      ...(flows && { flows }),
    });
    return world.records.getDocument<ClusterFacts>('facts', factsSha256)!;
  };

  it('writes down what compiling needs', async () => {
    world.store.create('configmaps', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
      data: { 'net-conf.json': '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}' },
    });

    const facts = await observe();

    expect(facts).toMatchObject({
      uid: world.store.get('namespaces', undefined, 'kube-system')!.metadata.uid,
      server: world.url,
      flannel: {
        daemonSet: 'kube-flannel/kube-flannel-ds',
        network: '10.244.0.0/16',
        backend: 'vxlan',
        mtu: 1450,
        directRouting: false,
        addonManaged: false,
      },
      calico: null,
      workloads: { pods: 3, podsByNode: { w1: 1, w2: 1, w3: 1 } },
    });
    expect(facts.nodes[0]?.fingerprint).toEqual(world.plan.stages[0]!.waves[0]!.nodes[0]!.fingerprint);
    expect(facts.nodes[0]).toMatchObject({
      name: 'w1',
      ready: true,
      unschedulable: false,
      controlPlane: false,
      unreachable: '',
    });
  });

  it('goes on when a node cannot be reached, and says why', async () => {
    world.nodes.before.run = (node) => {
      if (node === 'w2') throw new Error('connect ECONNREFUSED 10.99.0.2:22');
    };

    const { nodes } = await observe();

    expect(nodes.map(({ unreachable }) => unreachable)).toEqual(['', 'connect ECONNREFUSED 10.99.0.2:22', '']);
    expect(nodes[1]?.fingerprint).toMatchObject({ podCIDR: '10.244.2.0/24', hostKey: '' });
  });

  it('stores the bundles it reads, and says which it cannot read', async () => {
    const folder = join(world.folder, 'manifests');
    mkdirSync(join(folder, 'crds'), { recursive: true });
    writeFileSync(join(folder, 'crds', 'a.yaml'), 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n');
    writeFileSync(join(folder, 'README.md'), 'not a manifest');

    const { bundles } = await observe({ manifests: { path: folder }, other: { path: join(folder, 'nowhere') } });

    const files = [{ name: 'crds/a.yaml', content: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n' }];
    expect(bundles['manifests']).toEqual({ path: folder, sha256: bundleDigest(files), files: 1 });
    expect(world.records.getDocument('bundle', bundleDigest(files))).toEqual({ files });
    expect(bundles['other']).toMatchObject({ sha256: '', files: 0, error: 'there is no such folder' });
  });

  it('reads the flows that the plan names, and says in one sentence why it cannot', async () => {
    const good = join(world.folder, 'flows.yaml');
    const bad = join(world.folder, 'bad.yaml');
    writeFileSync(good, 'flows:\n  - { from: shop/web, to: shop/api, port: 80 }\n');
    writeFileSync(bad, 'flows:\n  - { from: shop/web, to: shop/api, port: web }\n');
    const flowsOf = async (path: string) => (await observe({}, { path, file: 'flows.yaml' })).flows;

    expect(await flowsOf(good)).toEqual({
      path: good,
      flows: [{ from: 'shop/web', to: 'shop/api', port: 80, protocol: 'TCP' }],
    });
    expect((await flowsOf(bad))?.error).toMatch(/^flows\.yaml: flow 1, port: /);
    expect((await flowsOf('/nowhere.yaml'))?.error).toBe(
      'the flows of flows.yaml are not known: there is no such file at /nowhere.yaml',
    );
  });

  it('says in one sentence that the cluster does not answer', async () => {
    world.between.kubernetes = (client) => ({ ...client, cluster: () => Promise.reject(new Error('boom')) });

    await expect(observe()).rejects.toMatchObject({ name: 'ApplicationFailure', type: 'Internal', message: 'boom' });
  });
});
