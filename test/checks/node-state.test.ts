import { describe, expect, it } from 'vitest';
import { overlayRoutes } from '../../src/checks/links/overlay-routes.ts';
import { runChecks } from '../../src/checks/run.ts';
import type { NodeState } from '../../src/node/types.ts';
import { contextFor, object } from './doubles.ts';
import type { FakeCluster } from './doubles.ts';

/** Checks that read the state of a node: what `inspect` says goes in, a verdict with its sentence comes out. */
const check = async (id: string, state: Partial<NodeState>, change: Partial<FakeCluster> = {}) => {
  const cluster: FakeCluster = {
    nodes: [{ name: 'worker-1', state }, { name: 'worker-2' }, { name: 'worker-3' }],
    ...change,
  };
  const [result] = await runChecks([id], contextFor(cluster, { at: 'worker-1' }).context);
  return result!;
};

type Link = NodeState['links'][number];
const link = (change: Partial<Link>): Link => ({
  name: 'eth0',
  kind: 'device',
  mac: '',
  mtu: 1500,
  up: true,
  vni: 0,
  dstPort: 0,
  master: '',
  ...change,
});
const vxlan = (name: string, change: Partial<Link> = {}) =>
  link({ name, kind: 'vxlan', vni: 1, dstPort: 8472, mtu: 1450, mac: 'aa:bb:cc:00:00:01', ...change });

type Route = NodeState['routes'][number];
const route = (dst: string, dev: string, change: Partial<Route> = {}): Route => ({
  dst,
  via: '',
  dev,
  proto: 'boot',
  type: 'unicast',
  ...change,
});
const blocks = (third: number, dev: string) =>
  [0, 64, 128, 192].map((last) => route(`10.244.${third}.${last}/26`, dev, { proto: '80' }));
const blackhole = (dst: string) => route(dst, '', { proto: '80', type: 'blackhole' });

const conf = (name: string, network: string) => ({ name, sha256: 'aa', network, firstPlugin: network });

describe('runtime-loaded', () => {
  it.each([
    ['runtime-loaded-calico', ['k8s-pod-network'], 'pass'],
    ['runtime-loaded-calico', ['cbr0'], 'block'],
    ['runtime-loaded-calico', [], 'block'],
    ['runtime-loaded-calico', ['cutover-fence'], 'block'],
    ['runtime-loaded-calico', ['cbr0', 'k8s-pod-network'], 'block'],
    ['runtime-loaded-flannel', ['cbr0'], 'pass'],
    ['runtime-loaded-flannel', ['k8s-pod-network'], 'block'],
  ])('%s with %j loaded: %s', async (id, loadedNetworks, verdict) => {
    const result = await check(id, { loadedNetworks, confs: [conf('10-calico.conflist', 'k8s-pod-network')] });

    expect(result.verdict).toBe(verdict);
    if (verdict === 'block') expect(result.message).toContain('10-calico.conflist (k8s-pod-network)');
  });
});

describe('links', () => {
  it.each<[string, string, Link[], string]>([
    ['links-calico', 'in order', [vxlan('vxlan.calico'), link({ name: 'cali123' })], ''],
    ['links-calico', 'missing', [], 'it is missing'],
    ['links-calico', 'down', [vxlan('vxlan.calico', { up: false })], 'it is down'],
    ['links-calico', 'another VNI', [vxlan('vxlan.calico', { vni: 4096 })], 'its VNI is 4096'],
    ['links-calico', "Calico's own port", [vxlan('vxlan.calico', { dstPort: 4789 })], 'its UDP port is 4789'],
    [
      'links-calico',
      'another MTU',
      [vxlan('vxlan.calico', { mtu: 1410 })],
      'its MTU is 1410 bytes, and the old one had 1450',
    ],
    [
      'links-calico',
      'a MAC of its own',
      [vxlan('vxlan.calico', { mac: '66:00:00:00:00:01' })],
      'its MAC is 66:00:00:00:00:01',
    ],
    [
      'links-calico',
      'flannel.1 beside it',
      [vxlan('vxlan.calico'), vxlan('flannel.1')],
      'flannel.1 of Flannel still exists',
    ],
    ['links-calico', 'cni0 beside it', [vxlan('vxlan.calico'), link({ name: 'cni0' })], 'cni0 of Flannel still exists'],
    ['links-flannel', 'in order', [vxlan('flannel.1'), link({ name: 'cni0' })], ''],
    ['links-flannel', 'without cni0, which the first pod makes', [vxlan('flannel.1')], ''],
    [
      'links-flannel',
      'back with another MAC',
      [vxlan('flannel.1', { mac: '66:00:00:00:00:01' })],
      'the other nodes send to aa:bb:cc:00:00:01',
    ],
    [
      'links-flannel',
      'vxlan.calico beside it',
      [vxlan('flannel.1'), vxlan('vxlan.calico')],
      'vxlan.calico of Calico still exists',
    ],
    [
      'links-flannel',
      'a pod link of Calico',
      [vxlan('flannel.1'), link({ name: 'cali8f3' })],
      'cali8f3 of Calico still exists',
    ],
  ])('%s, %s', async (id, _, links, fault) => {
    const result = await check(id, { links });

    if (fault === '')
      expect(result).toMatchObject({
        verdict: 'pass',
        message: expect.stringContaining('VNI 1, UDP 8472, MTU 1450, MAC aa:bb:cc:00:00:01'),
      });
    else expect(result).toMatchObject({ verdict: 'block', message: expect.stringContaining(fault) });
  });
});

