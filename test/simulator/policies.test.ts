import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { createEvaluator } from '../../src/policy/evaluate.ts';
import { policyCluster } from '../../src/policy/observe.ts';
import type { Party, PolicyCluster } from '../../src/policy/types.ts';
import { createRandom } from '../../src/simulator/scenario/random.ts';
import type { Random } from '../../src/simulator/scenario/random.ts';
import { startCluster, until, type TestCluster } from './node-cluster.ts';

/**
 * The evaluator that the hazard report stands on, against the data path of simulated nodes that Calico has: two
 * implementations that share no code, asked cell by cell about policies that nobody thought of.
 */
let cluster: TestCluster;
const names = ['web', 'api', 'db'];
const namespaces = ['shop', 'ops'];
const pods = namespaces.flatMap((namespace) => names.map((name) => `${namespace}/${name}`));
const ports = [8080, 8081, 9090];

beforeAll(async () => {
  cluster = await startCluster({ pods: false });
  cluster.adopt();
  for (const [at, name] of namespaces.entries())
    cluster.store.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'kubernetes.io/metadata.name': name, team: at === 0 ? 'red' : 'blue' } },
    });
  for (const name of cluster.names) await cluster.migrate(name);
  for (const [at, id] of pods.entries()) {
    const [namespace, name] = id.split('/') as [string, string];
    const labels = { app: name, tier: at % 2 === 0 ? 'front' : 'back', env: `${namespace}-${name}` };
    cluster.pod(
      name,
      cluster.names[at % 3]!,
      {
        labels,
        spec: { serviceAccountName: at % 2 === 0 ? 'robot' : 'default' },
        container: {
          ports: [
            { name: 'http', containerPort: 8080 },
            { name: 'extra', containerPort: 8081 + (at % 2), protocol: 'TCP' },
          ],
        },
      },
      namespace,
    );
  }
  cluster.pod(
    'host',
    'n2',
    { labels: { app: 'web' }, spec: { hostNetwork: true }, container: { readinessProbe: undefined } },
    'ops',
  );
  await until(() => pods.every((id) => cluster.ready(id.split('/')[1]!, id.split('/')[0])), 'pods are Ready', 20_000);
}, 60_000);
afterAll(() => cluster.stop());

const resourceOf = ({ apiVersion, kind }: KubernetesObject): string => {
  const group = apiVersion.split('/')[0];
  const plural = {
    NetworkPolicy: 'networkpolicies',
    GlobalNetworkPolicy: 'globalnetworkpolicies',
    NetworkSet: 'networksets',
    GlobalNetworkSet: 'globalnetworksets',
    Tier: 'tiers',
  }[kind];
  return `${plural}.${group}`;
};

/** Puts these policies in place, asks every pair on every port both ways of knowing, and answers where they differ. */
function compare(objects: KubernetesObject[]): { differences: string[]; allowed: number; cut: number } {
  for (const object of objects) cluster.store.create(resourceOf(object), object);
  try {
    const list = (resource: string) => cluster.store.list(resource);
    const world: PolicyCluster = policyCluster({
      nodes: list('nodes'),
      namespaces: list('namespaces'),
      pods: list('pods'),
      services: [],
      slices: [],
      accounts: list('serviceaccounts'),
      webhooks: [],
      agents: [],
      policies: objects,
    });
    const evaluator = createEvaluator(world);
    const podOf = (id: string) => world.pods.find(({ namespace, name }) => `${namespace}/${name}` === id)!;
    const parties: [string, Party][] = [
      ...pods.map((id): [string, Party] => [id, { kind: 'pod', pod: podOf(id) }]),
      ['ops/host', { kind: 'pod', pod: podOf('ops/host') }],
      ...world.nodes.map((node): [string, Party] => [`node:${node.name}`, { kind: 'host', node }]),
    ];
    const differences: string[] = [];
    const counts = { allowed: 0, cut: 0 };
    const cell = (from: [string, Party], to: [string, Party], ip: string, port: number, protocol: 'tcp' | 'udp') => {
      const { delivered, reason } = cluster.send(from[0], ip, { port, protocol });
      const verdict = evaluator.judge({ from: from[1], to: to[1], port, protocol: protocol === 'tcp' ? 'TCP' : 'UDP' });
      counts[delivered ? 'allowed' : 'cut'] += 1;
      if (delivered !== verdict.allowed)
        differences.push(
          `${from[0]} to ${to[0]} ${protocol} ${port}: ${delivered ? 'delivered' : reason}, but: ${verdict.sides.map(({ direction, why }) => `${direction}: ${why}`).join('; ')}`,
        );
      else if (!delivered && !reason.includes('is refused by policy'))
        differences.push(`${from[0]} to ${to[0]}: lost for another reason: ${reason}`);
    };
    for (const from of parties)
      for (const id of pods) {
        if (from[0] === id) continue;
        const [namespace, name] = id.split('/') as [string, string];
        const ip = cluster.get(name, namespace)!['status'].podIP as string;
        for (const port of ports)
          cell(from, [id, { kind: 'pod', pod: podOf(id) }], ip, port, port === 8081 ? 'udp' : 'tcp');
      }
    for (const id of pods) {
      cell(
        [id, { kind: 'pod', pod: podOf(id) }],
        ['outside', { kind: 'address', ip: '203.0.113.7' }],
        '203.0.113.7',
        443,
        'tcp',
      );
      const node = world.nodes[0]!;
      cell([id, { kind: 'pod', pod: podOf(id) }], ['node:n1', { kind: 'host', node }], node.ip, 10250, 'tcp');
    }
    return { differences, ...counts };
  } finally {
    for (const object of objects)
      cluster.store.remove(resourceOf(object), object.metadata.namespace, object.metadata.name);
  }
}

