import { expect } from 'vitest';
import { fingerprintOf } from '../../activities/fingerprint.ts';
import type { Check } from '../../src/checks/define.ts';
import { findCheck } from '../../src/checks/index.ts';
import { runChecks } from '../../src/checks/run.ts';
import type { CheckContext, CheckResult, Verdict } from '../../src/checks/types.ts';
import type { Json } from '../../src/json.ts';
import type { KubernetesClient } from '../../src/kubernetes/types.ts';
import { createSshAccess } from '../../src/node/ssh.ts';
import type { NodeAccess, NodeState } from '../../src/node/types.ts';
import type { CompiledPlan, CompiledStage, PlannedNode } from '../../src/plan/types.ts';
import { hostProbeName, applyProbes, probeName } from '../../src/probe/manifests.ts';
import { serveFromAll } from '../../src/probe/serve.ts';
import { isReady } from '../../src/probe/pods.ts';
import type { Case } from './cases.ts';
import type { Damage, Mend } from './damages.ts';
import { probe } from './probe.ts';

/** A cluster on Flannel with probe pods, which can be broken: a simulated one, or the lab's. */
export interface CheckTarget {
  kubernetes: KubernetesClient;
  sshConfig: string;
  planned: readonly PlannedNode[];
  /** How long checks that may need a moment are asked again, ms. */
  patienceMs: number;
  /** Breaks something on a node. Answers the way to mend it, which resolves once the node is as it was. */
  damage(name: Damage, node: string): Promise<Mend>;
  stop(): Promise<void>;
}

/** One verdict, as it is kept for docs/fidelity.md. */
export interface CheckRow {
  scenario: string;
  check: string;
  verdict: Verdict;
  message: string;
  /** Of its last asking. Questions of one layer to one pod travel together, so they share their time. */
  ms: number;
}

/** Breaks what the case names, asks its checks, mends; then compares. `keep` gets the rows also when they are not as expected. */
export async function runCase(target: CheckTarget, one: Case, keep: (rows: CheckRow[]) => void): Promise<void> {
  const mend = one.damage === undefined ? undefined : await target.damage(one.damage, one.node!);
  let results: TimedResult[];
  try {
    results = await ask(target, one);
  } finally {
    await mend?.();
    if (mend !== undefined) await everyPodReady(target.kubernetes);
  }
  keep(results.map(({ id, verdict, message, ms }) => ({ scenario: one.name, check: id, verdict, message, ms })));

  const found = results.map(({ id, verdict, message, remedy = '' }) => [id, { verdict, message, remedy }]);
  const expected = Object.entries(one.expect).map(([id, { verdict, says = /./, remedy = /^/ }]) => [
    id,
    { verdict, message: expect.stringMatching(says), remedy: expect.stringMatching(remedy) },
  ]);
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
}

type TimedResult = CheckResult & { ms: number };

async function ask(target: CheckTarget, { expect: expected, node }: Case): Promise<TimedResult[]> {
  const times = new Map<string, number>();
  // A connection from before the damage would outlive that of sshd.
  const nodes = sshTo(target);
  const context: CheckContext = {
    kubernetes: target.kubernetes,
    nodes,
    plan: {
      probe,
      drain: { force: false, deleteEmptyDirData: false },
      strategy: { maxUnavailable: 1 },
    } as CompiledPlan,
    stage: { from: 'flannel', to: 'calico', waves: [{ id: 'all', nodes: target.planned }] } as unknown as CompiledStage,
    ...(node === undefined ? {} : { node: target.planned.find(({ name }) => name === node)! }),
    token: () => 1,
    signal: new AbortController().signal,
    migratedNodes: () => [],
    patienceMs: target.patienceMs,
  };
  try {
    const results = await runChecks(Object.keys(expected), context, (id) => timed(findCheck(id), times));
    return results.map((result) => ({ ...result, ms: Math.round(times.get(result.id) ?? 0) }));
  } finally {
    await nodes.close();
  }
}

/** The check, which notes how long its asking took. */
function timed(check: Check | undefined, times: Map<string, number>): Check | undefined {
  if (check === undefined) return undefined;
  const asking = check.ask as (...given: unknown[]) => Promise<Json>;
  const measured = async (...given: unknown[]): Promise<Json> => {
    const started = performance.now();
    try {
      return await asking(...given);
    } finally {
      times.set(check.id, performance.now() - started);
    }
  };
  return { ...check, ask: measured } as Check;
}

export const sshTo = ({ sshConfig }: Pick<CheckTarget, 'sshConfig'>): NodeAccess =>
  createSshAccess({ configFile: sshConfig, user: 'root', sudo: false, connectTimeoutSeconds: 5 });

export const inspectThrough = (nodes: NodeAccess, node: string): Promise<NodeState> =>
  nodes.run(node, 'inspect', {}, { token: 1, timeoutMs: 30_000 });

/** The nodes as a plan would have them. */
export async function planNodes(kubernetes: KubernetesClient, nodes: NodeAccess): Promise<PlannedNode[]> {
  const objects = await kubernetes.list({ apiVersion: 'v1', kind: 'Node' });
  return Promise.all(
    objects.map(async (object) => {
      const { name, labels = {} } = object.metadata;
      return {
        name,
        zone: labels['topology.kubernetes.io/zone'] ?? '',
        controlPlane: name.startsWith('control-plane'),
        fingerprint: fingerprintOf(object, await inspectThrough(nodes, name), await nodes.hostKey(name)),
      };
    }),
  );
}

/** Two Ready probe pods on every node. */
export async function startProbes(kubernetes: KubernetesClient, planned: readonly PlannedNode[]): Promise<void> {
  await applyProbes(probe, planned, (manifest) => kubernetes.apply(manifest));
  const wanted = 2 * (await kubernetes.list({ apiVersion: 'v1', kind: 'Node' })).length;
  const labelSelector = `app in (${probeName},${hostProbeName})`;
  const ready = await kubernetes.waitFor(
    { apiVersion: 'v1', kind: 'Pod' },
    { namespace: probe.namespace, labelSelector, timeoutMs: 120_000 },
    (pods) => (pods.filter(isReady).length === wanted ? true : undefined),
  );
  expect(ready, 'every node has two Ready probe pods').toBe(true);
  await serveFromAll(kubernetes, probe.namespace);
}

/** A pod that its kubelet did not reach for a moment is out of its Services until it is Ready again. */
async function everyPodReady(kubernetes: KubernetesClient): Promise<void> {
  const ready = await kubernetes.waitFor({ apiVersion: 'v1', kind: 'Pod' }, { timeoutMs: 120_000 }, (pods) =>
    pods.every(isReady) ? true : undefined,
  );
  expect(ready, 'every pod is Ready again').toBe(true);
}