describe('routes', () => {
  const toOthers = (dev: string) => [route('10.244.2.0/24', dev), ...blocks(3, dev)];

  it.each<[string, string, Route[], string]>([
    ['routes-calico', 'whole ranges and blocks', [...toOthers('vxlan.calico'), blackhole('10.244.1.0/26')], ''],
    [
      'routes-calico',
      'one block missing',
      [route('10.244.2.0/24', 'vxlan.calico'), ...blocks(3, 'vxlan.calico').slice(1)],
      'worker-3 10.244.3.0/24 (64 of 256 addresses)',
    ],
    ['routes-calico', 'none', [], '2 of 2 other nodes'],
    [
      'routes-calico',
      'one that leads to another link',
      [...toOthers('vxlan.calico'), route('10.244.2.0/25', 'flannel.1')],
      '10.244.2.0/25 dev flannel.1',
    ],
    [
      'routes-calico',
      "a blackhole in another node's range",
      [...toOthers('vxlan.calico'), blackhole('10.244.3.64/26')],
      'blackhole 10.244.3.64/26 proto 80',
    ],
    ['routes-flannel', 'in order', [...toOthers('flannel.1'), route('10.244.1.0/24', 'cni0')], ''],
    [
      'routes-flannel',
      'the blackholes that Felix leaves',
      [...toOthers('flannel.1'), blackhole('10.244.1.0/26'), blackhole('10.244.1.64/26')],
      '2 blackhole routes swallow the pods of worker-1',
    ],
    [
      'routes-flannel',
      'none, as after a deleted flannel.1',
      [route('10.244.1.0/24', 'cni0')],
      'no way through flannel.1 to 2 of 2',
    ],
  ])('%s, %s', async (id, _, routes, fault) => {
    const result = await check(id, { routes });

    if (fault === '')
      expect(result).toMatchObject({ verdict: 'pass', message: expect.stringContaining('2 other nodes') });
    else expect(result).toMatchObject({ verdict: 'block', message: expect.stringContaining(fault) });
  });

  it('do not miss a node that was removed from the cluster since the plan was made', async () => {
    const double = contextFor(
      {
        nodes: [
          { name: 'worker-1', state: { routes: [route('10.244.2.0/24', 'vxlan.calico')] } },
          { name: 'worker-2' },
          { name: 'worker-3' },
        ],
      },
      { at: 'worker-1' },
    );
    const { names } = double.context.kubernetes;
    double.context.kubernetes.names = async (kind) => (await names(kind)).filter((name) => name !== 'worker-3');

    const [result] = await runChecks(['routes-calico'], double.context);

    expect(result).toMatchObject({ verdict: 'pass', evidence: { peers: 1 } });
    expect(double.nodeLists).toBe(0);
  });

  it('take a nested route for no more than it covers', () => {
    const routes = [
      route('10.244.2.0/25', 'x'),
      route('10.244.2.64/26', 'x'),
      route('10.0.0.0/16', 'x'),
      route('default', 'x'),
      route('fd00::/64', 'x'),
    ];

    const facts = overlayRoutes(
      { routes },
      { name: 'a', podCIDR: '10.244.1.0/24' },
      [{ name: 'b', podCIDR: '10.244.2.0/24' }],
      'x',
    );

    expect(facts.missing).toEqual(['b 10.244.2.0/24 (128 of 256 addresses)']);
  });
});

