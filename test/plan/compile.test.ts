import { describe, expect, it } from 'vitest';
import { CutoverError } from '../../src/errors.ts';
import { compareNames, compilePlan, observeInputOf } from '../../src/plan/compile.ts';
import type { ClusterFacts } from '../../src/plan/facts.ts';
import { hashOf } from '../../src/plan/hash.ts';
import { validatePlan, withPosition } from '../../src/plan/load.ts';
import type { CompiledPlan } from '../../src/plan/types.ts';
import { clusterFacts, digest, nodeFacts, planOf } from './facts.ts';

const compile = (spec: object = {}, facts: ClusterFacts = clusterFacts()) =>
  compilePlan(validatePlan(planOf(spec)), facts, '/plans', '/home/ana');
const strategy = (waves: object[], rest: object = {}): object => ({ strategy: { waves, ...rest } });
const outline = (plan: CompiledPlan): [string, string[]][] =>
  plan.stages[0]!.waves.map(({ id, nodes }) => [id, nodes.map(({ name }) => name)]);

function refusal(run: () => unknown): CutoverError {
  try {
    run();
  } catch (error) {
    if (error instanceof CutoverError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('waves', () => {
  it('go from a canary over numbers and percentages to the rest, the control plane last and one at a time', () => {
    const { plan } = compile(
      strategy([
        { name: 'canary', nodes: 1 },
        { name: 'some', nodes: 2 },
        { name: 'quarter', nodes: '25%' },
      ]),
      clusterFacts({ zones: { a: 3, b: 3, c: 3 }, controlPlanes: 3 }),
    );

    const waves = outline(plan);
    expect(waves.map(([id, nodes]) => [id, nodes.length])).toEqual([
      ['canary', 1],
      ['some', 2],
      ['quarter', 3], // of all 12 nodes
      ['rest', 3],
      ['control-plane-1', 1],
      ['control-plane-2', 1],
      ['control-plane-3', 1],
    ]);
    expect(new Set(waves.flatMap(([, nodes]) => nodes)).size).toBe(12);
  });

  it('begin with a worker of few pods in a zone of many nodes', () => {
    const pods = { 'worker-1': 30, 'worker-2': 0, 'worker-3': 12, 'worker-4': 9, 'worker-5': 20 };
    const { plan } = compile({}, clusterFacts({ zones: { a: 1, small: 1, big: 3 }, pods }));

    // worker-2 has no pod, but its zone has no other node; of zone big (3, 4, 5) worker-4 has fewest.
    expect(outline(plan)[0]).toEqual(['canary', ['worker-4']]);
  });

  it('do not begin with a node that is not ready', () => {
    const facts = clusterFacts({ zones: { a: 3 } });
    facts.nodes = facts.nodes.map((node) => (node.name === 'worker-1' ? { ...node, ready: false } : node));

    expect(outline(compile({}, facts).plan)[0]).toEqual(['canary', ['worker-2']]);
  });

  it('round a percentage up, so that no wave is empty because of it', () => {
    const { plan } = compile(
      strategy([
        { name: 'tenth', nodes: '10%' },
        { name: 'rest', nodes: 'rest' },
      ]),
    );

    expect(outline(plan)[0]![1]).toHaveLength(1);
  });

  it('keep nodes that a later wave names out of the numbers before it', () => {
    const { plan } = compile(
      strategy([
        { name: 'canary', nodes: 1 },
        { name: 'picked', nodes: ['worker-2', 'worker-1'] },
      ]),
    );

    expect(outline(plan)).toEqual([
      ['canary', ['worker-3']],
      ['picked', ['worker-2', 'worker-1']],
      ['rest', expect.arrayContaining(['worker-4', 'worker-5', 'worker-6'])],
      ['control-plane', ['control-1']],
    ]);
  });

  it('select by label, and leave control-plane nodes for the end', () => {
    const facts = clusterFacts();
    facts.nodes = facts.nodes.map((node) => ({ ...node, labels: { pool: /[15]$/.test(node.name) ? 'gpu' : 'web' } }));
    const { plan } = compile(strategy([{ name: 'gpu', nodes: { matchLabels: { pool: 'gpu' } } }]), facts);

    expect(outline(plan)[0]![1].toSorted()).toEqual(['worker-1', 'worker-5']);
    expect(outline(plan).at(-1)).toEqual(['control-plane', ['control-1']]);
  });

  it('add what no wave takes as a wave of its own, and say so', () => {
    const { plan, warnings } = compile(strategy([{ name: 'rest', nodes: 2 }]));

    expect(outline(plan).map(([id]) => id)).toEqual(['rest', 'rest-2', 'control-plane']);
    expect(warnings.join('\n')).toMatch(
      /no wave takes worker-\d, worker-\d, worker-\d, worker-\d: added as wave rest-2/,
    );
  });

  it('of more than 250 nodes run in parts, and the gate follows the last', () => {
    const { plan, warnings } = compile(
      strategy([
        { name: 'canary', nodes: 1 },
        { name: 'rest', nodes: 'rest', gate: {} },
      ]),
      clusterFacts({ zones: { a: 200, b: 200, c: 201 } }),
    );

    const waves = plan.stages[0]!.waves.slice(0, 4);
    expect(waves.map(({ id, nodes, gate }) => [id, nodes.length, gate?.id])).toEqual([
      ['canary', 1, undefined],
      ['rest-part-1', 250, undefined],
      ['rest-part-2', 250, undefined],
      ['rest', 100, 'after-rest'],
    ]);
    expect(new Set(waves.flatMap(({ nodes }) => nodes.map(({ name }) => name))).size).toBe(601);
    expect(warnings.join('\n')).not.toContain('added as wave');
  });

  it('leave out a wave `rest` for which nothing is left, and say so', () => {
    const { plan, warnings } = compile({}, clusterFacts({ zones: { a: 1 } }));

    expect(outline(plan)).toEqual([
      ['canary', ['worker-1']],
      ['control-plane', ['control-1']],
    ]);
    expect(warnings).toContain('wave rest is left out because no worker is left for it');
  });

  it('treat control-plane nodes as workers when there is nothing else, but never take two at once', () => {
    const { plan } = compile(
      strategy([{ name: 'canary', nodes: 1 }], { maxUnavailable: 3 }),
      clusterFacts({ zones: {}, controlPlanes: 3 }),
    );

    expect(outline(plan)).toEqual([
      ['canary', ['control-1']],
      ['rest', ['control-2', 'control-3']],
    ]);
    expect(plan.strategy.maxUnavailable).toBe(1);
  });

  it.each([
    [{ a: 4, b: 4, c: 4 }],
    [{ a: 1, b: 7, c: 3 }],
    [{ a: 2, b: 2 }],
    [{ a: 30, b: 1 }],
    [{ a: 5 }],
    [{ a: 9, b: 8, c: 7, d: 1, e: 1 }],
  ])('put neighbours into different zones as long as there are any: %j', (zones) => {
    const { plan } = compile(strategy([{ name: 'rest', nodes: 'rest' }]), clusterFacts({ zones }));

    const order = plan.stages[0]!.waves[0]!.nodes.map(({ zone }) => zone);
    const total = order.length;
    const largest = Math.max(...Object.values(zones));
    const clashes = order.filter((zone, index) => index > 0 && zone === order[index - 1]).length;
    // With n nodes, of which m in one zone, an order without equal neighbours exists when m <= ceil(n / 2).
    expect(clashes).toBe(Math.max(0, largest - 1 - (total - largest)));
    expect(order).toHaveLength(Object.values(zones).reduce((sum, size) => sum + size, 0));
  });

  it('spread by the label that the plan names', () => {
    const facts = clusterFacts({ zones: { a: 4 } });
    facts.nodes = facts.nodes.map((node, index) => ({ ...node, labels: { rack: `r${index % 2}` } }));
    const { plan } = compile(strategy([{ name: 'all', nodes: '100%' }], { spreadBy: 'rack' }), facts);

    const racks = plan.stages[0]!.waves[0]!.nodes.map(({ zone }) => zone);
    expect(racks).toEqual(expect.arrayContaining(['r0', 'r1']));
    expect(racks[0]).not.toBe(racks[1]);
  });
});

describe('limits', () => {
  it.each([
    [2, undefined, 2, 1],
    [5, undefined, 5, 2],
    ['50%', undefined, 3, 1],
    ['1%', undefined, 1, 1],
    [4, 3, 4, 3],
    [2, 9, 2, 2],
  ])('maxUnavailable %s, per zone %s: %d in all, %d in a zone', (maxUnavailable, maxUnavailablePerZone, all, zone) => {
    const { plan } = compile({
      strategy: { maxUnavailable, ...(maxUnavailablePerZone ? { maxUnavailablePerZone } : {}) },
    });

    expect(plan.strategy).toMatchObject({ maxUnavailable: all, maxUnavailablePerZone: zone });
  });
});

describe('gates', () => {
  it('exist where the plan writes them, with the defaults of the plan', () => {
    const { plan, warnings } = compile({
      gates: { approvals: 2, approvers: ['ana', 'bob'] },
      ...strategy([
        { name: 'canary', nodes: 1, gate: { soak: '5m' } },
        { name: 'rest', nodes: 'rest' },
      ]),
    });

    const [canary, rest] = plan.stages[0]!.waves;
    expect(canary!.gate).toEqual({
      id: 'after-canary',
      approvals: 2,
      approvers: ['ana', 'bob'],
      requesterMayApprove: false,
      soakSeconds: 300,
      checks: ['nodes-ready', 'blocked-workloads', 'cluster-matrix', 'continuity', 'policy-hazards'],
      evidenceMaxAgeSeconds: 1800,
      timeoutSeconds: 0,
      onTimeout: 'hold',
    });
    expect(rest!.gate).toBeUndefined();
    expect(plan.stages[0]!.finalizeGate).toBeUndefined();
    expect(warnings.join()).toContain('no finalizeGate');
  });

  it('take the policies of the cluster as evidence, whatever checks the plan names', () => {
    const { plan } = compile({ gates: { checks: ['dns'] }, ...strategy([{ name: 'all', nodes: 'rest', gate: {} }]) });

    expect(plan.stages[0]!.waves[0]!.gate!.checks).toEqual(['dns', 'policy-hazards']);
  });

  it('stand before the point of no return when the plan asks for one', () => {
    const stages = [
      { route: 'flannel-to-calico', with: { manifests: { path: 'm', sha256: digest } }, finalizeGate: {} },
    ];

    expect(compile({ stages }).plan.stages[0]!.finalizeGate).toMatchObject({ id: 'before-finalize', approvals: 1 });
  });
});

describe('refuses', () => {
  it('a wave that selects no node, by name', () => {
    const error = refusal(() => compile(strategy([{ name: 'gpu', nodes: { matchLabels: { pool: 'gpu' } } }])));

    expect(error).toMatchObject({
      type: 'WaveEmpty',
      message:
        'wave gpu selects no node: no worker that is left carries pool=gpu; control-plane nodes go last by themselves',
    });
  });

  it('a number after everything is taken', () => {
    const error = refusal(() =>
      compile(
        strategy([
          { name: 'all', nodes: 6 },
          { name: 'more', nodes: 1 },
        ]),
      ),
    );

    expect(error).toMatchObject({ type: 'WaveEmpty', details: { wave: 'more' } });
  });

  it.each([
    ['worker-11', 'wave x names worker-11, which is not a node of this migration', 'did you mean worker-1?'],
    ['control-1', 'wave x names control-1, a control-plane node', 'remove it'],
  ])('the name %s in a wave', (name, message, remedy) => {
    const error = refusal(() => compile(strategy([{ name: 'x', nodes: [name] }])));

    expect(error).toMatchObject({ type: 'PlanInvalid', message });
    expect(error.remedy).toContain(remedy);
  });

  it('a node in two waves', () => {
    expect(
      refusal(() =>
        compile(
          strategy([
            { name: 'x', nodes: ['worker-1'] },
            { name: 'y', nodes: ['worker-1'] },
          ]),
        ),
      ).message,
    ).toBe('wave y names worker-1, which an earlier wave has already');
  });

  it('a cluster of one node, with a remedy', () => {
    expect(refusal(() => compile({}, clusterFacts({ zones: {}, controlPlanes: 1 })))).toMatchObject({
      type: 'PlanInvalid',
      message: 'the cluster has a single node: its pods have nowhere to go while the network is changed',
      remedy: 'add a second node, at least for the time of the migration',
    });
  });

  it('a bundle with another digest, naming both', () => {
    const facts = clusterFacts();
    facts.bundles['manifests']!.sha256 = 'cd'.repeat(32);
    const { type, message } = refusal(() => compile({}, facts));

    expect(type).toBe('PlanInvalid');
    expect(message).toContain(`sha256:${'cd'.repeat(32)}`);
    expect(message).toContain(`sha256:${digest}`);
  });

  it('a bundle that cannot be read', () => {
    const facts = clusterFacts();
    facts.bundles['manifests']!.error = 'ENOENT: no such file or directory';

    expect(refusal(() => compile({}, facts)).message).toBe(
      'the bundle manifests cannot be read at /plans/manifests/calico: ENOENT: no such file or directory',
    );
  });

  it('nodes that cannot be reached, unless they are excluded', () => {
    const facts = clusterFacts();
    facts.nodes.push(nodeFacts('worker-9', { unreachable: 'the host key changed' }));

    expect(refusal(() => compile({}, facts))).toMatchObject({
      type: 'NodeUnreachable',
      message: 'worker-9: the host key changed',
    });
    expect(() => compile({ exclude: { names: ['worker-9'] } }, facts)).not.toThrow();
  });

  it('an excluded node that does not exist', () => {
    expect(refusal(() => compile({ exclude: { names: ['wroker-1'] } })).remedy).toBe('did you mean worker-1?');
  });

  it('with the line of the plan, when it is given the text', () => {
    const text = `apiVersion: cutover.dev/v1alpha1
kind: MigrationPlan
metadata: { name: move }
spec:
  stages: [{ route: flannel-to-calico, with: { manifests: { path: m, sha256: ${digest} } } }]
  strategy:
    waves:
      - name: gpu
        nodes: { matchLabels: { pool: gpu } }
`;
    const error = refusal(() => compile(strategy([{ name: 'gpu', nodes: { matchLabels: { pool: 'gpu' } } }])));

    expect(withPosition(error, text, 'p.yaml')).toMatchObject({
      type: 'WaveEmpty',
      message: expect.stringMatching(/^p\.yaml:9:16: wave gpu selects no node/),
    });
  });
});

it('gives the same bytes for the same cluster, in whatever order it lists its nodes', () => {
  const facts = clusterFacts({ zones: { a: 3, b: 2, c: 4 }, controlPlanes: 3, pods: { 'worker-2': 5 } });
  const shuffled = {
    ...structuredClone(facts),
    nodes: facts.nodes.toReversed(),
    observedAt: '2026-02-02T00:00:00.000Z',
  };

  expect(hashOf(compile({}, shuffled).plan)).toBe(hashOf(compile({}, facts).plan));
});

it('gives another hash when anything that runs is another', () => {
  const facts = clusterFacts();
  const drifted = structuredClone(facts);
  drifted.nodes[2]!.fingerprint.kernel = '6.1.0-21-amd64';

  const hashes = [compile({}, facts), compile({}, drifted), compile({ strategy: { nodeSoak: '61s' } }, facts)].map(
    ({ plan }) => hashOf(plan),
  );
  expect(new Set(hashes).size).toBe(3);
});

it('copies what each node looked like', () => {
  const { plan } = compile();

  expect(plan.stages[0]!.waves[0]!.nodes[0]!.fingerprint).toEqual(nodeFacts('worker-1').fingerprint);
});

it('carries the steps of the route, built from the settings of the plan', () => {
  const { plan } = compile({ drain: { timeout: '20m' }, strategy: { nodeSoak: '5m' } });

  const [stage] = plan.stages;
  expect(stage).toMatchObject({ id: '1-flannel-to-calico', from: 'flannel', to: 'calico' });
  expect(stage!.node.find(({ id }) => id === 'evict')?.timeoutSeconds).toBe(1380);
  expect(stage!.node.find(({ id }) => id === 'soak')?.waitSeconds).toBe(300);
});

it('resolves paths against the folder of the plan and the home folder', () => {
  const plan = validatePlan(
    planOf({ cluster: { kubeconfig: 'kube.yaml' }, access: { ssh: { configFile: '~/.ssh/cluster' } } }),
  );
  const input = observeInputOf(plan, '/plans', '/home/ana');

  expect(input).toEqual({
    kubeconfig: '/plans/kube.yaml',
    context: '',
    ssh: { configFile: '/home/ana/.ssh/cluster', user: 'root', sudo: false, connectTimeoutSeconds: 10 },
    bundles: { manifests: { path: '/plans/manifests/calico' } },
  });
  expect(compilePlan(plan, clusterFacts(), '/plans', '/home/ana').plan.cluster.kubeconfig).toBe('/plans/kube.yaml');
});

it('warns of what will slow the migration down or surprise somebody', () => {
  const facts = clusterFacts();
  facts.nodes[3]!.unschedulable = true;
  facts.budgets = [{ namespace: 'pay', name: 'api', disruptionsAllowed: 0, pods: 3 }];
  facts.networkPolicies = [{ namespace: 'web', name: 'deny-all' }];
  const { warnings } = compile({ exclude: { names: ['worker-6'] } }, facts);

  expect(warnings).toEqual(
    expect.arrayContaining([
      'worker-6 is excluded and stays on flannel: finalize is held until it is migrated or gone',
      'worker-3 is cordoned and will be left cordoned',
      'pay/api allows no disruption now: nodes with their pods will wait in the drain',
      'web/deny-all: NetworkPolicies that Flannel never enforced become live, node by node',
    ]),
  );
});

describe('the estimate', () => {
  it('grows with the pods on a node and shrinks with nodes that go at the same time', () => {
    const busy = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`worker-${index + 1}`, 40]));
    const seconds = (spec: object, pods = {}) => compile(spec, clusterFacts({ pods })).plan.estimate.workSeconds;

    const idle = seconds(strategy([{ name: 'all', nodes: 'rest' }]));
    expect(seconds(strategy([{ name: 'all', nodes: 'rest' }]), busy)).toBeGreaterThan(idle);
    expect(seconds(strategy([{ name: 'all', nodes: 'rest' }], { maxUnavailable: 3 }))).toBeLessThan(idle);
  });

  it('counts soaks apart from work', () => {
    const gate = { soak: '10m' };
    const { estimate } = compile(strategy([{ name: 'canary', nodes: 1, gate }], { nodeSoak: '0s' })).plan;
    const soaking = compile(strategy([{ name: 'canary', nodes: 1, gate }], { nodeSoak: '60s' })).plan.estimate;

    expect(estimate.soakSeconds).toBe(600);
    expect(soaking.soakSeconds).toBe(600 + 7 * 60); // seven nodes, one at a time
    expect(soaking.workSeconds).toBe(estimate.workSeconds);
  });
});

