import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../activities/fingerprint.ts';
import { runChecks } from '../../src/checks/run.ts';
import type { CheckContext, CheckResult } from '../../src/checks/types.ts';
import { createKubernetesClient } from '../../src/kubernetes/client.ts';
import type { KubernetesClient } from '../../src/kubernetes/types.ts';
import { createSshAccess } from '../../src/node/ssh.ts';
import type { NodeAccess } from '../../src/node/types.ts';
import type { CompiledPlan, CompiledStage, PlannedNode } from '../../src/plan/types.ts';
import { hostProbeName, probeManifests, probeName } from '../../src/probe/manifests.ts';
import { isReady } from '../../src/probe/pods.ts';
import { flannelToCalico } from '../../src/routes/flannel-to-calico.ts';
import { startSimulation } from '../../src/simulator/simulate.ts';
import type { Simulation } from '../../src/simulator/types.ts';

/** The checks against a simulated cluster, through the real clients: HTTP to the API, SSH to the nodes, exec in pods. */
// Not 18080: a workload of the scenario has that hostPort.
const probe = {
  image: 'registry.k8s.io/e2e-test-images/agnhost:2.53',
  namespace: 'cutover-probe',
  hostPort: 18180,
  nodePort: 31280,
};
const drain = { timeoutSeconds: 600, retrySeconds: 1, deleteEmptyDirData: false, force: false };
const strategy = {
  maxUnavailable: 1,
  maxUnavailablePerZone: 1,
  failureBudget: 1,
  onFailure: 'rollback',
  nodeAttempts: 2,
  nodeSoakSeconds: 0,
} as const;
const runbook = flannelToCalico.runbook({ drain, strategy });
/** What a rollback verifies is what holds on a node that never left Flannel. */
const onFlannel = runbook.verifyRollback;

let simulation: Simulation;
let kubernetes: KubernetesClient;
let nodes: NodeAccess;
let planned: PlannedNode[];

beforeAll(async () => {
  simulation = await startSimulation('three-nodes', { speed: 50 });
  kubernetes = createKubernetesClient({ kubeconfig: simulation.kubeconfig, context: '' });
  nodes = createSshAccess({ configFile: simulation.sshConfig, user: 'root', sudo: false, connectTimeoutSeconds: 5 });
  for (const manifest of probeManifests(probe)) await kubernetes.apply(manifest);
  const wanted = 2 * simulation.nodes.size;
  const ready = await kubernetes.waitFor(
    { apiVersion: 'v1', kind: 'Pod' },
    { namespace: probe.namespace, labelSelector: `app in (${probeName},${hostProbeName})`, timeoutMs: 30_000 },
    (pods) => (pods.filter(isReady).length === wanted ? true : undefined),
  );
  expect(ready, 'every node has two Ready probe pods').toBe(true);
  planned = await plan();
}, 90_000);

afterAll(async () => {
  await nodes.close();
  await simulation.stop();
  rmSync(dirname(simulation.kubeconfig), { recursive: true, force: true });
});

afterEach(() => simulation.clearFaults());

async function plan(): Promise<PlannedNode[]> {
  const objects = await kubernetes.list({ apiVersion: 'v1', kind: 'Node' });
  return Promise.all(
    objects.map(async (object) => {
      const { name, labels = {} } = object.metadata;
      const state = await nodes.run(name, 'inspect', {}, { token: 1, timeoutMs: 10_000 });
      return {
        name,
        zone: labels['topology.kubernetes.io/zone'] ?? '',
        controlPlane: name.startsWith('control-plane'),
        fingerprint: fingerprintOf(object, state, await nodes.hostKey(name)),
      };
    }),
  );
}

async function run(
  ids: readonly string[],
  at?: string,
  options: Partial<CheckContext> = {},
): Promise<Map<string, CheckResult>> {
  const node = planned.find(({ name }) => name === at);
  const results = await runChecks(ids, {
    kubernetes,
    nodes,
    plan: { probe, drain } as CompiledPlan,
    stage: { waves: [{ id: 'all', nodes: planned }] } as unknown as CompiledStage,
    ...(node === undefined ? {} : { node }),
    token: () => 1,
    signal: new AbortController().signal,
    migratedNodes: () => [],
    patienceMs: 0,
    ...options,
  });
  return new Map(results.map((result) => [result.id, result]));
}

