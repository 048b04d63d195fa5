import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/json.ts';
import type { ClusterFacts, NodeFacts } from '../../src/plan/facts.ts';
import { CutoverError } from '../../src/errors.ts';
import { compiledPlan, startFixture, type Fixture } from './fixture.ts';

const pinned = 'c'.repeat(64);
const yaml = (changes: { route?: string; canary?: number } = {}) => `apiVersion: cutover.dev/v1alpha1
kind: MigrationPlan
metadata:
  name: prod
spec:
  cluster:
    kubeconfig: ./kubeconfig
  stages:
    - route: ${changes.route ?? 'flannel-to-calico'}
      with:
        manifests:
          path: ./calico
          sha256: ${pinned}
  strategy:
    waves:
      - name: canary
        nodes: ${changes.canary ?? 1}
        gate: { approvals: 1 }
      - name: rest
        nodes: rest
`;

const nodeFacts = (name: string, zone: string): NodeFacts => ({
  name,
  zone,
  controlPlane: false,
  ready: true,
  unschedulable: false,
  labels: { 'topology.kubernetes.io/zone': zone },
  annotations: {},
  fingerprint: compiledPlan.stages[0]!.waves[0]!.nodes[0]!.fingerprint,
  unreachable: '',
  adopted: false,
  halfWay: '',
});

const facts: ClusterFacts = {
  uid: 'cluster-uid',
  server: 'https://192.0.2.1:6443',
  kubernetesVersion: 'v1.33.0',
  observedAt: '2026-03-01T14:00:00.000Z',
  nodes: [nodeFacts('worker-1', 'a'), nodeFacts('worker-2', 'b'), nodeFacts('worker-3', 'c')],
  flannel: {
    daemonSet: 'kube-flannel/kube-flannel-ds',
    network: '10.244.0.0/16',
    backend: 'vxlan',
    mtu: 1450,
    directRouting: false,
    addonManaged: false,
  },
  calico: null,
  workloads: { pods: 9, podsByNode: { 'worker-1': 3, 'worker-2': 3, 'worker-3': 3 } },
  aborted: [],
  budgets: [],
  networkPolicies: [],
  bundles: { manifests: { path: '/plans/calico', sha256: pinned, files: 4 } },
};

let api: Fixture;
beforeEach(async () => {
  api = await startFixture();
  api.control.facts = api.store.putDocument('facts', facts as unknown as JsonObject);
});
afterEach(() => api.close());

const compile = (text: string) =>
  api.call('POST', '/v1/plans', { body: { yaml: text, file: 'plans/prod.yaml', baseDirectory: '/plans' } });

it('has a worker read the cluster that the plan names, compiles, stores by hash and writes it down', async () => {
  const { status, body } = await compile(yaml());

  expect(status).toBe(200);
  expect(api.control.observed).toMatchObject([
    { kubeconfig: '/plans/kubeconfig', bundles: { manifests: { path: '/plans/calico' } } },
  ]);
  expect(body).toMatchObject({
    name: 'prod',
    nodes: 3,
    outline: [
      {
        route: 'flannel-to-calico',
        waves: [
          { id: 'canary', gate: 'after-canary' },
          { id: 'rest', gate: '' },
        ],
      },
    ],
  });
  expect(body.outline[0].waves[1].nodes).toHaveLength(2);
  expect(api.store.getDocument('plan', body.hash)).toMatchObject({ kind: 'CompiledPlan', name: 'prod' });
  expect(api.store.records({ kind: ['plan.compiled'] })).toMatchObject([
    { actor: 'ana', planHash: body.hash, evidence: { facts: api.control.facts } },
  ]);
  expect((await api.call('GET', `/v1/plans/${body.hash.slice(0, 10)}`)).body.plan.stages[0].node[0].id).toBe(
    'snapshot',
  );
});

it('gives the same plan the same hash', async () => {
  const [first, second] = [await compile(yaml()), await compile(`# a comment\n${yaml()}`)];

  expect(second.body.hash).toBe(first.body.hash);
  expect(
    (await api.call('GET', '/v1/plans')).body.items.filter(({ hash }: { hash: string }) => hash === first.body.hash),
  ).toHaveLength(1);
});