describe('pod-identity', () => {
  const migrated: FakeCluster['nodes'] = [{ name: 'worker-2' }];
  const own = (state: Partial<NodeState>, isMigrated: boolean) =>
    check('pod-identity', state, { nodes: [{ name: 'worker-1', migrated: isMigrated, state }, ...migrated] });
  const caliRoute = route('10.244.1.9', 'cali123');

  it.each<[string, Partial<NodeState>, boolean, string, string]>([
    ['a pod of Calico on a Calico node', { routes: [caliRoute] }, true, 'pass', 'from calico'],
    ['a pod of Flannel on a Flannel node', { leases: ['10.244.1.9'] }, false, 'pass', 'from flannel'],
    [
      'a pod of Flannel on a Calico node',
      { leases: ['10.244.1.9'] },
      true,
      'block',
      'connected by flannel, and the node is on calico',
    ],
    [
      'a pod of Calico on a Flannel node',
      { routes: [caliRoute] },
      false,
      'block',
      'connected by calico, and the node is on flannel',
    ],
    ['an address that both claim', { routes: [caliRoute], leases: ['10.244.1.9'] }, true, 'block', 'both networks'],
    ['an address that neither knows', {}, true, 'warn', 'neither a lease nor a route'],
  ])('%s', async (_, state, isMigrated, verdict, text) => {
    expect(await own(state, isMigrated)).toMatchObject({ verdict, message: expect.stringContaining(text) });
  });
});

describe('residue', () => {
  const rules = (flannel: number, calico: number): NodeState['rules'] => [
    { backend: 'nft', family: 'ip', flannel: 0, calico: 0, hostport: 3 },
    { backend: 'legacy', family: 'ip', flannel, calico, hostport: 0 },
  ];

  it.each<[string, Partial<NodeState>, string[]]>([
    ['residue-flannel', {}, []],
    ['residue-flannel', { rules: rules(6, 0) }, ['6 FLANNEL-* rules (legacy, ip)']],
    ['residue-flannel', { links: [vxlan('flannel.1')] }, ['link flannel.1']],
    ['residue-flannel', { leases: ['10.244.1.4', '10.244.1.5'] }, ['2 leases of cbr0 (10.244.1.4)']],
    ['residue-flannel', { nftTables: ['ip flannel-ipv4', 'ip nat'] }, ['nft table ip flannel-ipv4']],
    ['residue-flannel', { rules: rules(0, 40), routes: [blackhole('10.244.1.0/26')] }, []],
    ['residue-calico', {}, []],
    ['residue-calico', { rules: rules(0, 2) }, ['2 cali rules (legacy, ip)']],
    ['residue-calico', { routes: [blackhole('10.244.1.0/26')] }, ['route blackhole 10.244.1.0/26 proto 80']],
    ['residue-calico', { ipsets: ['cali40masq-ipam-pools', 'KUBE-X'] }, ['ipset cali40masq-ipam-pools']],
    ['residue-calico', { confs: [conf('10-calico.conflist', 'cutover-fence')] }, ['conf 10-calico.conflist']],
    ['residue-calico', { rules: rules(6, 0), leases: ['10.244.1.4'] }, []],
  ])('%s of %j', async (id, state, left) => {
    const result = await check(id, { confs: [], ...state });

    expect(result.evidence).toMatchObject({ left });
    expect(result.verdict).toBe(left.length === 0 ? 'pass' : 'block');
    for (const thing of left) expect(result.message).toContain(thing);
  });
});

describe('agent-calico', () => {
  const agent = (status: string) =>
    object('v1', 'Pod', 'calico-node-x', 'kube-system', {
      metadata: { labels: { 'k8s-app': 'calico-node' } },
      spec: { nodeName: 'worker-1' },
      status: { phase: 'Running', podIP: '192.168.0.1', conditions: [{ type: 'Ready', status }] },
    });

  it.each([
    ['Ready', [agent('True')], 'pass', 'calico-node-x is Ready'],
    [
      'not Ready',
      [agent('False')],
      'block',
      'calico-node on worker-1 is not Ready: calico-node-x is Running, not Ready',
    ],
    ['absent', [], 'block', 'there is none'],
  ])('%s', async (_, pods, verdict, text) => {
    expect(await check('agent-calico', {}, { objects: { Pod: pods } })).toMatchObject({
      verdict,
      message: expect.stringContaining(text),
    });
  });

  it('blocks on a Ready agent whose node says NetworkUnavailable', async () => {
    const double = contextFor({ nodes: [{ name: 'worker-1' }], objects: { Pod: [agent('True')] } }, { at: 'worker-1' });
    const { get } = double.context.kubernetes;
    double.context.kubernetes.get = async (ref) => {
      const found = await get(ref);
      return ref.kind === 'Node'
        ? {
            ...found!,
            status: { conditions: [{ type: 'NetworkUnavailable', status: 'True', reason: 'CalicoIsDown' }] },
          }
        : found;
    };

    const [result] = await runChecks(['agent-calico'], double.context);

    expect(result).toMatchObject({
      verdict: 'block',
      message: 'worker-1 says NetworkUnavailable (CalicoIsDown) although calico-node-x is Ready',
    });
  });
});
