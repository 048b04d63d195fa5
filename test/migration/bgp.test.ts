import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GateView } from '../../src/store/views.ts';
import { loadScenario } from '../../src/simulator/scenario/load.ts';
import { approveGate, install, oneWave, openGate } from '../support/cutover.ts';

let it_: Awaited<ReturnType<typeof install>>;
beforeAll(async () => {
  it_ = await install({ ...loadScenario('three-nodes'), routers: [{ address: '10.99.0.1', asNumber: 64500 }] });
});
afterAll(() => it_?.stop());

const bgpStage = (bgp: string): string => `    - route: calico-vxlan-to-bgp
      bgp:
        soak: 0s
        stable: 1s
        revertAfter: 4s
        gates: { approvals: 1 }
        ${bgp}
`;
const both =
  (bgp: string) =>
  (yaml: string): string =>
    oneWave(yaml).replace('  strategy:\n', `${bgpStage(bgp)}  strategy:\n`);
/** On the Calico that the first stage left. */
const alone =
  (bgp: string) =>
  (yaml: string): string =>
    oneWave(yaml).replace(/ {2}stages:\n[\s\S]*? {2}strategy:\n/, `  stages:\n${bgpStage(bgp)}  strategy:\n`);

const poolMode = (): string =>
  it_.simulation.store.list('ippools.crd.projectcalico.org')[0]!['spec'].vxlanMode as string;
/** Devices and protocols of the routes to blocks of other nodes. */
const blockRoutes = (): string[] => [
  ...new Set(
    [...it_.simulation.nodes.values()].flatMap((node) =>
      node
        .state()
        .routes.filter(({ dst, type }) => dst.endsWith('/26') && type === 'unicast')
        .map(({ dev, proto }) => `${dev} ${proto}`),
    ),
  ),
];
const backend = (): unknown => it_.simulation.store.get('configmaps', 'kube-system', 'calico-config')!['data'];
const agents = () => it_.simulation.store.get('daemonsets.apps', 'kube-system', 'calico-node')!;

const approve = (gate: string): Promise<GateView> => approveGate(it_, gate);

describe('both stages, from Flannel to plain packets', () => {
  it('begins the second stage where the first one ended, and stops at a gate that names the price', async () => {
    await it_.launch(both(''));

    const { spec, evidence } = await openGate(it_, 'before-cross-subnet-2');

    expect(poolMode()).toBe('Always');
    expect(blockRoutes()).toEqual(['vxlan.calico boot']);
    // Pods made from now on still fit through the tunnel, whatever the flips do.
    expect(backend()).toMatchObject({ calico_backend: 'bird', veth_mtu: '1450' });
    expect(spec.note).toMatch(/gaps of 0.4 to 28 ms/);
    expect(evidence.checks.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual(
      expect.arrayContaining(['bgp-sessions pass', 'bird-config-running pass', 'routes-expected pass']),
    );
  }, 420_000);

  it('is back on VXLAN without BGP after `rollback --all`, and says that the first stage stays', async () => {
    expect(await it_.cutover('rollback', '--all', '--yes', '--reason', 'not today')).toMatchObject({ code: 0 });

    const { message } = await it_.reach('rolled-back');

    expect(message).toBe(
      'stage 2-calico-vxlan-to-bgp is taken back: the cluster is on calico as the stage before it left it',
    );
    expect(backend()).toMatchObject({ calico_backend: 'vxlan', veth_mtu: '0' });
    expect(agents()['spec'].updateStrategy).toMatchObject({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 1 },
    });
    expect(JSON.stringify(agents())).not.toMatch(/bird-|cutover.dev\/(found|backend)/);
    expect(it_.simulation.store.list('bgpconfigurations.crd.projectcalico.org')).toEqual([]);
  });
});

