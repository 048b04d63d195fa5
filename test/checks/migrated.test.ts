import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createActivities } from '../../activities/activities.ts';
import { observeCluster } from '../../activities/observe.ts';
import type { VerbResult } from '../../activities/types.ts';
import type { CheckResult } from '../../src/checks/types.ts';
import type { JsonObject } from '../../src/json.ts';
import { createKubernetesClient } from '../../src/kubernetes/client.ts';
import type { KubernetesClient } from '../../src/kubernetes/types.ts';
import { createSshAccess } from '../../src/node/ssh.ts';
import type { NodeAccess } from '../../src/node/types.ts';
import { bundleDocument } from '../../src/plan/bundle.ts';
import type { Action, CompiledPlan, Step } from '../../src/plan/types.ts';
import { flannelToCalico } from '../../src/routes/flannel-to-calico.ts';
import { startSimulation } from '../../src/simulator/simulate.ts';
import type { Simulation } from '../../src/simulator/types.ts';
import { openStore } from '../../src/store/sqlite.ts';

/** The runbook's own steps, one after the other and without a workflow, on a simulated cluster: do the checks see what they should? */
const drain = { timeoutSeconds: 60, retrySeconds: 1, deleteEmptyDirData: true, force: false };
const strategy = {
  maxUnavailable: 1,
  maxUnavailablePerZone: 1,
  failureBudget: 1,
  onFailure: 'hold',
  nodeAttempts: 2,
  nodeSoakSeconds: 0,
} as const;
const runbook = flannelToCalico.runbook({ drain, strategy });
const wave = ['worker-1', 'worker-2'];

let simulation: Simulation;
let kubernetes: KubernetesClient;
let nodes: NodeAccess;
let folder: string;
let run: (action: Action & { verify?: string[] }, node?: string, direction?: 'forward' | 'back') => Promise<VerbResult>;

beforeAll(async () => {
  simulation = await startSimulation('three-nodes', { speed: 50 });
  kubernetes = createKubernetesClient({ kubeconfig: simulation.kubeconfig, context: '' });
  nodes = createSshAccess({ configFile: simulation.sshConfig, user: 'root', sudo: false, connectTimeoutSeconds: 5 });
  folder = mkdtempSync(join(tmpdir(), 'cutover-checks-'));
  run = await activitiesOf();
  for (const step of runbook.prepare) await run(step);
}, 120_000);

afterAll(async () => {
  await nodes.close();
  await simulation.stop();
  for (const path of [folder, dirname(simulation.kubeconfig)]) rmSync(path, { recursive: true, force: true });
});

async function activitiesOf() {
  const store = openStore(join(folder, 'records.db'));
  const manifests = new URL('../../plans/manifests/calico/', import.meta.url);
  const files = readdirSync(manifests).map((name) => ({
    name,
    content: readFileSync(new URL(name, manifests), 'utf8'),
  }));
  const sha256 = store.putDocument('bundle', bundleDocument(files));
  const facts = await observeCluster(
    { kubernetes, nodes, store, now: Date.now, signal: new AbortController().signal, progress: () => {} },
    { bundles: {} },
  );
  const planned = facts.nodes.map(({ name, zone, controlPlane, fingerprint }) => ({
    name,
    zone,
    controlPlane,
    fingerprint,
  }));
  const plan: CompiledPlan = {
    apiVersion: 'cutover.dev/v1alpha1',
    kind: 'CompiledPlan',
    name: 'checks',
    cluster: {
      uid: facts.uid,
      kubeconfig: simulation.kubeconfig,
      context: '',
      server: simulation.server,
      kubernetesVersion: facts.kubernetesVersion,
    },
    access: { ssh: { configFile: simulation.sshConfig, user: 'root', sudo: false, connectTimeoutSeconds: 5 } },
    // Not 18080: a workload of the scenario has that hostPort.
    probe: {
      image: 'registry.k8s.io/e2e-test-images/agnhost:2.53',
      namespace: 'cutover-probe',
      hostPort: 18180,
      nodePort: 31280,
    },
    drain,
    strategy,
    bundles: { manifests: { path: 'plans/manifests/calico', sha256 } },
    estimate: { perNodeSeconds: 30, workSeconds: 90, soakSeconds: 0 },
    stages: [
      {
        id: '1',
        route: 'flannel-to-calico',
        from: 'flannel',
        to: 'calico',
        with: {},
        ...runbook,
        waves: [{ id: 'all', nodes: planned }],
      },
    ],
  };
  const planHash = store.putDocument('plan', plan as unknown as JsonObject);
  const activities = createActivities({
    store,
    kubernetes: () => kubernetes,
    nodes: () => nodes,
    log: pino({ level: 'silent' }),
    now: Date.now,
    identity: 'test',
  });
  let ran = 0;

  return async (
    { verb, with: args = {}, verify = [] }: Action & { verify?: string[] },
    node?: string,
    direction: 'forward' | 'back' = 'forward',
  ) => {
    ran += 1;
    const environment = new MockActivityEnvironment(
      {
        activityId: `${ran}`,
        attempt: 1,
        scheduledTimestampMs: Date.now(),
        startToCloseTimeoutMs: 60_000,
        heartbeatTimeoutMs: 15_000,
        workflowExecution: { workflowId: `node-${node}`, runId: 'run' },
      },
      { logger: new DefaultLogger('ERROR', () => {}) },
    );
    const place = { migration: 'checks-1', planHash, stage: '1', ...(node === undefined ? {} : { wave: 'all', node }) };
    return environment.run(activities[verb]!, {
      place,
      step: { id: `s${ran}`, title: verb, direction },
      nodeAttempt: 1,
      with: args,
      verify,
    }) as Promise<VerbResult>;
  };
}

/** Runs the node steps and collects what their checks said. */
async function forward(node: string, steps: readonly Step[] = runbook.node): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const step of steps) results.push(...(await run(step, node)).checks);
  return results;
}

const verdicts = (results: readonly CheckResult[]) =>
  results.map(({ id, verdict, message }) => `${id}: ${verdict === 'pass' ? 'pass' : message}`);

describe('nodes that the runbook gives to Calico', () => {
  it('pass every check on the way, alone among Flannel nodes and beside another one', async () => {
    const wanted = runbook.node.flatMap((step) => step.verify ?? []);

    for (const node of wave) {
      const results = await forward(node);
      expect(verdicts(results).toSorted()).toEqual(wanted.map((id) => `${id}: pass`).toSorted());
    }
  }, 120_000);

  it('make a matrix of all four directions', async () => {
    const { checks } = await run({ verb: 'cluster.check', verify: ['cluster-matrix'] });

    expect(checks[0]).toMatchObject({
      verdict: 'pass',
      message: 'every path works, 64 of 64: flannel -> flannel, flannel -> calico, calico -> flannel, calico -> calico',
    });
  });

  it('pass the checks of a rollback once they have gone back', async () => {
    const undo = runbook.node.toReversed().flatMap((step) => step.undo ?? []);

    for (const action of undo) await run(action, 'worker-1', 'back');
    const { checks } = await run({ verb: 'node.check', verify: runbook.verifyRollback }, 'worker-1', 'back');

    expect(verdicts(checks).toSorted()).toEqual(runbook.verifyRollback.map((id) => `${id}: pass`).toSorted());
  }, 120_000);
});
