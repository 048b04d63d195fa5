import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKubernetesClient } from '../../src/kubernetes/client.ts';
import { createSshAccess } from '../../src/node/ssh.ts';
import { judgeCaptures } from '../../src/probe/capture/judge.ts';
import { takeCapture, type CaptureMeans } from '../../src/probe/capture/take.ts';
import type { Capture } from '../../src/probe/capture/types.ts';
import { startSimulation } from '../../src/simulator/simulate.ts';
import type { Simulation } from '../../src/simulator/types.ts';
import { planNodes, startProbes } from '../checks/target.ts';
import { probe } from '../checks/probe.ts';

let simulation: Simulation;
let means: CaptureMeans;
let stop: () => Promise<void>;
const aborted = new AbortController();

beforeAll(async () => {
  simulation = await startSimulation('three-nodes', { speed: 100 });
  const kubernetes = createKubernetesClient({ kubeconfig: simulation.kubeconfig, context: '' });
  const nodes = createSshAccess({
    configFile: simulation.sshConfig,
    user: 'root',
    sudo: false,
    connectTimeoutSeconds: 5,
  });
  const planned = await planNodes(kubernetes, nodes);
  await startProbes(kubernetes, planned);
  const [from, to] = planned.filter(({ controlPlane }) => !controlPlane);
  means = {
    kubernetes,
    nodes,
    probe,
    settings: { runs: 3, seconds: 1 },
    from: from!,
    to: to!,
    migration: 'test-000000',
    token: () => 0,
    signal: new AbortController().signal,
    progress: () => {},
    now: Date.now,
  };
  stop = async () => {
    await nodes.close();
    await simulation.stop();
  };
});
afterAll(() => stop());

const median = (capture: Capture, metric: string, path: string) =>
  capture.measurements.find((each) => each.metric === metric && each.path === path)?.median ?? NaN;

const left = () =>
  (['pods', 'services', 'daemonsets.apps'] as const).flatMap((kind) =>
    simulation.store
      .list(kind, { namespace: probe.namespace })
      .filter(({ metadata }) => metadata.name.startsWith('cutover-capture'))
      .map(({ metadata }) => `${kind} ${metadata.name}`),
  );

describe('a capture of a simulated cluster on Flannel', () => {
  let before: Capture;

  it('measures every figure on every path three times, and leaves nothing', async () => {
    before = await takeCapture(means, 'before');

    expect(before.failures).toEqual([]);
    expect(before.measurements).toHaveLength(16);
    for (const { runs, min, median: middle, max } of before.measurements) {
      expect(runs).toHaveLength(3);
      expect(min).toBeGreaterThan(0);
      expect(min <= middle && middle <= max).toBe(true);
    }
    expect(left()).toEqual([]);
  });

  it('finds the order of the paths that the network gives them', () => {
    const throughput = (path: string) => median(before, 'throughput', path);

    expect(throughput('same-node')).toBeGreaterThan(throughput('host'));
    expect(throughput('host')).toBeGreaterThan(throughput('across-nodes'));
    expect(median(before, 'latency-p50', 'across-nodes')).toBeGreaterThan(median(before, 'latency-p50', 'host'));
  });

  it('counts the 50 bytes of VXLAN in each packet, on the wire and through the tunnel', () => {
    const { encapsulation, devices } = before;

    // What the continuous probe sends meanwhile is estimated from a quiet moment, and taken off.
    expect(encapsulation!.median).toBeGreaterThan(47);
    expect(encapsulation!.median).toBeLessThan(53);
    expect(encapsulation!.tunnelPackets).toBeGreaterThanOrEqual(encapsulation!.packets);
    expect(devices.map(({ node, device, role }) => `${node} ${device} ${role}`)).toEqual(
      [means.from, means.to].flatMap(({ name }) => [`${name} eth0 underlay`, `${name} flannel.1 tunnel`]),
    );
    for (const { quiet, loaded } of devices) expect(loaded.txpck).toBeGreaterThan(quiet.txpck);
  });

  it('shows a damaged path as a regression of the pods, and no change of the host', async () => {
    simulation.inject({ name: 'pods-slow', nodes: [means.to.name], factor: 0.5 });

    const after = await takeCapture(means, 'after');
    simulation.clearFaults('pods-slow');
    const { verdict, comparisons } = judgeCaptures(before, after);

    expect(verdict).toBe('regression');
    const worse = comparisons
      .filter((each) => each.verdict === 'regression')
      .map(({ metric, path }) => `${metric} ${path}`);
    expect(worse).toEqual(expect.arrayContaining(['throughput across-nodes', 'latency-p50 cluster-ip']));
    expect(worse.filter((each) => each.endsWith('same-node'))).toEqual([]);
  });

  it('says in a sentence what it could not measure, and measures the rest', async () => {
    simulation.inject({ name: 'vxlan-blocked', nodes: [means.to.name], when: 'always' });

    const capture = await takeCapture(means, 'now');
    simulation.clearFaults('vxlan-blocked');

    expect(capture.failures).toEqual(
      expect.arrayContaining([expect.stringMatching(/^TCP throughput, pod to pod across nodes: tcp connect failed/)]),
    );
    expect(median(capture, 'throughput', 'host')).toBeGreaterThan(1_000);
    expect(median(capture, 'throughput', 'across-nodes')).toBeNaN();
  });

  it('is taken anew after one that died half way', async () => {
    const dying = takeCapture(
      {
        ...means,
        signal: aborted.signal,
        progress: (said) => said.startsWith('run 2') && aborted.abort(new Error('killed')),
      },
      'before',
    );
    await expect(dying).rejects.toThrow('killed');

    const again = await takeCapture(means, 'before');

    expect(again.failures).toEqual([]);
    expect(again.measurements).toHaveLength(16);
    expect(left()).toEqual([]);
  });
});