const verdicts = (results: Map<string, CheckResult>) =>
  Object.fromEntries(
    [...results].map(([id, { verdict, message }]) => [id, verdict === 'pass' ? 'pass' : `${verdict}: ${message}`]),
  );
const passing = (ids: readonly string[]) => Object.fromEntries(ids.map((id) => [id, 'pass']));

describe('a healthy Flannel cluster', () => {
  it('passes preflight, but for the images that nobody named', async () => {
    const results = await run(runbook.preflight);

    expect(verdicts(results)).toEqual({
      ...passing(runbook.preflight),
      'images-present': expect.stringContaining('warn: it is not known which images'),
    });
  });

  it('passes every check of a node that runs Flannel, on every node', async () => {
    for (const { name } of planned)
      expect({ [name]: verdicts(await run(onFlannel, name)) }).toEqual({ [name]: passing(onFlannel) });
  });

  it('passes the matrix', async () => {
    expect(verdicts(await run(['cluster-matrix']))).toEqual({ 'cluster-matrix': 'pass' });
  });

  it('is nowhere near being on Calico, and says so', async () => {
    const results = await run(['all-nodes-calico', 'all-nodes-clean']);

    expect(results.get('all-nodes-calico')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('4 of 4 nodes are not on Calico'),
    });
    expect(results.get('all-nodes-clean')).toMatchObject({ verdict: 'block' });
  });
});

describe('what is broken is found, on its layer', () => {
  it('the blackholes that Felix leaves behind', async () => {
    const node = simulation.node('worker-2');
    const before = [...node.routes];
    const { podCIDR } = planned.find(({ name }) => name === 'worker-2')!.fingerprint;
    node.routes.push({ dst: podCIDR.replace('/24', '/26'), proto: '80', type: 'blackhole' });

    const results = await run(onFlannel, 'worker-2');
    node.routes.splice(0, node.routes.length, ...before);

    expect(results.get('routes-flannel')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('1 blackhole route'),
    });
    expect(results.get('pod-to-pod')).toMatchObject({ verdict: 'block', remedy: expect.stringContaining('blackhole') });
    expect(results.get('residue-calico')?.message).toContain('route blackhole');
    expect(results.get('links-flannel')?.verdict).toBe('pass');
  });

  it('an overlay port that a firewall drops', async () => {
    simulation.inject({ name: 'vxlan-blocked', nodes: ['worker-1'], when: 'always' });

    const results = await run(['links-flannel', 'routes-flannel', 'pod-to-pod'], 'worker-1');

    expect(results.get('links-flannel')?.verdict).toBe('pass');
    expect(results.get('pod-to-pod')).toMatchObject({ verdict: 'block', remedy: expect.stringContaining('UDP 8472') });
  });

  it('a hole in the MTU that small packets do not see', async () => {
    simulation.inject({ name: 'mtu-hole', nodes: ['worker-1'], bytes: 1400 });

    const results = await run(['pod-to-pod', 'path-mtu'], 'worker-1');

    expect(results.get('pod-to-pod')?.verdict).toBe('pass');
    expect(results.get('path-mtu')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('packets of 1450 bytes are lost'),
    });
  });

  it('rules of Flannel on a node that should have none', async () => {
    const results = await run(['residue-flannel'], 'worker-1');

    expect(results.get('residue-flannel')).toMatchObject({
      verdict: 'block',
      message: expect.stringMatching(/link flannel\.1.*FLANNEL-\* rules/),
    });
  });

  it('a node whose SSH is refused, in a sentence that names it', async () => {
    simulation.inject({ name: 'ssh-refused', nodes: ['worker-3'] });
    const fresh = createSshAccess({
      configFile: simulation.sshConfig,
      user: 'root',
      sudo: false,
      connectTimeoutSeconds: 5,
    });

    const results = await run(['node-access'], undefined, { nodes: fresh });
    await fresh.close();

    expect(results.get('node-access')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('1 of 4 nodes cannot be inspected: worker-3'),
    });
  });

  it('a leftover conf that would win over Flannel', async () => {
    simulation
      .node('worker-1')
      .write('/etc/cni/net.d/05-cilium.conflist', '{"name":"cilium","plugins":[{"type":"cilium-cni"}]}');

    const results = await run(['cni-conf']);
    simulation.node('worker-1').unlink('/etc/cni/net.d/05-cilium.conflist');

    expect(results.get('cni-conf')).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('worker-1: 05-cilium.conflist'),
    });
  });
});
