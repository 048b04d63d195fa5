import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeState } from '../../src/node/types.ts';
import type { GateView, NodeHistory } from '../../src/store/views.ts';
import { install, nodesOf } from '../support/cutover.ts';
import { foundOn } from '../support/found.ts';
import { until } from '../support/until.ts';

let cutover: Awaited<ReturnType<typeof install>>;
let before: unknown;
beforeEach(async () => {
  cutover = await install('three-nodes');
  await cutover.simulation.settled();
  before = foundOn(cutover.simulation);
});
afterEach(() => cutover.stop());

const canary = (yaml: string): string => yaml.replace('nodes: 1', 'nodes: [worker-1]');
const agentOf = (node: string) =>
  cutover.simulation.store
    .list('pods', { namespace: 'kube-system' })
    .find(({ metadata, spec }) => metadata.labels?.['k8s-app'] === 'calico-node' && spec.nodeName === node);
const stateOf = (node: string) => cutover.simulation.nodes.get(node)!.state() as NodeState;

function expectNoLoss(): void {
  const { bystanders, streams } = cutover.simulation.traffic();
  expect(bystanders.lost, JSON.stringify(streams.filter(({ lost }) => lost > 0))).toBe(0);
}

/** Migrates worker-1 and aborts: three nodes are left on Flannel. @returns the id of that migration */
async function leaveMixed(): Promise<string> {
  const first = await cutover.launch(canary);
  await cutover.reach('at-gate');
  expect(await cutover.cutover('abort', '--mode', 'hold', '--yes', '--reason', 'a freeze')).toMatchObject({ code: 0 });
  await cutover.reach('aborted');
  return first;
}

