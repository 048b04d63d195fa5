import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { worstVerdict } from '../../src/checks/acknowledge.ts';
import type { Evidence, ObserveInput, PolicyReportInput, TakeLeaseInput, TakenLease } from '../../activities/types.ts';
import type { CheckResult } from '../../src/checks/types.ts';
import type { Json, JsonObject } from '../../src/json.ts';
import type { CompiledPlan, GateSpec, PlannedNode, Step } from '../../src/plan/types.ts';
import type { MigrationControl, PendingActivity, RequestOf, UpdateTarget } from '../../src/server/migrations.ts';
import { createPlanner } from '../../src/server/planning.ts';
import { startServer, type RunningServer } from '../../src/server/serve.ts';
import { hashOf } from '../../src/plan/hash.ts';
import { openStore } from '../../src/store/sqlite.ts';
import type { RecordInput, Store } from '../../src/store/types.ts';

export const token = 'token-of-the-test';

export interface Sent {
  target: UpdateTarget;
  name: string;
  args: JsonObject;
  request: RequestOf;
}

/** Temporal's place: remembers what it was asked, and answers or throws what the test says. */
export interface ControlDouble extends MigrationControl {
  sent: Sent[];
  started: JsonObject[];
  observed: ObserveInput[];
  /** Thrown by the next calls of `update`, one each. */
  refusals: Error[];
  startRefusals: Error[];
  leases: TakeLeaseInput[];
  leaseRefusals: Error[];
  takenLease: TakenLease;
  givenBack: { planHash: string; migration: string }[];
  evidence: Evidence;
  facts: string;
  policyInputs: PolicyReportInput[];
  /** Digest of the stored report. */
  policyReport: string;
  pendingActivities: PendingActivity[];
  /** How often somebody asked for them. */
  asked: number;
}

export const evidenceOf = (checks: CheckResult[]): Evidence => ({
  checks,
  digest: hashOf(checks),
  verdict: worstVerdict(checks),
  at: new Date().toISOString(),
});

export const check = (
  id: string,
  verdict: CheckResult['verdict'],
  message = `${id} was measured`,
  node?: string,
): CheckResult => ({
  id,
  layer: 'pod-network',
  title: id,
  verdict,
  message,
  ...(verdict === 'pass' ? {} : { remedy: `mend ${id}` }),
  ...(node === undefined ? {} : { node }),
  evidence: { measured: true },
});

export function controlDouble(): ControlDouble {
  const double: ControlDouble = {
    sent: [],
    started: [],
    observed: [],
    refusals: [],
    startRefusals: [],
    leases: [],
    leaseRefusals: [],
    takenLease: {},
    givenBack: [],
    evidence: evidenceOf([check('nodes-ready', 'pass')]),
    facts: '',
    policyInputs: [],
    policyReport: '',
    pendingActivities: [],
    asked: 0,
    observe: (input) => {
      double.observed.push(input);
      return Promise.resolve(double.facts);
    },
    policy: (input) => {
      double.policyInputs.push(input);
      return Promise.resolve(double.policyReport);
    },
    preflight: () => Promise.resolve(double.evidence),
    takeLease: (input) => {
      const refusal = double.leaseRefusals.shift();
      if (refusal) return Promise.reject(refusal);
      double.leases.push(input);
      return Promise.resolve(double.takenLease);
    },
    giveBackLease: (input) => {
      double.givenBack.push(input);
      return Promise.resolve();
    },
    start: (input) => {
      const refusal = double.startRefusals.shift();
      if (refusal) return Promise.reject(refusal);
      double.started.push(input as unknown as JsonObject);
      return Promise.resolve();
    },
    update: (target, name, args, request) => {
      const refusal = double.refusals.shift();
      if (refusal) return Promise.reject(refusal);
      double.sent.push({ target, name, args: args as unknown as JsonObject, request });
      return Promise.resolve(`${name} accepted` as Json);
    },
    ping: () => Promise.resolve(),
    pending: () => {
      double.asked++;
      return Promise.resolve(double.pendingActivities);
    },
  };
  return double;
}

const plannedNode = (name: string, zone: string): PlannedNode => ({
  name,
  zone,
  controlPlane: false,
  fingerprint: {
    kubelet: 'v1.33.0',
    containerRuntime: 'containerd://2.0.0',
    kernel: '6.1.0',
    podCIDR: '10.244.1.0/24',
    internalIP: '192.0.2.11',
    hostKey: 'SHA256:abc',
    cniConfs: {},
    overlayMtu: 1450,
  },
});

const stepOf = (id: string, title: string): Step => ({ id, title, verb: `node.${id}` });

export const gateSpec: GateSpec = {
  id: 'after-canary',
  approvals: 1,
  approvers: [],
  requesterMayApprove: false,
  soakSeconds: 0,
  checks: ['pod-to-pod'],
  timeoutSeconds: 0,
  onTimeout: 'hold',
};

