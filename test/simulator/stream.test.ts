import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runChecks } from '../../src/checks/run.ts';
import type { CheckContext, CheckResult, Story } from '../../src/checks/types.ts';
import { createKubernetesClient } from '../../src/kubernetes/client.ts';
import type { KubernetesClient } from '../../src/kubernetes/types.ts';
import type { CompiledPlan, CompiledStage, PlannedNode } from '../../src/plan/types.ts';
import type { Continuity } from '../../src/probe/continuity.ts';
import { streamPeers } from '../../src/probe/stream-peers.ts';
import { startSimulation } from '../../src/simulator/simulate.ts';
import type { SimRoute, Simulation } from '../../src/simulator/types.ts';
import { planNodes, sshTo, startProbes } from '../checks/target.ts';
import { probe } from '../checks/probe.ts';
import { until } from '../support/until.ts';

/** The continuous probe in a simulated cluster, asked by the check as it is at a gate. */
let simulation: Simulation;
let kubernetes: KubernetesClient;
let nodes: ReturnType<typeof sshTo>;
let planned: PlannedNode[];
/** Seconds since the epoch, from which on outages count. */
let since = 0;
/** A node to which worker-1 sends all the time. */
let peer = '';

beforeAll(async () => {
  simulation = await startSimulation('three-nodes', { speed: 10 });
  kubernetes = createKubernetesClient({ kubeconfig: simulation.kubeconfig, context: '' });
  nodes = sshTo(simulation);
  planned = await planNodes(kubernetes, nodes);
  await startProbes(kubernetes, planned);
  peer = streamPeers(planned).get('worker-1')![0]!.name;
  await until(async () => sentBy(await look()) > 20, 'the probes send');
}, 120_000);
afterAll(async () => {
  await nodes.close();
  await simulation.stop();
});
afterEach(() => {
  simulation.clearFaults();
  since = Date.now() / 1000;
});

type Found = Omit<CheckResult, 'evidence'> & { evidence: Continuity };

async function look(story: Partial<Story> = {}): Promise<Found> {
  const context: CheckContext = {
    kubernetes,
    nodes,
    plan: { probe } as CompiledPlan,
    stage: { waves: [{ id: 'all', nodes: planned }] } as unknown as CompiledStage,
    token: () => 1,
    signal: new AbortController().signal,
    migratedNodes: () => [],
    patienceMs: 0,
    story: () => ({ motions: [], kept: [], since, startedAt: '', ...story }),
  };
  const [result] = await runChecks(['continuity'], context);
  return result as unknown as Found;
}

const sentBy = ({ evidence }: Found): number => (evidence.rows ?? []).reduce((sum, row) => sum + row.sent, 0);
const row = ({ evidence }: Found, service: string, fromZone: string, toZone: string) =>
  evidence.rows.find((each) => each.service === service && each.fromZone === fromZone && each.toZone === toZone);
const ofPeers = ({ evidence }: Found) => evidence.rows.filter(({ service }) => service === 'udp' || service === 'tcp');
const zoneOf = (node: string) => planned.find(({ name }) => name === node)!.zone;

/** Takes the route from one node to the pods of another away, for so many simulated seconds. */
async function cutRoute(from: string, to: string, seconds: number): Promise<void> {
  const machine = simulation.node(from);
  const { podCIDR } = planned.find(({ name }) => name === to)!.fingerprint;
  const lost = machine.routes.find(({ dst }) => dst === podCIDR) as SimRoute;
  machine.routes = machine.routes.filter((route) => route !== lost);
  await simulation.clock.sleep(seconds * 1000);
  machine.routes.push(lost);
}