it('sorts names as people count', () => {
  expect(['worker-10', 'worker-2', 'a', 'worker-1', 'worker'].toSorted(compareNames)).toEqual([
    'a',
    'worker',
    'worker-1',
    'worker-2',
    'worker-10',
  ]);
});

describe('the flows that policies are judged by', () => {
  const flows = [{ from: 'shop/web', to: 'shop/api', port: 80, protocol: 'TCP' as const }];

  it('travel in the compiled plan, with what the plan acknowledges', () => {
    const acknowledge = [{ id: 'policy-hazards/1f0c2d3e4a', reason: 'web moves to v2' }];
    const facts = { ...clusterFacts(), flows: { path: '/plans/flows.yaml', flows } };
    const { plan } = compile({ policies: { flows: 'flows.yaml' }, acknowledge }, facts);

    expect(plan.policies).toEqual({ flows, file: 'flows.yaml', conntrack: true });
    expect(plan.acknowledge).toEqual(acknowledge);
    expect(observeInputOf(validatePlan(planOf({ policies: { flows: 'flows.yaml' } })), '/plans').flows).toEqual({
      path: '/plans/flows.yaml',
      file: 'flows.yaml',
    });
  });

  it('change no plan that says nothing about them', () => {
    expect(compile().plan).not.toHaveProperty('policies');
    expect(compile().plan).not.toHaveProperty('acknowledge');
  });

  it('that cannot be read are refused, with the reason', () => {
    const facts = {
      ...clusterFacts(),
      flows: { path: '/plans/flows.yaml', flows: [], error: 'there is no such file' },
    };

    expect(refusal(() => compile({ policies: { flows: 'flows.yaml' } }, facts))).toMatchObject({
      type: 'PlanInvalid',
      message: 'there is no such file',
      details: { path: ['spec', 'policies', 'flows'] },
    });
  });
});
