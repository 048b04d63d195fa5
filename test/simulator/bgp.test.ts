import { afterEach, describe, expect, it } from 'vitest';
import { startCluster, until, type TestCluster } from './node-cluster.ts';

let cluster: TestCluster;
afterEach(() => cluster.stop());

const pool = 'ippools.crd.projectcalico.org';
const setMode = (mode: string) =>
  void cluster.store.mutate(pool, undefined, 'default-ipv4-ippool', ({ spec }) => void (spec.vxlanMode = mode));
/** Protocol and device of the routes to blocks of other nodes. */
const ways = (node: string): string[] => [
  ...new Set(
    cluster
      .node(node)
      .routes.filter(({ dst, type }) => dst.endsWith('/26') && type === 'unicast')
      .map(({ proto, dev }) => `${proto} ${dev}`),
  ),
];
const everyWay = (way: string) => () => cluster.names.every((name) => ways(name).join() === way);

/** Every node on Calico, with BIRD. */
async function onCalico(network: Parameters<typeof startCluster>[0] = {}): Promise<void> {
  cluster = await startCluster(network);
  cluster.adopt();
  for (const name of cluster.names) await cluster.migrate(name);
  for (const name of cluster.names) await cluster.stopPod(`calico-${name}`, 'kube-system');
  for (const name of cluster.names) cluster.calico(name, 0, true);
}
const birdsReady = () =>
  until(() => cluster.names.every((name) => cluster.ready(`calico-${name}`, 'kube-system')), 'every agent is Ready');

async function inAgent(node: string, command: string[]): Promise<string> {
  let text = '';
  const write = (data: string) => void (text += data);
  await cluster.world.kubelets.exec(cluster.get(`calico-${node}`, 'kube-system')!, 'calico-node', command, {
    stdout: write,
    stderr: write,
  });
  return text;
}

describe('BIRD', () => {
  it('comes up beside VXLAN and programs nothing; an agent is Ready when all its sessions are', async () => {
    await onCalico();
    await birdsReady();

    expect(ways('n1')).toEqual(['boot vxlan.calico']);
    expect(cluster.toPod('default/a-n1', 'a-n2')).toMatchObject({ delivered: true, encapsulated: true });
    const protocols = await inAgent('n1', ['birdcl', '-s', '/var/run/calico/bird.ctl', 'show', 'protocols']);
    expect(protocols.match(/^Mesh_10_99_0_1[23] BGP +master +up +\S+ +Established/gm)).toHaveLength(2);
  });

  it('never lets the first node of a roll become Ready while its peers run no BIRD', async () => {
    cluster = await startCluster();
    cluster.adopt();
    for (const name of cluster.names) await cluster.migrate(name);
    await cluster.stopPod('calico-n1', 'kube-system');
    cluster.calico('n1', 0, true);
    await until(() => cluster.world.nodes.get('n1')!.tcp.listener(179) === 'bird', 'BIRD runs on n1');
    await cluster.clock.sleep(20_000);

    expect(cluster.ready('calico-n1', 'kube-system')).toBe(false);
    expect(await inAgent('n1', ['birdcl', 'show', 'protocols'])).toMatch(/Connection refused/);
  });

  it('has no session over a port that is blocked, and gets it when the port opens', async () => {
    await onCalico();
    await birdsReady();

    cluster.faults.inject({ name: 'bgp-port-blocked', nodes: ['n2'] });
    const down = async () =>
      /Mesh_10_99_0_12 BGP +master +start/.test(await inAgent('n1', ['birdcl', 'show', 'protocols']));
    for (let tries = 0; tries < 500 && !(await down()); tries++) await cluster.clock.sleep(100);

    expect(await down()).toBe(true);
    expect(cluster.world.nodes.get('n1')!.tcp.ask('10.99.0.12', 179)).toBe('silent');
    cluster.faults.clear('bgp-port-blocked');
    for (let tries = 0; tries < 500 && (await down()); tries++) await cluster.clock.sleep(100);
    expect(await down()).toBe(false);
  });
});

