import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startCluster, until, type TestCluster } from './node-cluster.ts';

const pools = 'ippools.crd.projectcalico.org';
const tunnelOf = 'projectcalico.org/IPv4VXLANTunnelAddr';
const mark = 'pod-pool';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await startCluster();
  cluster.adopt();
  for (const name of cluster.names) await cluster.migrate(name);
});
afterEach(() => cluster.stop());

const addPool = (name: string, spec: object) =>
  void cluster.store.create(pools, {
    apiVersion: 'crd.projectcalico.org/v1',
    kind: 'IPPool',
    metadata: { name },
    spec: { blockSize: 26, natOutgoing: true, ipipMode: 'Never', vxlanMode: 'Never', ...spec },
  });
const keepOldPoolFor = (selector: string) =>
  void cluster.store.mutate(pools, undefined, 'default-ipv4-ippool', ({ spec }) => void (spec.nodeSelector = selector));
const markNode = (name: string) =>
  void cluster.store.mutate('nodes', undefined, name, ({ metadata }) => {
    metadata.labels = { ...metadata.labels, [mark]: 'plain' };
  });
/** Any change of any pool: calico-node looks at its tunnel then, and not when its node gets a label. */
const touchPool = () =>
  void cluster.store.mutate(
    pools,
    undefined,
    'plain',
    ({ metadata }) => void (metadata.annotations = { touched: 'yes' }),
  );
const tunnel = (name: string): string | undefined =>
  cluster.store.get('nodes', undefined, name)?.metadata.annotations?.[tunnelOf];

describe('pools that are told apart by nodeSelector', () => {
  beforeEach(async () => {
    addPool('plain', { cidr: '10.245.0.0/16', nodeSelector: `has(${mark})`, allowedUses: ['Workload'] });
    keepOldPoolFor(`!has(${mark})`);
    // Every agent has seen both pools.
    await cluster.clock.sleep(3_000);
  });

  it('give the pods of a node addresses of the pool that selects it, in a block of its own', async () => {
    markNode('n2');
    cluster.pod('c-n2', 'n2');
    cluster.pod('c-n3', 'n3');
    await until(() => cluster.ready('c-n2') && cluster.ready('c-n3'), 'the new pods are Ready');

    expect(cluster.ip('c-n2')).toMatch(/^10\.245\./);
    expect(cluster.ip('c-n3')).toMatch(/^10\.244\./);
  });

  it('take the tunnel away from a node that no VXLAN pool selects, and with it the way to the others', async () => {
    const before = [tunnel('n1'), tunnel('n2')];
    markNode('n2');
    await cluster.clock.sleep(5_000);
    expect([tunnel('n1'), tunnel('n2')]).toEqual(before);

    touchPool();

    await until(() => tunnel('n2') === undefined, 'n2 gives its tunnel up');
    await until(() => cluster.toPod('default/a-n2', 'a-n1').delivered === false, 'n2 reaches nobody through it');
    expect(tunnel('n1')).toBe(before[0]);
  });

  it('leave it the tunnel where a pool for tunnels alone selects it', async () => {
    addPool('tunnels', { cidr: '10.246.0.0/24', blockSize: 32, vxlanMode: 'Always', allowedUses: ['Tunnel'] });
    markNode('n2');
    touchPool();

    await until(() => tunnel('n2')?.startsWith('10.246.0.') === true, 'n2 has a tunnel of the other pool');
    await until(() => cluster.toPod('default/a-n2', 'a-n1').delivered, 'n2 reaches the pods of n1');
    await until(() => cluster.toPod('default/a-n1', 'a-n2').delivered, 'n1 reaches the pods of n2');
  });
});

it('a disabled pool gives out nothing, and what it gave is still routed', async () => {
  cluster.store.mutate(pools, undefined, 'default-ipv4-ippool', ({ spec }) => void (spec.disabled = true));
  addPool('next', { cidr: '10.245.0.0/16', vxlanMode: 'Always' });
  cluster.pod('c-n2', 'n2');
  await until(() => cluster.ready('c-n2'), 'the new pod is Ready');

  expect(cluster.ip('c-n2')).toMatch(/^10\.245\./);
  expect(cluster.toPod('default/a-n1', 'a-n2').delivered).toBe(true);
});
