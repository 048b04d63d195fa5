import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GateView } from '../../src/store/views.ts';
import { approveGate, install, nodesOf, oneWave } from '../support/cutover.ts';
import { until } from '../support/until.ts';

let it_: Awaited<ReturnType<typeof install>>;
beforeAll(async () => {
  it_ = await install('three-nodes');
});
afterAll(() => it_?.stop());

const stages = (wanted: string): ((yaml: string) => string) => {
  const bgp = `    - route: calico-vxlan-to-bgp
      bgp: { soak: 0s, stable: 1s, revertAfter: 4s, mtu: host, gates: { approvals: 0 } }
`;
  return (yaml) => {
    const one = oneWave(yaml);
    return wanted === 'both'
      ? one.replace('  strategy:\n', `${bgp}  strategy:\n`)
      : one.replace(/ {2}stages:\n[\s\S]*? {2}strategy:\n/, `  stages:\n${wanted}  strategy:\n`);
  };
};
const hostMtu = '    - route: calico-host-mtu\n      bgp: { soak: 0s, gates: { approvals: 1 } }\n';

const store = () => it_.simulation.store;
const config = () => store().get('configmaps', 'kube-system', 'calico-config')!;
const felix = () => store().get('felixconfigurations.crd.projectcalico.org', undefined, 'default')!;
/** MTU of the pods of the pod network, with how many have it. */
const podMtus = (): { [mtu: number]: number } => {
  const found: { [mtu: number]: number } = {};
  for (const node of it_.simulation.nodes.values())
    for (const { name, mtu } of node.state().links) if (name.startsWith('cali')) found[mtu] = (found[mtu] ?? 0) + 1;
  return found;
};

const approve = (gate: string): Promise<GateView> => approveGate(it_, gate, 240_000);

describe("pods with the MTU of the nodes' own network", () => {
  it('come after the way back to VXLAN is closed, node by node, and every one of them', async () => {
    await it_.launch(stages('both'));
    const view = await it_.reach('completed', 480_000);

    expect(view.stages.map(({ id }) => id)).toEqual([
      '1-flannel-to-calico',
      '2-calico-vxlan-to-bgp',
      '3-calico-host-mtu',
    ]);
    expect(nodesOf(view).every(({ state }) => state === 'migrated')).toBe(true);
    expect(Object.keys(podMtus())).toEqual(['1500']);
    // With CrossSubnet Felix would still take the 50 bytes of VXLAN off, so the number is written.
    expect(config()['data']).toMatchObject({ veth_mtu: '1500' });
    expect(felix()['spec']).not.toHaveProperty('vxlanMTU');
    expect(JSON.stringify([config(), felix()])).not.toMatch(/cutover.dev\/found/);
    expect(it_.simulation.store.list('nodes').some(({ spec }) => spec?.unschedulable)).toBe(false);
  }, 600_000);

  it('are taken back for new pods only, and packets stay plain', async () => {
    store().mutate('configmaps', 'kube-system', 'calico-config', (object) => {
      object['data'].veth_mtu = '1400';
    });
    store().mutate('felixconfigurations.crd.projectcalico.org', undefined, 'default', ({ spec }) => {
      spec.vxlanMTU = 1450;
    });
    await it_.launch(stages(hostMtu));
    const { spec } = await approve('before-mtu');
    await until(() => config()['data'].veth_mtu === '1500', 'the MTU is unpinned', 60_000);
    await until(async () => nodesOf(await it_.status()).some(({ state }) => state === 'migrated'), 'a node', 240_000);

    expect(spec.note).toMatch(/back to VXLAN from here is a migration of its own/);
    expect(await it_.cutover('rollback', '--all', '--yes', '--reason', 'enough')).toMatchObject({ code: 0 });
    await it_.reach('rolled-back');

    expect(config()['data']).toMatchObject({ veth_mtu: '1400' });
    expect(felix()['spec']).toMatchObject({ vxlanMTU: 1450 });
    // Pods that run keep what they have; those that are made from here on get what was found.
    expect(podMtus()[1500]).toBeGreaterThan(0);
    expect(JSON.stringify([config(), felix()])).not.toMatch(/cutover.dev\/found/);
    expect(it_.simulation.store.list('ippools.crd.projectcalico.org')[0]!['spec'].vxlanMode).toBe('CrossSubnet');
    expect(it_.simulation.store.list('nodes').some(({ spec: node }) => node?.unschedulable)).toBe(false);
  }, 480_000);

  it('are refused while a pool is encapsulated', async () => {
    store().mutate('ippools.crd.projectcalico.org', undefined, 'default-ipv4-ippool', ({ spec }) => {
      spec.vxlanMode = 'Always';
    });
    await it_.launch(stages(hostMtu));
    await approve('before-mtu');

    const { pause } = await it_.reach('paused');

    expect(pause?.reason).toMatch(/pool default-ipv4-ippool has vxlanMode Always; keep the MTU of pods/);
    expect(config()['data']).toMatchObject({ veth_mtu: '1400' });
  }, 420_000);
});