describe('a cluster that an aborted migration left mixed', () => {
  it('is adopted by the next one: what has moved stays as it is, the rest follows, and nothing is left of either', async () => {
    const first = await leaveMixed();
    const agent = agentOf('worker-1')!.metadata.uid;

    const { stdout: plan } = await cutover.cutover('plan', '-f', cutover.planFile(canary));
    expect(plan).toContain('1 of 4 nodes already run calico (worker-1): they are adopted, not migrated again');
    expect(plan).toMatch(/wave adopted {2}1 node: worker-1 .*on calico already/);
    const { stdout: preflight } = await cutover.cutover('preflight', '--all');
    expect(preflight).toMatch(
      new RegExp(`adopted: kube-system/calico-node, .* made by ${first}, from the manifests of this plan`),
    );

    await cutover.launch((yaml) => yaml.replace('nodes: 1', 'nodes: [worker-2]'));
    const atGate = await cutover.reach('at-gate');
    expect(nodesOf(atGate).map(({ name, state }) => `${name} ${state}`)).toEqual([
      'worker-1 migrated',
      'worker-2 migrated',
      'worker-3 pending',
      'control-plane-1 pending',
    ]);
    expect(agentOf('worker-1')!.metadata.uid).toBe(agent);
    const { evidence } = await cutover.json<GateView>('gates', 'after-canary');
    await cutover.cutover('approve', 'after-canary', '--as', 'ben', '--evidence', evidence.digest, '--reason', 'seen');
    const view = await cutover.reach('completed');

    expect(nodesOf(view).every(({ state }) => state === 'migrated')).toBe(true);
    // The guard of the first migration is lifted by the second.
    const ipam = cutover.simulation.store.get('ipamconfigs.crd.projectcalico.org', undefined, 'default')!;
    expect(ipam['spec'].strictAffinity).toBe(false);
    expect((await cutover.json<NodeHistory>('history', 'worker-1')).entries).toEqual([]);
    expect((await cutover.cutover('why', 'worker-1')).stdout).toContain('was adopted');

    const left = [...cutover.simulation.nodes.keys()].flatMap((name) => {
      const { links, confs, rules, leases, flannelBinary, revertArmed, snapshot } = stateOf(name);
      return [
        ...links.filter((link) => link.name === 'flannel.1' || link.name === 'cni0').map((link) => link.name),
        ...confs.filter(({ network }) => network !== 'k8s-pod-network').map((conf) => conf.name),
        ...rules.filter(({ flannel }) => flannel > 0).map(({ backend }) => backend),
        ...leases,
        ...(flannelBinary ? ['binary'] : []),
        ...(revertArmed ? ['dead-man switch'] : []),
        ...(snapshot ? ['snapshot'] : []),
      ].map((what) => `${name}: ${what}`);
    });
    expect(left).toEqual([]);
    expectNoLoss();
    expect(await cutover.cutover('audit', 'verify')).toMatchObject({ code: 0 });
  }, 300_000);

  it('goes back whole, adopted nodes too, and what the aborted migration had made goes with them', async () => {
    await leaveMixed();
    await cutover.launch((yaml) => yaml.replace('nodes: 1', 'nodes: [worker-2]'));
    await cutover.reach('at-gate');

    const { stdout } = await cutover.cutover('rollback', '--all', '--dry-run');
    expect(stdout).toMatch(/node\/worker-1 would go back[^]*node\/worker-2 would go back/);
    expect(await cutover.cutover('rollback', '--all', '--yes', '--reason', 'policy hazard')).toMatchObject({ code: 0 });

    await cutover.reach('rolled-back');
    const { store } = cutover.simulation;
    await cutover.simulation.settled();
    expect(foundOn(cutover.simulation)).toEqual(before);
    expect(store.list('namespaces').map(({ metadata }) => metadata.name)).not.toContain('cutover-probe');
    expect(store.list('customresourcedefinitions.apiextensions.k8s.io')).toEqual([]);
    expect(store.get('daemonsets.apps', 'kube-system', 'calico-node')).toBeUndefined();
    expectNoLoss();
  }, 300_000);

  it('migrates an adopted node that was taken back by itself like any other', async () => {
    await leaveMixed();
    await cutover.launch((yaml) => yaml.replace('nodes: 1', 'nodes: [worker-2]'));
    await cutover.reach('at-gate');

    await cutover.cutover('rollback', '--node', 'worker-1', '--yes', '--reason', 'its pods complain');
    await cutover.reach('paused');
    expect(stateOf('worker-1').loadedNetworks).toEqual(['cbr0']);
    await cutover.cutover('resume', '--reason', 'they do not any more');
    await cutover.reach('at-gate');
    await cutover.cutover('approve', 'after-canary', '--as', 'ben', '--yes', '--reason', 'seen');
    const { pause } = await cutover.reach('paused');
    expect(pause?.reason).toMatch(/1 of the nodes are still on the old network \(worker-1\)/);
    await cutover.cutover('resume', '--reason', 'the last one');

    const view = await cutover.reach('completed');
    expect(nodesOf(view).every(({ state }) => state === 'migrated')).toBe(true);
  }, 300_000);

  it('is refused while a node is half way, with a way out that works', async () => {
    const first = await cutover.launch((yaml) =>
      canary(yaml)
        .replace('timeout: 60s', 'timeout: 3s')
        .replace('nodeAttempts: 2', 'nodeAttempts: 1\n    onFailure: hold'),
    );
    await cutover.reach('at-gate');
    cutover.simulation.inject({ name: 'pdb-never-yields' });
    await cutover.cutover('approve', 'after-canary', '--as', 'ben', '--yes', '--reason', 'seen');
    const held = await until(
      async () => nodesOf(await cutover.status()).find(({ state }) => state === 'waiting'),
      'a node waits',
      120_000,
    );
    await cutover.cutover('abort', '--mode', 'hold', '--yes', '--reason', 'a freeze');
    expect(nodesOf(await cutover.reach('aborted')).find(({ name }) => name === held.name)?.state).toBe('held');
    cutover.simulation.clearFaults();

    const plan = await cutover.cutover('plan', '-f', cutover.planFile());
    expect(plan.stdout).toContain(
      `${held.name} was left half way by an earlier migration (it was taken out of service)`,
    );
    const launched = await cutover.cutover('launch', '--reason', 'again');
    expect(launched).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`an earlier migration left ${held.name} (it was taken out of service) half way`),
    });
    expect((await cutover.cutover('preflight')).stdout).toMatch(
      new RegExp(`give ${held.name} back to Flannel: .*kubectl uncordon ${held.name}`),
    );

    cutover.simulation.store.mutate('nodes', undefined, held.name, ({ metadata, spec }) => {
      delete spec.unschedulable;
      delete metadata.labels!['node.kubernetes.io/exclude-from-external-load-balancers'];
      delete metadata.annotations!['cutover.dev/found'];
    });
    expect(await cutover.launch()).not.toBe(first);
    const view = await cutover.reach('at-gate');
    expect(nodesOf(view).find(({ name }) => name === 'worker-1')?.message).toMatch(/^adopted/);
    expectNoLoss();
  }, 300_000);

  it('keeps Calico under an adopted node that cannot go back, says so, and ends when that node has', async () => {
    await leaveMixed();
    await cutover.launch((yaml) => yaml.replace('nodes: 1', 'nodes: [worker-2]'));
    await cutover.reach('at-gate');
    const worker = cutover.simulation.nodes.get('worker-1')!;
    const path = '/etc/cni/net.d/10-flannel.conflist';
    const conf = worker.files.get(path)!;
    worker.unlink(path);

    await cutover.cutover('rollback', '--all', '--yes', '--reason', 'policy hazard');
    const node = async () => nodesOf(await cutover.status()).find(({ name }) => name === 'worker-1')!;
    await until(async () => (await node()).state === 'waiting', 'worker-1 waits', 120_000);
    expect((await node()).message).toMatch(
      /worker-1 cannot go back to Flannel and is left as it is: it lacks 10-flannel/,
    );
    expect(stateOf('worker-1').loadedNetworks).toEqual(['k8s-pod-network']);
    await cutover.cutover('skip', 'worker-1', '--reason', 'later');

    const { pause } = await cutover.reach('paused');
    expect(pause?.reason).toMatch(/worker-1 is still on calico, and nothing is taken away under it.*rollback --node/);
    expect(agentOf('worker-1')).toBeDefined();
    expectNoLoss();

    worker.write(path, conf);
    expect(
      await cutover.cutover('rollback', '--node', 'worker-1', '--yes', '--reason', 'put back by hand'),
    ).toMatchObject({ code: 0 });
    await cutover.reach('rolled-back');
    await cutover.simulation.settled();
    expect(foundOn(cutover.simulation)).toEqual(before);
    expectNoLoss();
  }, 300_000);
});
