import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AppsV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startSimulation } from '../../src/simulator/simulate.ts';
import { parseScenario } from '../../src/simulator/scenario/load.ts';
import type { Simulation, TrafficReport } from '../../src/simulator/types.ts';

const run = promisify(execFile);
const hasSsh = await run('ssh', ['-V']).then(
  () => true,
  () => false,
);

let directory: string;
let simulation: Simulation;
let config: KubeConfig;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cutover-simulate-test-'));
  simulation = await startSimulation('three-nodes', { directory });
  config = new KubeConfig();
  config.loadFromFile(simulation.kubeconfig);
});
afterAll(async () => {
  await simulation?.stop();
  await rm(directory, { recursive: true, force: true });
});

describe('a running simulation', () => {
  it('lists its pods to the usual client, all Ready, on nodes that have their network', async () => {
    const { items } = await config.makeApiClient(CoreV1Api).listPodForAllNamespaces();

    const names = items.map(({ metadata }) => metadata!.name!.replace(/-[a-z0-9]{10}-[a-z0-9]{5}$|-[a-z0-9]{5}$/, ''));
    expect(
      Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length])),
    ).toEqual({
      web: 4,
      client: 3,
      edge: 3,
      coredns: 2,
      'kube-flannel-ds': 4,
      'kube-proxy': 4,
      'etcd-control-plane-1': 1,
      'kube-apiserver-control-plane-1': 1,
      'kube-controller-manager-control-plane-1': 1,
      'kube-scheduler-control-plane-1': 1,
    });
    expect(
      items.filter(
        ({ status }) => !status!.conditions!.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      ),
    ).toEqual([]);
    for (const node of simulation.nodes.values())
      expect([node.name, node.loadedNetworks]).toEqual([node.name, ['cbr0']]);
  });

  it('brings a deleted pod back', async () => {
    const core = config.makeApiClient(CoreV1Api);
    const { items } = await core.listNamespacedPod({ namespace: 'default', labelSelector: 'app=web' });

    await core.deleteNamespacedPod({ namespace: 'default', name: items[0]!.metadata!.name! });
    await simulation.settled();

    const after = await core.listNamespacedPod({ namespace: 'default', labelSelector: 'app=web' });
    expect(after.items).toHaveLength(4);
    expect(after.items.map(({ metadata }) => metadata!.uid)).not.toContain(items[0]!.metadata!.uid);
  });

  it('rolls the Flannel agents without losing a packet of pods that stay', async () => {
    const before = simulation.traffic();
    const apps = config.makeApiClient(AppsV1Api);
    const set = await apps.readNamespacedDaemonSet({ namespace: 'kube-flannel', name: 'kube-flannel-ds' });
    set.spec!.template.metadata!.annotations = { rolled: 'yes' };

    await apps.replaceNamespacedDaemonSet({ namespace: 'kube-flannel', name: 'kube-flannel-ds', body: set });
    await simulation.settled();

    const { status } = await apps.readNamespacedDaemonSet({ namespace: 'kube-flannel', name: 'kube-flannel-ds' });
    expect(status).toMatchObject({ desiredNumberScheduled: 4, updatedNumberScheduled: 4, numberReady: 4 });
    const after = simulation.traffic();
    expect(after.bystanders.sent).toBeGreaterThan(before.bystanders.sent);
    expect(after.bystanders.lost - before.bystanders.lost, JSON.stringify(after.streams)).toBe(0);
  });

  it.skipIf(!hasSsh)('lets ssh in with the written config, and only with a known host key', async () => {
    const { stdout } = await run('ssh', ['-F', simulation.sshConfig, 'worker-1', 'hostname']);

    expect(stdout.trim()).toBe('worker-1');
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, 'id_ed25519'))).mode & 0o777).toBe(0o600);
    expect(await readFile(simulation.sshConfig, 'utf8')).toContain('StrictHostKeyChecking yes');
  });

  it('is looked into and broken from another process through its control endpoint', async () => {
    const { control } = simulation;
    const post = (fault: object) => fetch(`${control}/faults`, { method: 'POST', body: JSON.stringify(fault) });
    const lost = async () => ((await (await fetch(`${control}/traffic`)).json()) as TrafficReport).bystanders.lost;

    expect(await (await fetch(`${control}/nodes/worker-1`)).json()).toMatchObject({
      hostname: 'worker-1',
      kubeletActive: true,
    });
    expect((await fetch(`${control}/nodes/nobody`)).status).toBe(404);
    expect((await post({ name: 'gremlins' })).status).toBe(404);
    expect((await post({})).status).toBe(400);

    const before = await lost();
    expect((await post({ name: 'vxlan-blocked', when: 'always' })).status).toBe(204);
    await expect.poll(lost).toBeGreaterThan(before);
    expect((await fetch(`${control}/faults/vxlan-blocked`, { method: 'DELETE' })).status).toBe(204);
    // Packets are counted a tick after they were sent, and on a busy machine a tick is long: some are still from before.
    const sent = () => simulation.traffic().bystanders.sent;
    const lossOverNext = async (packets: number) => {
      const [lostBefore, sentBefore] = [await lost(), sent()];
      await expect.poll(sent, { timeout: 20_000 }).toBeGreaterThan(sentBefore + packets);
      return (await lost()) - lostBefore;
    };
    await expect.poll(() => lossOverNext(1000), { timeout: 40_000 }).toBe(0);
  });
});

