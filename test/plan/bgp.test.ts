import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../src/plan/compile.ts';
import { loadPlan } from '../../src/plan/load.ts';
import { clusterFacts, digest } from './facts.ts';

const text = (bgp: string, first = ''): string => `apiVersion: cutover.dev/v1alpha1
kind: MigrationPlan
metadata: { name: test }
spec:
  stages:
${first}    - route: calico-vxlan-to-bgp
      bgp: ${bgp}
`;
const flannelStage = `    - route: flannel-to-calico
      with: { manifests: { path: ., sha256: ${digest} } }
      finalizeGate: {}
`;
const facts = () => {
  const cluster = clusterFacts();
  cluster.bundles = { manifests: { path: '/plans', sha256: digest, files: 1 } };
  for (const node of cluster.nodes) node.addresses = [`${node.fingerprint.internalIP}/24`];
  return cluster;
};
const compile = (plan: string) => compilePlan(loadPlan(plan, { file: 'plan.yaml' }), facts(), '/plans').plan;

describe('the stage that speaks BGP', () => {
  it('stops before each flip, with the checks, the soak and the price', () => {
    const [stage] = compile(text('{ encapsulation: Never, soak: 2m, gates: { approvals: 2 } }')).stages;
    const gates = stage!.prepare.flatMap(({ id, gate }) => (gate ? [{ step: id, ...gate }] : []));

    expect(gates.map(({ step, id, approvals, soakSeconds }) => [step, id, approvals, soakSeconds])).toEqual([
      ['cross-subnet', 'before-cross-subnet', 2, 120],
      ['never', 'before-never', 2, 120],
      ['settled', 'after-flips', 2, 120],
    ]);
    expect(gates[1]!.note).toMatch(/blackout of ALL traffic/);
    // After the checks of every gate, lower layers first.
    expect(gates[0]!.checks).toEqual(
      expect.arrayContaining([
        'nodes-ready',
        'cluster-matrix',
        'bgp-sessions',
        'bird-config-running',
        'routes-expected',
      ]),
    );
  });

  it('undoes the encapsulation before BGP: undo runs in reverse', () => {
    const [stage] = compile(text('{ encapsulation: Never }')).stages;
    const undos = stage!.prepare.toReversed().flatMap(({ undo = [] }) => undo.map(({ verb }) => verb));

    expect(undos.filter((verb) => /Encapsulation|disable/.test(verb))).toEqual([
      'calico.restoreEncapsulation',
      'calico.restoreEncapsulation',
      'bgp.disable',
    ]);
  });

  it('changes node by node where a new pool is written, in waves with their gates, and flips nothing', () => {
    const [stage] = compile(text('{ newPool: { cidr: 10.245.0.0/16 } }')).stages;

    expect(stage!.bgp).toMatchObject({ newPool: { cidr: '10.245.0.0/16' } });
    expect(stage!.prepare.map(({ verb }) => verb)).not.toContain('calico.setEncapsulation');
    expect(stage!.prepare.at(-1)).toMatchObject({ verb: 'calico.addPool', undo: [{ verb: 'calico.removePool' }] });
    expect(stage!.node.map(({ verb }) => verb)).toEqual(expect.arrayContaining(['node.drain', 'node.usePool']));
    expect(stage!.finalize.find(({ pointOfNoReturn }) => pointOfNoReturn)?.verb).toBe('calico.retirePools');
  });

  it('has no step of BGP with the backend vxlan', () => {
    const [stage] = compile(text('{ backend: vxlan }')).stages;

    expect(stage!.prepare.map(({ verb }) => verb).filter((verb) => verb.startsWith('bgp.'))).toEqual([]);
    expect(stage!.prepare.map(({ id }) => id)).toContain('cross-subnet');
  });

  it('behind another stage has gates of its own, asks ahead what it can, and none after waves that only look', () => {
    const { stages } = compile(text('{}', flannelStage));

    expect(stages.map(({ waves }) => waves.map(({ gate }) => gate?.id))).toEqual([
      ['after-canary-1', undefined, undefined],
      [undefined, undefined, undefined],
    ]);
    expect(stages[1]!.prepare.flatMap(({ gate }) => gate?.id ?? [])).toEqual([
      'before-cross-subnet-2',
      'after-flips-2',
    ]);
    expect(stages[1]!.preflightAhead).toEqual(['bgp-ports']);
    expect(stages[0]).not.toHaveProperty('bgp');
  });
});