it.each([
  ['a typo', yaml().replace('strategy:', 'stratgy:'), 'PlanInvalid', /^plans\/prod\.yaml:14:3: /],
  ['an unknown route', yaml({ route: 'flannel-to-cilium' }), 'RouteUnknown', /^plans\/prod\.yaml:9:14: /],
  ['no YAML', 'a: [', 'PlanInvalid', /^plans\/prod\.yaml:\d+:\d+: not valid YAML/],
])('refuses %s before anybody looks at the cluster, naming the place', async (_, text, type, message) => {
  const { status, body } = await compile(text);

  expect([status, body.error.type]).toEqual([422, type]);
  expect(body.error.message).toMatch(message);
  expect(api.control.observed).toEqual([]);
  expect(api.store.records()).toEqual([]);
});

it('puts the place in the file before what only the cluster could tell', async () => {
  const { status, body } = await compile(yaml().replace(pinned, 'd'.repeat(64)));

  expect(status).toBe(422);
  expect(body.error.message).toMatch(/^plans\/prod\.yaml:13:19: the bundle manifests .* but the plan pins/);
  expect(api.store.records()).toEqual([]);
});

it('passes on that the cluster cannot be reached', async () => {
  api.control.observe = () =>
    Promise.reject(new CutoverError('ClusterUnreachable', 'https://192.0.2.1:6443 does not answer'));

  const { status, body } = await compile(yaml());

  expect([status, body.error.message]).toEqual([502, 'https://192.0.2.1:6443 does not answer']);
});

it('tells how far a preflight is, by the last heartbeat of its worker', async () => {
  const path = `/v1/plans/${api.planHash.slice(0, 8)}/preflight/request-1`;
  const before = await api.call('GET', path);
  api.control.pendingActivities = [
    {
      name: 'preflight',
      state: 'started',
      attempt: 1,
      maximumAttempts: 2,
      heartbeat: { message: '3 of 9 checks', done: 3, of: 9 },
    },
  ];
  const during = await api.call('GET', path);

  expect(before.body).toEqual({ running: false, done: 0, of: 0 });
  expect(during.body).toEqual({ running: true, done: 3, of: 9 });
});

it('runs preflight on a stored plan and writes down what the checks said', async () => {
  const { status, body } = await api.call('POST', `/v1/plans/${api.planHash.slice(0, 8)}/preflight`);

  expect([status, body.verdict]).toEqual([200, 'pass']);
  expect(api.store.records({ kind: ['preflight.ended'] })).toMatchObject([
    { actor: 'ana', planHash: api.planHash, outcome: 'pass', evidenceDigest: body.digest },
  ]);
});

describe('the policy report of a stored plan', () => {
  const report = { hazards: [], policies: [], pods: 3, flows: [], gaps: [] };
  const ask = (body: object) => api.call('POST', `/v1/plans/${api.planHash.slice(0, 8)}/policy`, { body });

  it('is made by a worker, from the flows that were sent along', async () => {
    api.control.policyReport = api.store.putDocument('policy-report', report);
    const text = 'flows:\n  - { from: shop/web, to: shop/api, port: 80 }\n';

    const { status, body } = await ask({ flows: { text, file: 'flows.yaml' }, matrix: true });

    expect([status, body]).toEqual([200, report]);
    expect(api.control.policyInputs).toEqual([
      {
        planHash: api.planHash,
        declared: { flows: [{ from: 'shop/web', to: 'shop/api', port: 80, protocol: 'TCP' }], file: 'flows.yaml' },
        matrix: true,
      },
    ]);
  });

  it('refuses flows that cannot be read, before anybody is asked', async () => {
    const { status, body } = await ask({
      flows: { text: 'flows:\n  - { from: shop/web, port: 80 }\n', file: 'flows.yaml' },
    });

    expect([status, body.error.message]).toEqual([422, expect.stringMatching(/^flows\.yaml: flow 1, to: /)]);
    expect(api.control.policyInputs).toEqual([]);
  });
});