describe('a simulation of a troubled cluster', () => {
  it('blocks VXLAN on a node for one stay of Calico, when that is how often it may', async () => {
    const blocked = await startSimulation(
      parseScenario(
        [
          'name: blocked',
          'nodes: { workers: 2 }',
          'workloads: [{ name: web, replicas: 2 }]',
          'traffic: [{ kind: pod-to-pod, from: web, to: web }]',
          'faults: [{ name: vxlan-blocked, nodes: [worker-2], when: calico, times: 1 }]',
        ].join('\n'),
      ),
    );
    try {
      const worker = blocked.node('worker-2');
      const device = { kind: 'vxlan', mac: '0a:00:00:00:00:01', mtu: 1450, up: true, vni: 1, dstPort: 8472 } as const;
      const lost = () => blocked.traffic().bystanders.lost;
      const faultsOn = async () => ((await (await fetch(`${blocked.control}/faults`)).json()) as { on: unknown[] }).on;
      await expect.poll(() => blocked.traffic().bystanders.sent).toBeGreaterThan(20);
      expect(lost()).toBe(0);

      worker.links.set('vxlan.calico', { ...device, name: 'vxlan.calico', addresses: [] });
      await expect.poll(lost).toBeGreaterThan(0);
      expect(blocked.traffic().streams[0]!.lastReason).toContain('worker-2: a firewall drops VXLAN');
      expect(await faultsOn()).toHaveLength(1);

      worker.deleteLink('vxlan.calico');
      await expect.poll(faultsOn).toEqual([]);
    } finally {
      await blocked.stop();
    }
  });

  it('comes up healthy and then has its faults', async () => {
    const scenario = parseScenario(
      [
        'name: troubled',
        'nodes: { workers: 2, overrides: { worker-2: { cordoned: true, leftoverConfs: { 99-old.conf: "{}" } }, worker-1: { hostKeyChanged: true } } }',
        'workloads: [{ name: web, replicas: 2 }]',
        'budgets: [{ name: web, app: web, maxUnavailable: 1 }]',
        'faults: [{ name: pdb-never-yields }]',
        'speed: 20',
      ].join('\n'),
    );
    const troubled = await startSimulation(scenario);
    try {
      const budget = () => troubled.store.get('poddisruptionbudgets.policy', 'default', 'web')!['status'];
      await expect.poll(budget).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 0 });

      troubled.clearFaults('pdb-never-yields');
      await expect.poll(budget).toMatchObject({ disruptionsAllowed: 1 });
      expect(troubled.store.list('pods', { namespace: 'default' }).map((pod) => pod['spec'].nodeName)).toEqual([
        'worker-1',
        'worker-1',
      ]);
      expect(
        troubled
          .node('worker-2')
          .state()
          .confs.map(({ name }) => name),
      ).toEqual(['10-flannel.conflist', '99-old.conf']);
      const ssh = (node: string) => run('ssh', ['-F', troubled.sshConfig, node, 'hostname']);
      if (hasSsh) {
        await expect(ssh('worker-1')).rejects.toThrow(/HOST IDENTIFICATION HAS CHANGED|Host key verification failed/);
        expect((await ssh('worker-2')).stdout.trim()).toBe('worker-2');
      }
    } finally {
      await troubled.stop();
    }
  });

  it('becomes Unknown on a node that lost its power, and Ready when it is back', async () => {
    const scenario = parseScenario(
      'name: dark\nspeed: 100\nnodes: { workers: 2 }\nworkloads: [{ name: web, replicas: 2 }]',
    );
    const dark = await startSimulation(scenario);
    try {
      const ready = () => {
        const { status } = dark.store.get('nodes', undefined, 'worker-1')!;
        return status.conditions.find((each: { type: string }) => each.type === 'Ready').status;
      };

      dark.inject({ name: 'node-dead', nodes: ['worker-1'] });
      await expect.poll(ready, { timeout: 20_000 }).toBe('Unknown');

      dark.clearFaults('node-dead');
      await expect.poll(ready, { timeout: 20_000 }).toBe('True');
      await dark.settled();
      expect(dark.store.get('nodes', undefined, 'worker-1')!['spec'].taints).toBeUndefined();
    } finally {
      await dark.stop();
    }
    await expect(stat(dark.kubeconfig)).rejects.toThrow('ENOENT');
  });
});