/** Draws policies of every kind, with all that a rule can say. */
function policiesOf(random: Random) {
  const below = (limit: number) => Math.floor(random.next() * limit);
  const pick = <T>(...from: T[]): T => from[below(from.length)]!;
  const maybe = <T extends object>(make: () => T, chance = 0.5): T | object => (random.next() < chance ? make() : {});
  const many = <T>(most: number, make: () => T): T[] => Array.from({ length: below(most + 1) }, make);
  const cidr = () =>
    pick(
      '10.244.0.0/16',
      '10.244.0.0/24',
      '10.244.1.0/26',
      '10.244.1.0/32',
      '203.0.113.0/24',
      '0.0.0.0/0',
      '10.99.0.0/16',
      '::/0',
    );

  const labelSelector = (): object =>
    pick<() => object>(
      () => ({}),
      () => ({ matchLabels: { app: pick(...names) } }),
      () => ({ matchLabels: { tier: pick('front', 'back') } }),
      () => ({
        matchExpressions: [{ key: 'app', operator: pick('In', 'NotIn'), values: [pick(...names), pick(...names)] }],
      }),
      () => ({ matchExpressions: [{ key: pick('app', 'missing'), operator: pick('Exists', 'DoesNotExist') }] }),
    )();
  const namespaceSelector = (): object =>
    pick(
      {},
      { matchLabels: { team: pick('red', 'blue') } },
      { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['red'] }] },
    );
  const peer = (): object =>
    pick<() => object>(
      () => ({ podSelector: labelSelector() }),
      () => ({ namespaceSelector: namespaceSelector() }),
      () => ({ podSelector: labelSelector(), namespaceSelector: namespaceSelector() }),
      () => ({
        ipBlock: {
          cidr: cidr(),
          ...maybe(() => ({ except: [pick('10.244.1.0/24', '203.0.113.0/28', '10.244.2.2/32')] })),
        },
      }),
    )();
  const port = (): object =>
    pick<() => object>(
      () => ({ port: pick(...ports) }),
      () => ({ port: 8080, endPort: pick(8080, 8081, 9090) }),
      () => ({ port: pick('http', 'extra', 'none') }),
      () => ({ protocol: pick('TCP', 'UDP') }),
      () => ({ protocol: 'UDP', port: 8081 }),
    )();
  const rule = (side: 'from' | 'to') => ({
    ...maybe(() => ({ [side]: many(2, peer) }), 0.8),
    ...maybe(() => ({ ports: many(2, port) })),
  });
  const kubernetes = (name: string): KubernetesObject => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: pick(...namespaces) },
    spec: {
      podSelector: labelSelector(),
      ...maybe(() => ({ policyTypes: pick(['Ingress'], ['Egress'], ['Ingress', 'Egress']) }), 0.7),
      ...maybe(() => ({ ingress: many(3, () => rule('from')) })),
      ...maybe(() => ({ egress: many(3, () => rule('to')) })),
    },
  });

  const atom = (): string =>
    pick(
      'all()',
      "app == 'web'",
      "app != 'web'",
      "app in { 'api', 'db' }",
      "tier not in {'front'}",
      'has(env)',
      '!has(missing)',
      "env starts with 'shop'",
      "env ends with 'db'",
      "env contains 'op'",
      "projectcalico.org/namespace == 'shop'",
      "pcns.team == 'blue'",
      "role == 'partner'",
    );
  const selector = (): string =>
    pick(
      atom,
      atom,
      () => `${atom()} && ${atom()}`,
      () => `${atom()} || !(${atom()})`,
      () => `!${atom()} || ${atom()} && ${atom()}`,
    )();
  const entity = (isDestination: boolean): object => ({
    ...maybe(() => ({ selector: selector() })),
    ...maybe(() => ({ notSelector: atom() }), 0.15),
    ...maybe(
      () => ({ namespaceSelector: pick('all()', 'global()', "team == 'red'", "has(team) && team != 'red'") }),
      0.25,
    ),
    ...maybe(() => ({ serviceAccounts: { names: [pick('robot', 'default')] } }), 0.15),
    ...maybe(() => ({ nets: [cidr()] }), 0.2),
    ...maybe(() => ({ notNets: [cidr()] }), 0.15),
    ...(isDestination ? maybe(() => ({ ports: [pick<number | string>(8080, '8080:8081', 'http', 9090)] }), 0.3) : {}),
    ...(isDestination ? maybe(() => ({ notPorts: [pick<number | string>(9090, 'extra')] }), 0.1) : {}),
  });
  const calicoRule = (): object => ({
    action: pick('Allow', 'Allow', 'Deny', 'Pass', 'Log'),
    ...maybe(() => ({ protocol: pick<string | number>('TCP', 'UDP', 17) }), 0.5),
    ...maybe(() => ({ source: entity(false) }), 0.6),
    ...maybe(() => ({ destination: entity(true) }), 0.6),
  });
  const calico = (name: string, tier: string): KubernetesObject => {
    const isGlobal = random.next() < 0.5;
    return {
      apiVersion: 'crd.projectcalico.org/v1',
      kind: isGlobal ? 'GlobalNetworkPolicy' : 'NetworkPolicy',
      metadata: { name, ...(isGlobal ? {} : { namespace: pick(...namespaces) }) },
      spec: {
        ...maybe(() => ({ selector: selector() }), 0.8),
        ...maybe(() => ({ order: pick(1, 500, 1000, 1500) }), 0.6),
        ...maybe(() => ({ types: pick(['Ingress'], ['Egress'], ['Ingress', 'Egress']) }), 0.8),
        ...(tier === '' ? {} : { tier }),
        ...(isGlobal ? maybe(() => ({ namespaceSelector: pick('all()', "team == 'red'") }), 0.3) : {}),
        ...maybe(() => ({ serviceAccountSelector: pick('all()', "kind == 'x'") }), 0.1),
        ...(isGlobal ? maybe(() => ({ preDNAT: true, applyOnForward: true }), 0.05) : {}),
        ingress: many(3, calicoRule),
        egress: many(3, calicoRule),
      },
    };
  };
  const crd = (kind: string, name: string, spec: object, more: object = {}): KubernetesObject => ({
    apiVersion: 'crd.projectcalico.org/v1',
    kind,
    metadata: { name, ...more },
    spec,
  });
  const withTier = random.next() < 0.4;
  return [
    ...many(3, () => 0).map((_, at) => kubernetes(`k${at}`)),
    ...many(3, () => 0).map((_, at) => calico(`c${at}`, withTier && random.next() < 0.5 ? 'security' : '')),
    ...(withTier
      ? [
          crd('Tier', 'security', {
            ...maybe(() => ({ order: pick(1, 2e6) }), 0.7),
            ...maybe(() => ({ defaultAction: 'Pass' }), 0.3),
          }),
        ]
      : []),
    ...(random.next() < 0.5
      ? [
          crd(
            ...pick<[string, string, object, object?]>(
              [
                'GlobalNetworkSet',
                'set',
                { nets: ['203.0.113.0/24', '10.244.1.0/25'] },
                { labels: { role: 'partner' } },
              ],
              ['NetworkSet', 'set', { nets: ['203.0.113.7'] }, { namespace: 'shop', labels: { role: 'partner' } }],
            ),
          ),
        ]
      : []),
  ];
}

describe('the evaluator and the data path of the simulator', () => {
  it('agree that everything passes without a policy', () => {
    expect(compare([])).toMatchObject({ differences: [], cut: 0 });
  });

  it.each(Array.from({ length: 8 }, (_, at) => at + 1))(
    'agree on random policies, seed %i',
    (seed) => {
      const random = createRandom(seed);
      let [allowed, cut] = [0, 0];
      for (let round = 0; round < 25; round++) {
        const objects = policiesOf(random);
        const compared = compare(objects);
        expect(compared.differences, JSON.stringify(objects, null, 1)).toEqual([]);
        allowed += compared.allowed;
        cut += compared.cut;
      }
      // Neither everything open nor everything shut: the cells say something.
      expect(Math.min(allowed, cut) / (allowed + cut)).toBeGreaterThan(0.1);
    },
    120_000,
  );
});