describe('the continuous probe of a simulated cluster', () => {
  it('counts nothing while the network is in order, on every kind of path', async () => {
    // The probes serve a moment after they have started; what was not there yet has not been lost.
    const found = await until(async () => {
      const now = await look();
      return /^bystanders lost 0 of \d+ packets/.test(now.message) ? now : undefined;
    }, 'every path answers, and nothing counts as lost');

    expect(found.verdict).toBe('pass');
    expect(new Set(found.evidence.rows.map(({ service }) => service))).toEqual(
      new Set(['udp', 'tcp', 'node-port', 'cluster-ip', 'dns']),
    );
    expect(found.evidence.probes).toEqual({ asked: planned.length, silent: [], of: planned.length });
  });

  it('shows a short outage as seconds without an answer, with its path and time', async () => {
    await cutRoute('worker-1', peer, 3);
    const found = await until(async () => {
      const now = await look();
      return (row(now, 'udp', zoneOf('worker-1'), zoneOf(peer))?.lost ?? 0) > 0 ? now : undefined;
    }, 'the outage shows');

    const udp = row(found, 'udp', zoneOf('worker-1'), zoneOf(peer))!;
    expect(udp).toMatchObject({ unreachableSeconds: udp.longestSeconds, brokenConnections: 0 });
    expect(Date.parse(udp.since) / 1000).toBeGreaterThan(since);
    expect(row(found, 'tcp', zoneOf('worker-1'), zoneOf(peer))).toMatchObject({ brokenConnections: 0 });
    expect(found.message).toMatch(/(at worst|for longer than the plan allows .*:) \S+ .*: \d+ s since \d\d:/);
  });

  it('blocks when bystanders were cut off for longer than the plan allows, and not for what the gate before was about', async () => {
    await cutRoute('worker-1', peer, 40);
    const blocked = await look();
    since = Date.now() / 1000 + 1;
    const later = await until(async () => {
      const now = await look();
      return now.verdict === 'pass' ? now : undefined;
    }, 'it is of the past');

    expect(blocked).toMatchObject({
      verdict: 'block',
      message: expect.stringMatching(
        /^bystanders were cut off for longer than the plan allows \(5 s and 0 connections\)/,
      ),
      remedy: expect.stringContaining('reject the gate'),
    });
    // A connection without an answer for half a minute counts as broken.
    expect(row(blocked, 'tcp', zoneOf('worker-1'), zoneOf(peer))!.brokenConnections).toBeGreaterThan(0);
    expect(later.evidence.rows.every(({ lost }) => lost === 0)).toBe(true);
  });

  it('gives to a node that moved what was lost while it did', async () => {
    const from = Date.now() / 1000;
    await cutRoute('worker-1', peer, 20);

    const found = await look({ motions: [{ node: peer, from, to: Date.now() / 1000 + 1 }] });

    expect(found.evidence.moving.nodes).toEqual([peer]);
    expect(found.evidence.moving.lost).toBeGreaterThan(5);
    expect(row(found, 'udp', zoneOf('worker-1'), zoneOf(peer))).toMatchObject({ lost: 0, unreachableSeconds: 0 });
  });

  it('does not take a probe pod that was killed for an outage', async () => {
    const pods = await kubernetes.list(
      { apiVersion: 'v1', kind: 'Pod' },
      { namespace: probe.namespace, labelSelector: 'app=cutover-probe', fieldSelector: 'spec.nodeName=worker-3' },
    );
    const { name, uid } = pods[0]!.metadata;
    await kubernetes.delete({ apiVersion: 'v1', kind: 'Pod', namespace: probe.namespace, name });

    const found = await until(async () => {
      const now = await look();
      const all = await kubernetes.list(
        { apiVersion: 'v1', kind: 'Pod' },
        { namespace: probe.namespace, labelSelector: 'app=cutover-probe', fieldSelector: 'spec.nodeName=worker-3' },
      );
      return all.some(({ metadata }) => metadata.uid !== uid) &&
        now.verdict === 'pass' &&
        now.evidence.probes.silent.length === 0 &&
        // Its peers find the other address within a tick or two; what they missed until then is the pod's own.
        ofPeers(now).every(({ unreachableSeconds }) => unreachableSeconds === 0)
        ? now
        : undefined;
    }, 'another pod runs, and nothing counts as lost');

    expect(ofPeers(found).length).toBeGreaterThan(0);
  });

  it('does not believe a prober that starved, and says so', async () => {
    simulation.inject({ name: 'prober-starved', nodes: ['worker-1'] });
    await until(async () => (await look()).evidence.starved.lost > 5, 'the canary tells');
    simulation.clearFaults('prober-starved');

    const found = await until(async () => {
      const now = await look();
      return now.evidence.rows.every(({ down }) => down.length === 0) ? now : undefined;
    }, 'every path answers again');

    expect(found).toMatchObject({
      verdict: 'warn',
      message: expect.stringMatching(/of worker-1 were lost while the canary .* not believed/),
      remedy: expect.stringContaining('take the evidence anew'),
    });
    expect(found.evidence.starved.nodes).toEqual(['worker-1']);
  });
});