describe('the modes of a pool', () => {
  it('lead within a subnet past the tunnel in CrossSubnet, and through BIRD without one in Never', async () => {
    await onCalico();
    await birdsReady();

    setMode('CrossSubnet');
    await until(everyWay('80 eth0'), 'plain routes of Felix');
    const plain = cluster.toPod('default/a-n1', 'a-n2');
    setMode('Never');
    await until(everyWay('bird eth0'), 'routes of BIRD');
    await until(
      () => cluster.names.every((name) => !cluster.node(name).links.has('vxlan.calico')),
      'no tunnel is left',
    );
    const routed = cluster.toPod('default/a-n1', 'a-n2');
    setMode('Always');
    await until(everyWay('boot vxlan.calico'), 'the tunnel is back');

    expect([plain, routed].map(({ delivered, encapsulated }) => [delivered, encapsulated])).toEqual([
      [true, false],
      [true, false],
    ]);
    await until(() => cluster.toPod('default/a-n1', 'a-n2').delivered, 'the tunnel carries again');
  });

  it('leave a node whose BIRD refused its configuration without routes, with every session up', async () => {
    await onCalico();
    await birdsReady();
    cluster.faults.inject({ name: 'bird-refuses-config', nodes: ['n2'] });

    setMode('Never');
    await until(() => ways('n1').join() === 'bird eth0', 'n1 has routes of BIRD');

    expect(ways('n2')).toEqual([]);
    expect(await inAgent('n2', ['birdcl', 'show', 'protocols'])).not.toMatch(/BGP +master +start/);
    expect(await inAgent('n2', ['birdcl', 'configure', 'check'])).toMatch(/You may set only variables/);
    expect(await inAgent('n1', ['birdcl', 'configure', 'check'])).toMatch(/Configuration OK/);
  });
});

describe('the MTU of pods', () => {
  it('is that of the tunnel while a pool may use it, and of the node without one; older pods keep theirs', async () => {
    await onCalico();
    await birdsReady();
    const made = async (name: string): Promise<number> => {
      cluster.pod(name, 'n1');
      await until(() => cluster.ready(name), `${name} is Ready`);
      return mtuOf(name);
    };
    const mtuOf = (name: string): number => {
      const node = cluster.node('n1');
      const sandbox = [...node.sandboxes.values()].find(({ pod }) => pod.name === name);
      return node.links.get(sandbox!.link!)!.mtu;
    };
    setMode('CrossSubnet');
    await until(everyWay('80 eth0'), 'plain routes of Felix');
    const near = await made('made-near');
    setMode('Never');
    await until(everyWay('bird eth0'), 'routes of BIRD');
    await until(() => cluster.node('n1').files.get('/var/lib/calico/mtu') === '1500', 'Felix has written it');
    const plain = await made('made-plain');

    expect([near, plain, mtuOf('made-near')]).toEqual([1450, 1500, 1450]);
  });
});

describe('nodes in subnets of their own', () => {
  const router = { address: '10.99.0.1', asNumber: 64500 };

  it('keep the tunnel in CrossSubnet, and lose pods in Never unless the router was told', async () => {
    await onCalico({ network: { subnetPrefix: 32, routers: [router] } });
    await birdsReady();

    setMode('CrossSubnet');
    await cluster.clock.sleep(3_000);
    expect(ways('n1')).toEqual(['boot vxlan.calico']);
    setMode('Never');
    await until(everyWay('bird eth0'), 'routes through the router');
    const lost = cluster.toPod('default/a-n1', 'a-n2');
    for (const name of cluster.names)
      cluster.store.create('bgppeers.crd.projectcalico.org', {
        apiVersion: 'crd.projectcalico.org/v1',
        kind: 'BGPPeer',
        metadata: { name },
        spec: { node: name, peerIP: router.address, asNumber: router.asNumber },
      });
    await until(() => cluster.toPod('default/a-n1', 'a-n2').delivered, 'the router carries pod addresses');

    expect(lost).toMatchObject({ delivered: false, reason: expect.stringContaining('the underlay has no route') });
  });
});
