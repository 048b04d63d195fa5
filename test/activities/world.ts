import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import pino from 'pino';
import { createActivities } from '../../activities/activities.ts';
import type { VerbInput, VerbResult } from '../../activities/types.ts';
import type { CheckContext, CheckResult } from '../../src/checks/types.ts';
import type { JsonObject } from '../../src/json.ts';
import type { KubernetesClient, KubernetesObject } from '../../src/kubernetes/types.ts';
import { bundleDocument } from '../../src/plan/bundle.ts';
import type { CompiledPlan, CompiledStage } from '../../src/plan/types.ts';
import { startControllers } from '../../src/simulator/controllers/start-controllers.ts';
import { createFaults } from '../../src/simulator/scenario/faults.ts';
import { createRandom } from '../../src/simulator/scenario/random.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { startTestApiServer, type TestApiServer } from '../kubernetes/api-server.ts';
import { createFakeNodes, type FakeNodes } from './fake-nodes.ts';
import { startFakeKubelets } from './fake-kubelets.ts';

export const migration = 'flannel-to-calico-4f1c2a';
export const networkLabel = 'projectcalico.org/node-network-during-migration';
export const flannelDaemonSet = { namespace: 'kube-flannel', name: 'kube-flannel-ds' };
export const calicoDaemonSet = { namespace: 'kube-system', name: 'calico-node' };

export interface RunOptions {
  node?: string;
  with?: JsonObject;
  verify?: string[];
  direction?: 'forward' | 'back';
  nodeAttempt?: number;
  attempt?: number;
  timeoutMs?: number;
  activityId?: string;
  onHeartbeat?: (details: { message: string; [key: string]: unknown }) => void;
  /** Aborted: the activity is cancelled by Temporal. */
  cancel?: AbortSignal;
}

export interface World extends TestApiServer {
  nodes: FakeNodes;
  kubelets: ReturnType<typeof startFakeKubelets>;
  records: ReturnType<typeof openStore>;
  planHash: string;
  plan: CompiledPlan;
  /** What the next runs of checks answer; default: every check passes. */
  checks: { answer(ids: readonly string[], context: CheckContext): CheckResult[] | Promise<CheckResult[]> };
  run(verb: string, options?: RunOptions): Promise<VerbResult>;
  activities: ReturnType<typeof createActivities>;
  /** Clients that activities get; a test may put something in between. */
  between: { kubernetes(client: KubernetesClient): KubernetesClient };
  node(name: string): KubernetesObject;
  settled(): Promise<void>;
}

export const nodeNames = ['w1', 'w2', 'w3'];

/** Three nodes on Flannel: the simulator's API server and controllers, kubelets and node access that a test can see into. */
export async function startWorld(
  options: { plan?: Partial<CompiledPlan>; bundle?: { name: string; content: string }[] } = {},
): Promise<World> {
  const server = await startTestApiServer();
  const nodes = createFakeNodes(nodeNames);
  const kubelets = startFakeKubelets(server.store, nodes);
  const controllers = startControllers({
    store: server.store,
    clock: server.clock,
    faults: createFaults(),
    random: createRandom(1),
    isAlive: () => true,
  });
  for (const [index, name] of nodeNames.entries()) server.store.create('nodes', nodeObject(name, index + 1));
  server.store.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-flannel' } });
  server.store.create(
    'daemonsets.apps',
    daemonSet(flannelDaemonSet.namespace, flannelDaemonSet.name, { app: 'flannel' }),
  );

  const records = openStore(join(server.folder, 'records.db'));
  const bundleSha = records.putDocument('bundle', bundleDocument(options.bundle ?? []));
  const plan = compiledPlan(server.kubeconfig, bundleSha, options.plan);
  const planHash = records.putDocument('plan', plan as unknown as JsonObject);
  const checks: World['checks'] = { answer: (ids) => ids.map((id) => checkResult(id)) };
  const between: World['between'] = { kubernetes: (client) => client };
  const activities = createActivities({
    store: records,
    kubernetes: () => between.kubernetes(server.client),
    nodes: () => nodes.access,
    runChecks: async (ids, context) => checks.answer(ids, context),
    log: pino({ level: 'silent' }),
    now: Date.now,
    identity: 'test',
    nodePatienceMs: 0,
  });

  let ran = 0;
  const settled = async (): Promise<void> => {
    for (let calm = 0, version = -1; calm < 5;) {
      await new Promise((resolve) => setImmediate(resolve));
      calm = controllers.idle && version === server.store.resourceVersion ? calm + 1 : 0;
      version = server.store.resourceVersion;
    }
  };
  await settled();
  return {
    ...server,
    nodes,
    kubelets,
    records,
    plan,
    planHash,
    checks,
    activities,
    between,
    settled,
    node: (name) => server.store.get('nodes', undefined, name)!,
    run: async (verb, run = {}) => {
      ran++;
      const environment = new MockActivityEnvironment(
        {
          activityId: run.activityId ?? `activity-${ran}`,
          attempt: run.attempt ?? 1,
          scheduledTimestampMs: 1_000_000 + ran,
          startToCloseTimeoutMs: run.timeoutMs ?? 20_000,
          heartbeatTimeoutMs: 15_000,
          workflowExecution: { workflowId: 'migration:u:node', runId: 'run-1' },
        },
        { logger: new DefaultLogger('ERROR', () => {}) },
      );
      environment.on('heartbeat', (details: { message: string }) => run.onHeartbeat?.(details));
      run.cancel?.addEventListener('abort', () => environment.cancel());
      const input: VerbInput = {
        place: {
          migration,
          planHash,
          stage: '1-flannel-to-calico',
          ...(run.node ? { wave: 'canary', node: run.node } : {}),
        },
        step: { id: verb.replace('.', '-'), title: `Do ${verb}`, direction: run.direction ?? 'forward' },
        nodeAttempt: run.nodeAttempt ?? 1,
        with: run.with ?? {},
        verify: run.verify ?? [],
      };
      return environment.run(activities[verb]!, input);
    },
    stop: async () => {
      controllers.stop();
      kubelets.stop();
      records.close();
      await server.stop();
    },
  };
}