describe('the second stage alone', () => {
  it('with reflectors instead of the mesh and a router, tells the router nothing before the flip', async () => {
    await it_.launch(
      alone(`mesh: false
        routeReflectors: [worker-1, worker-2]
        peers: [{ address: 10.99.0.1, asNumber: 64500, nodes: [worker-3] }]`),
    );
    const { evidence } = await openGate(it_, 'before-cross-subnet');
    const spec = (plural: string, name: string) =>
      it_.simulation.store.get(`${plural}.crd.projectcalico.org`, undefined, name)?.['spec'];

    expect(spec('bgpconfigurations', 'default')).toMatchObject({ nodeToNodeMeshEnabled: false });
    // Three nodes with two reflectors each but themselves, the control plane too, and the router.
    expect(evidence.checks.find(({ id }) => id === 'bgp-sessions')?.message).toMatch(/all 11 BGP sessions/);
    expect(spec('bgppeers', 'cutover-10-99-0-1-worker-3')).toMatchObject({ filters: ['cutover-export-guard'] });

    await approve('before-cross-subnet');
    await openGate(it_, 'after-flips');
    expect(spec('bgppeers', 'cutover-10-99-0-1-worker-3')).not.toHaveProperty('filters');
    expect(blockRoutes()).toEqual(['eth0 80']);

    expect(await it_.cutover('rollback', '--all', '--yes', '--reason', 'not today')).toMatchObject({ code: 0 });
    await it_.reach('rolled-back');
    expect(poolMode()).toBe('Always');
    expect(
      ['bgppeers', 'bgpfilters', 'bgpconfigurations'].map((plural) =>
        it_.simulation.store.list(`${plural}.crd.projectcalico.org`),
      ),
    ).toEqual([[], [], []]);
    expect(JSON.stringify(it_.simulation.store.list('nodes'))).not.toMatch(/route-reflector|RouteReflector/);
  }, 420_000);

  it('ends in CrossSubnet, and each pair lost no more than its route gaps', async () => {
    const before = it_.simulation.traffic().bystanders;
    await it_.launch(alone(''));
    await approve('before-cross-subnet');
    await approve('after-flips');
    await it_.reach('completed');

    const { lost } = it_.simulation.traffic().bystanders;
    expect(poolMode()).toBe('CrossSubnet');
    expect(blockRoutes()).toEqual(['eth0 80']);
    // Six streams of 100 packets a second, and gaps of at most 28 ms each way.
    expect(lost - before.lost).toBeLessThan(100);
    expect(it_.simulation.store.list('namespaces').map(({ metadata }) => metadata.name)).not.toContain('cutover-probe');
  }, 420_000);

  it('finds before the flip to Never that BIRD of a node would refuse the configuration', async () => {
    it_.simulation.inject({ name: 'bird-refuses-config', nodes: ['worker-2'] });
    await it_.launch(alone('encapsulation: Never'));
    await approve('before-cross-subnet');

    const { pause } = await it_.reach('paused');

    expect(pause?.reason).toMatch(/bird-takes-never: BIRD would refuse .* on 1 node.*worker-2/);
    expect(poolMode()).toBe('CrossSubnet');
  }, 420_000);

  it('takes a flip back by itself that brings no traffic, and flips when the cause is gone', async () => {
    it_.simulation.clearFaults('bird-refuses-config');
    expect(await it_.cutover('resume', '--reason', 'the template is corrected')).toMatchObject({ code: 0 });
    const { spec } = await openGate(it_, 'before-never');
    it_.simulation.inject({ name: 'bird-refuses-config', nodes: ['worker-2'] });
    await approve('before-never');

    const { pause } = await it_.reach('paused');

    expect(spec.note).toMatch(/blackout of ALL traffic between nodes/);
    expect(pause?.reason).toMatch(
      /vxlanMode Never was taken back by itself; it is CrossSubnet again, and traffic passes. Why: .*worker-2/,
    );
    expect(poolMode()).toBe('CrossSubnet');
    expect(blockRoutes()).toEqual(['eth0 80']);

    it_.simulation.clearFaults('bird-refuses-config');
    expect(await it_.cutover('resume', '--reason', 'now it is')).toMatchObject({ code: 0 });
    await openGate(it_, 'after-flips');
    expect(blockRoutes()).toEqual(['eth0 bird']);
  }, 420_000);

  it('goes back from Never: the encapsulation first, BGP after it', async () => {
    const seen: string[] = [];
    const stop = it_.simulation.store.watch(
      'ippools.crd.projectcalico.org',
      ({ object }) => void seen.push(`pool ${object['spec'].vxlanMode}`),
    );
    const stopToo = it_.simulation.store.watch(
      'configmaps',
      ({ object }) =>
        void (object.metadata.name === 'calico-config' && seen.push(`backend ${object['data'].calico_backend}`)),
    );

    expect(await it_.cutover('rollback', '--all', '--yes', '--reason', 'enough')).toMatchObject({ code: 0 });
    await it_.reach('rolled-back');
    stop();
    stopToo();

    // BGP was up before this migration and CrossSubnet was found: both stay.
    expect([...new Set(seen)]).toEqual(['pool CrossSubnet']);
    expect(poolMode()).toBe('CrossSubnet');
    expect(blockRoutes()).toEqual(['eth0 80']);
  }, 420_000);
});