describe('refuses in one sentence', () => {
  it.each([
    ['{ peers: [{ address: 203.0.113.1, asNumber: 64500 }] }', /router 203\.0\.113\.1 is in no subnet of control-1/],
    ['{ peers: [{ address: 192.0.2.254, asNumber: 64500, nodes: [worker-99] }] }', /worker-99 is no node/],
    ['{ routeReflectors: [worker-1, wroker-2] }', /wroker-2 is no node/],
    ['{ routeReflectors: [worker-1] }', /names a single node/],
    ['{ mesh: false }', /leaves nodes without any session/],
    ['{ backend: vxlan, encapsulation: Never }', /needs BGP/],
    ['{ backend: vxlan, peers: [{ address: 192.0.2.254, asNumber: 1 }] }', /runs no BGP/],
    ['{ asNumber: 0 }', /must be an AS number/],
    ['{ peers: [{ address: router-1, asNumber: 1 }] }', /must be an IPv4 address/],
    ['{ encapsulation: Sometimes }', /CrossSubnet or Never/],
    ['{ speed: 9 }', /speed/],
    ['{ newPool: { cidr: 10.245.0.0 } }', 'must be an IPv4 range such as 10.245.0.0/16'],
    ['{ newPool: { cidr: 10.245.0.0/16 }, encapsulation: Never }', 'ends in CrossSubnet'],
    ['{ newPool: { cidr: 10.245.0.0/16 }, mtu: host }', 'ends in CrossSubnet'],
    ['{ newPool: { cidr: 10.244.0.0/16 } }', '10.244.0.0/16 is not free: '],
  ])('bgp: %s', (bgp, message) => {
    expect(() => compile(text(bgp))).toThrow(message);
  });

  it('a router that only some nodes can reach, unless these are named', () => {
    const cluster = facts();
    cluster.nodes[1]!.addresses = ['198.51.100.7/24'];
    const peers = (nodes: string) => `{ peers: [{ address: 198.51.100.1, asNumber: 64500${nodes} }] }`;
    const compiled = (bgp: string) => compilePlan(loadPlan(text(bgp), { file: 'plan.yaml' }), cluster, '/plans');

    expect(() => compiled(peers(''))).toThrow(/is in no subnet of/);
    expect(() => compiled(peers(`, nodes: [${cluster.nodes[1]!.name}]`))).not.toThrow();
  });

  it('settings of BGP on a stage that has none', () => {
    const plan = text('{}', flannelStage.replace('finalizeGate', 'bgp: {}\n      finalizeGate'));

    expect(() => compile(plan)).toThrow(/flannel-to-calico has no settings spec\.stages\[0\]\.bgp/);
  });

  describe('with the MTU of the host', () => {
    it('is two stages: the way back to VXLAN ends before the first pod has it, and waves have gates as written', () => {
      const { stages } = compile(text('{ mtu: host }', flannelStage));
      const [, bgp, mtu] = stages;

      expect(stages.map(({ id }) => id)).toEqual(['1-flannel-to-calico', '2-calico-vxlan-to-bgp', '3-calico-host-mtu']);
      expect(bgp!.finalize.at(-1)).toMatchObject({ verb: 'bgp.keep', pointOfNoReturn: true });
      expect([...mtu!.prepare, ...mtu!.node].flatMap(({ undo = [] }) => undo.map(({ verb }) => verb))).not.toContain(
        'calico.restoreEncapsulation',
      );
      expect(mtu!.prepare.flatMap(({ gate }) => gate?.id ?? [])).toEqual(['before-mtu-3']);
      expect(mtu!.waves[0]!.gate?.id).toBe('after-canary-3');
      expect(
        stages.slice(0, 2).map(({ prepare, node }) => [...prepare, ...node].some(({ verb }) => /Mtu/.test(verb))),
      ).toEqual([false, false]);
    });

    it('is refused with CrossSubnet when two nodes are in different subnets, and not with Never', () => {
      const cluster = facts();
      const other = cluster.nodes.at(-1)!;
      other.fingerprint.internalIP = '10.77.0.9';
      other.addresses = ['10.77.0.9/24'];
      const of = (bgp: string) => compilePlan(loadPlan(text(bgp), { file: 'plan.yaml' }), cluster, '/plans').plan;

      expect(() => of('{ mtu: host }')).toThrow(/are in different subnets, between which CrossSubnet uses VXLAN/);
      expect(of('{ mtu: host, encapsulation: Never }').stages).toHaveLength(2);
      expect(of('{}').stages).toHaveLength(1);
    });
  });
});