export const checkResult = (id: string, change: Partial<CheckResult> = {}): CheckResult => ({
  id,
  layer: 'pod-network',
  title: id,
  verdict: 'pass',
  message: `${id} is fine`,
  evidence: { asked: 1 },
  ...change,
});

export function daemonSet(
  namespace: string,
  name: string,
  labels: { [key: string]: string },
  pod: object = { hostNetwork: true },
): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name, namespace, labels },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { tolerations: [{ operator: 'Exists' }], containers: [{ name: 'agent', image: 'agent:1' }], ...pod },
      },
    },
  };
}

export function nodeObject(name: string, index: number): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: { 'kubernetes.io/os': 'linux', 'kubernetes.io/hostname': name },
      annotations: {
        'flannel.alpha.coreos.com/backend-type': 'vxlan',
        'flannel.alpha.coreos.com/backend-data': JSON.stringify({ VNI: 1, VtepMAC: `0e:00:00:00:00:0${index}` }),
        'flannel.alpha.coreos.com/public-ip': `10.99.0.${index}`,
        'flannel.alpha.coreos.com/kube-subnet-manager': 'true',
      },
    },
    spec: { podCIDR: `10.244.${index}.0/24` },
    status: {
      conditions: [{ type: 'Ready', status: 'True' }],
      addresses: [{ type: 'InternalIP', address: `10.99.0.${index}` }],
      nodeInfo: { kubeletVersion: 'v1.34.10', containerRuntimeVersion: 'containerd://2.1.9', kernelVersion: '6.1.0' },
    },
  };
}

function compiledPlan(kubeconfig: string, bundleSha: string, change: Partial<CompiledPlan> = {}): CompiledPlan {
  const stage: CompiledStage = {
    id: '1-flannel-to-calico',
    route: 'flannel-to-calico',
    from: 'flannel',
    to: 'calico',
    with: {},
    prepare: [],
    // What the verbs behind the fence look for.
    node: [
      {
        id: 'dead-man',
        title: 'Arm the dead-man switch',
        verb: 'node.armRevert',
        with: { seconds: 1800 },
        undo: [{ verb: 'node.disarmRevert' }],
      },
    ],
    finalize: [],
    preflight: ['nodes-ready', 'budgets'],
    verifyRollback: ['pod-to-pod'],
    waves: [
      {
        id: 'canary',
        nodes: nodeNames.map((name, index) => ({
          name,
          zone: 'a',
          controlPlane: false,
          fingerprint: {
            kubelet: 'v1.34.10',
            containerRuntime: 'containerd://2.1.9',
            kernel: '6.1.0',
            podCIDR: `10.244.${index + 1}.0/24`,
            internalIP: `10.99.0.${index + 1}`,
            hostKey: `SHA256:${name}`,
            cniConfs: { '10-flannel.conflist': 'f1' },
            overlayMtu: 1450,
          },
        })),
      },
    ],
  };
  return {
    apiVersion: 'cutover.dev/v1alpha1',
    kind: 'CompiledPlan',
    name: 'flannel-to-calico',
    cluster: { uid: 'u', kubeconfig, context: '', server: '', kubernetesVersion: 'v1.34.10' },
    access: { ssh: { configFile: '', user: 'root', sudo: false, connectTimeoutSeconds: 5 } },
    probe: { image: 'agnhost:1', namespace: 'cutover-probe', hostPort: 31_999, nodePort: 30_999 },
    drain: { timeoutSeconds: 10, retrySeconds: 0.1, deleteEmptyDirData: true, force: false },
    strategy: {
      maxUnavailable: 1,
      maxUnavailablePerZone: 1,
      failureBudget: 1,
      onFailure: 'rollback',
      nodeAttempts: 2,
      nodeSoakSeconds: 0,
    },
    bundles: { manifests: { path: '/somewhere', sha256: bundleSha } },
    estimate: { perNodeSeconds: 1, workSeconds: 1, soakSeconds: 1 },
    stages: [stage],
    ...change,
  };
}