export const compiledPlan: CompiledPlan = {
  apiVersion: 'cutover.dev/v1alpha1',
  kind: 'CompiledPlan',
  name: 'prod',
  cluster: {
    uid: 'cluster-uid',
    kubeconfig: '',
    context: '',
    server: 'https://192.0.2.1:6443',
    kubernetesVersion: 'v1.33.0',
  },
  access: { ssh: { configFile: '', user: 'root', sudo: false, connectTimeoutSeconds: 10 } },
  probe: {
    image: 'registry.k8s.io/e2e-test-images/agnhost:2.53',
    namespace: 'cutover-probe',
    hostPort: 9998,
    nodePort: 30998,
  },
  drain: { timeoutSeconds: 600, retrySeconds: 5, deleteEmptyDirData: true, force: false },
  strategy: {
    maxUnavailable: 2,
    maxUnavailablePerZone: 1,
    failureBudget: 3,
    onFailure: 'rollback',
    nodeAttempts: 2,
    nodeSoakSeconds: 10,
  },
  bundles: {},
  estimate: { perNodeSeconds: 60, workSeconds: 180, soakSeconds: 30 },
  stages: [
    {
      id: '1-flannel-to-calico',
      route: 'flannel-to-calico',
      from: 'flannel',
      to: 'calico',
      with: {},
      prepare: [stepOf('probes', 'Start the probe pods')],
      node: [stepOf('cordon', 'Take no new pods'), stepOf('probe', 'Ask the new network')],
      finalize: [stepOf('residue', 'Look for anything left')],
      preflight: ['nodes-ready'],
      verifyRollback: [],
      waves: [
        { id: 'canary', nodes: [plannedNode('worker-1', 'a')], gate: gateSpec },
        { id: 'wave-2', nodes: [plannedNode('worker-2', 'b'), plannedNode('worker-3', 'c')] },
      ],
    },
  ],
};

export interface Fixture {
  url: string;
  home: string;
  store: Store;
  control: ControlDouble;
  planHash: string;
  server: RunningServer;
  /** Appends a record of the migration `prod-000001`, a second after the one before. */
  record(kind: RecordInput['kind'], fields?: Partial<RecordInput>): void;
  call(
    method: string,
    path: string,
    options?: { body?: unknown; as?: string; headers?: Record<string, string> },
  ): Promise<{ status: number; body: any; headers: Headers }>;
  close(): Promise<void>;
}

export const migration = 'prod-000001';
export const gateChecks = [check('pod-to-pod', 'pass'), check('path-mtu', 'warn', '1 of 6 paths is slower')];
export const gateDigest = hashOf(gateChecks);

/** A server over real HTTP with a real store and a stored plan. */
export async function startFixture(): Promise<Fixture> {
  const home = mkdtempSync(join(tmpdir(), 'cutover-server-'));
  const store = openStore(join(home, 'cutover.db'), { pollMs: 20 });
  const control = controlDouble();
  const planHash = store.putDocument('plan', compiledPlan as unknown as JsonObject);
  const server = await startServer({ store, control, planner: createPlanner(), token, version: '0.0.0' }, { port: 0 });
  let sequence = 0;
  let at = Date.now() - 600_000;
  return {
    url: server.url,
    home,
    store,
    control,
    planHash,
    server,
    record: (kind, fields = {}) => {
      at += 1_000;
      store.append({
        key: `test:${sequence++}`,
        kind,
        at: new Date(at).toISOString(),
        actor: 'workflow',
        migration,
        planHash,
        ...fields,
      });
    },
    call: async (method, path, { body, as = 'ana', headers = {} } = {}) => {
      const response = await fetch(`${server.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          'x-cutover-actor': encodeURIComponent(as),
          'content-type': 'application/json',
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        body: text.startsWith('{') ? JSON.parse(text) : text,
        headers: response.headers,
      };
    },
    close: async () => {
      await server.stop();
      store.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** The records of a migration that waits at its first gate. */
export function atGate({ record }: Pick<Fixture, 'record'>): void {
  const stage = '1-flannel-to-calico';
  const inWave = { stage, wave: 'canary' };
  const onNode = { ...inWave, node: 'worker-1', nodeAttempt: 1, attempt: 1, direction: 'forward' as const };
  record('migration.requested', { actor: 'ana', reason: 'we need policies' });
  record('migration.started', { actor: 'ana', message: 'prod' });
  record('step.began', { stage, step: 'probes', direction: 'forward', attempt: 1, message: 'Start the probe pods' });
  record('step.ended', { stage, step: 'probes', direction: 'forward', attempt: 1, outcome: 'ok', durationMs: 900 });
  record('wave.started', { ...inWave, direction: 'forward', evidence: { nodes: ['worker-1'], turn: 0 } });
  record('step.began', { ...onNode, step: 'cordon', message: 'Take no new pods' });
  record('step.ended', { ...onNode, step: 'cordon', outcome: 'ok', durationMs: 400 });
  record('step.began', { ...onNode, step: 'probe', message: 'Ask the new network' });
  record('step.ended', {
    ...onNode,
    step: 'probe',
    outcome: 'failed',
    durationMs: 2_500,
    checks: [check('dns', 'block', 'no answer within 2 s', 'worker-1')],
    error: { type: 'ChecksFailed', message: 'dns blocks on worker-1', remedy: 'look at CoreDNS' },
  });
  record('step.began', { ...onNode, step: 'cordon', direction: 'back', message: 'Undo: Take no new pods' });
  record('step.ended', { ...onNode, step: 'cordon', direction: 'back', outcome: 'ok', durationMs: 300 });
  record('step.began', { ...onNode, nodeAttempt: 2, step: 'cordon', message: 'Take no new pods' });
  record('step.ended', { ...onNode, nodeAttempt: 2, step: 'cordon', outcome: 'ok', durationMs: 400 });
  record('step.began', { ...onNode, nodeAttempt: 2, step: 'probe', message: 'Ask the new network' });
  record('step.ended', { ...onNode, nodeAttempt: 2, step: 'probe', outcome: 'ok', durationMs: 2_000 });
  record('node.ended', {
    ...inWave,
    node: 'worker-1',
    nodeAttempt: 2,
    outcome: 'migrated',
    message: 'on the new network, every check passed',
  });
  record('wave.ended', { ...inWave, direction: 'forward', outcome: 'done', message: '1 of 1 nodes migrated' });
  record('gate.opened', {
    ...inWave,
    checks: gateChecks,
    evidenceDigest: gateDigest,
    outcome: 'warn',
    evidence: { gate: 'after-canary', spec: { ...gateSpec } },
  });
}
