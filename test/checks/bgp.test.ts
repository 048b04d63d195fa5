import { describe, expect, it } from 'vitest';
import { parseBird } from '../../src/checks/bgp/bird.ts';
import { neverConfig } from '../../src/checks/bgp/bird-takes-never.ts';
import { bgpPorts } from '../../src/checks/bgp/bgp-ports.ts';
import { bgpSessions } from '../../src/checks/bgp/bgp-sessions.ts';
import { birdConfigRunning } from '../../src/checks/bgp/bird-config-running.ts';
import type { CalicoNode } from '../../src/checks/bgp/calico-state.ts';
import { expectedSessions, selects } from '../../src/checks/bgp/expected-sessions.ts';
import { trueAddress } from '../../src/checks/bgp/node-addresses.ts';
import { compareRoutes, expectedRoutes } from '../../src/checks/bgp/routes-expected.ts';

/** As a real BIRD 1.6.8 in Calico's container printed it. */
const printed = (changes: { reconfigured?: string; since?: string; state?: string; check?: string } = {}): string =>
  `BIRD 1.6.8 ready.
BIRD 1.6.8
Router ID is 10.99.0.1
Current server time is 2026-11-25 21:46:10
Last reboot on 2026-11-25 21:45:40
Last reconfiguration on ${changes.reconfigured ?? '2026-11-25 21:45:58'}
Daemon is up and running
---
1795643170
---
BIRD 1.6.8 ready.
name     proto    table    state  since       info
static1  Static   master   up     21:45:40    
kernel1  Kernel   master   up     21:45:40    
device1  Device   master   up     21:45:40    
direct1  Direct   master   up     21:45:40    
Mesh_10_99_0_2 BGP      master   up     ${changes.since ?? '21:45:46'}    ${changes.state ?? 'Established   '}
Mesh_10_99_0_3 BGP      master   start  21:45:40    Active        Socket: Connection refused
---
1795643140
1795643158
1795643140
---
BIRD 1.6.8 ready.
Reading configuration from /etc/calico/confd/config/bird.cfg
${changes.check ?? 'Configuration OK'}
`;

describe('what BIRD prints', () => {
  it('is read: sessions with their age, and when the running configuration was loaded', () => {
    const bird = parseBird('worker-1', printed());

    expect(bird).toMatchObject({ error: '', refused: '', renderedAt: 1795643158, loadedAt: 1795643158 });
    expect(bird.sessions).toEqual([
      { peer: '10.99.0.2', kind: 'mesh', established: true, info: 'Established', ageSeconds: 24 },
      {
        peer: '10.99.0.3',
        kind: 'mesh',
        established: false,
        info: 'Active        Socket: Connection refused',
        ageSeconds: 30,
      },
    ]);
  });

  it('is read across midnight, with a date for what is older than a day, and in another time zone', () => {
    const ages = ['23:59:00', '2026-11-20'].map(
      (since) => parseBird('worker-1', printed({ since })).sessions[0]!.ageSeconds,
    );
    const shifted = parseBird('worker-1', printed().replace('1795643170', String(1795643170 + 7200)));

    expect(ages).toEqual([21 * 3600 + 46 * 60 + 10 + 60, 86_400]);
    expect(shifted.loadedAt).toBe(1795643158 + 7200);
  });

  it('names the line that BIRD refuses', () => {
    const check = '/etc/calico/confd/config/bird_ipam.cfg, line 52: You may set only variables.';

    expect(parseBird('worker-1', printed({ check })).refused).toBe(check);
  });

  it('says what stopped it from being read', () => {
    const said = 'Unable to connect to server control socket (/var/run/calico/bird.ctl): No such file or directory';

    expect(parseBird('worker-1', '', said).error).toBe(said);
  });
});

const node = (name: string, number: number, more: Partial<CalicoNode> = {}): CalicoNode => ({
  name,
  ip: `10.0.1.${number}`,
  address: `10.0.1.${number}/24`,
  vtep: `10.244.${number}.0`,
  clusterId: '',
  asNumber: undefined,
  labels: {},
  ...more,
});
const peer = (spec: object) => ({
  apiVersion: 'crd.projectcalico.org/v1',
  kind: 'BGPPeer',
  metadata: { name: 'p' },
  spec,
});
const mesh = (on: boolean) => ({ ...peer({ nodeToNodeMeshEnabled: on }), kind: 'BGPConfiguration' });

describe('the sessions that should be there', () => {
  const [a, b, c] = [node('a', 1), node('b', 2), node('c', 3)];

  it('are those of every node with every other in a mesh, which is on unless it is switched off', () => {
    const expected = expectedSessions([a, b, c], undefined, []);

    expect([...expected.get('a')!]).toEqual(['10.0.1.2', '10.0.1.3']);
    expect([...expectedSessions([a, b, c], mesh(false), []).values()].every(({ size }) => size === 0)).toBe(true);
  });

  it('lead to the reflectors and between them when a node carries a cluster id, whether the mesh is on or not', () => {
    const reflector = { clusterId: '244.0.0.1', labels: { 'route-reflector': 'true' } };
    const nodes = [a, node('b', 2, reflector), node('c', 3, reflector)];
    const toReflectors = [peer({ nodeSelector: 'all()', peerSelector: "route-reflector == 'true'" })];

    for (const on of [true, false]) {
      const expected = expectedSessions(nodes, mesh(on), toReflectors);
      expect([...expected.get('a')!].toSorted()).toEqual(['10.0.1.2', '10.0.1.3']);
      expect([...expected.get('b')!].toSorted()).toEqual(['10.0.1.1', '10.0.1.3']);
    }
  });

  it('include routers, of all nodes or of one', () => {
    const peers = [peer({ peerIP: '10.0.1.254', asNumber: 64500 }), peer({ peerIP: '10.0.1.253', node: 'b' })];
    const expected = expectedSessions([a, b], mesh(false), peers);

    expect([...expected.get('a')!]).toEqual(['10.0.1.254']);
    expect([...expected.get('b')!]).toEqual(['10.0.1.254', '10.0.1.253']);
  });

  it.each([
    ['all()', true],
    ["rack == 'x' && has(route-reflector)", true],
    ["rack != 'x'", false],
    ['has(other)', false],
    ['some in { new, syntax }', false],
  ])('are selected by %s: %s', (selector, selected) => {
    expect(selects(selector, { rack: 'x', 'route-reflector': 'true' })).toBe(selected);
  });
});

describe('the routes that should be there', () => {
  const near = node('near', 2);
  const far = node('far', 9, { ip: '10.0.2.9', address: '10.0.2.9/24' });
  const blocks = [
    { cidr: '10.244.2.0/26', node: 'near' },
    { cidr: '10.244.9.0/26', node: 'far' },
    { cidr: '10.244.1.0/26', node: 'own' },
  ];
  const own = node('own', 1);
  const waysOf = (mode: 'Always' | 'CrossSubnet' | 'Never', from = own) =>
    expectedRoutes(from, [from, near, far], [{ name: 'pool', cidr: '10.244.0.0/16', mode }], blocks).map(
      ({ node: to, way, via, proto }) => `${to} ${way} ${via} ${proto}`.trim().replaceAll(/ +/g, ' '),
    );

  it('follow the mode and the subnets', () => {
    expect(waysOf('Always')).toEqual(['near tunnel 10.244.2.0', 'far tunnel 10.244.9.0']);
    expect(waysOf('CrossSubnet')).toEqual(['near next-hop 10.0.1.2 80', 'far tunnel 10.244.9.0']);
    expect(waysOf('Never')).toEqual(['near next-hop 10.0.1.2 bird', 'far router bird']);
  });

  it('are all tunnels for a node that is known by a prefix of 32', () => {
    expect(waysOf('CrossSubnet', { ...own, address: '10.0.1.1/32' })).toEqual([
      'near tunnel 10.244.2.0',
      'far tunnel 10.244.9.0',
    ]);
  });

  const route = (dst: string, via: string, dev: string, proto: string) => ({ dst, via, dev, proto, type: 'unicast' });
  const expected = expectedRoutes(
    own,
    [own, near, far],
    [{ name: 'pool', cidr: '10.244.0.0/16', mode: 'CrossSubnet' }],
    blocks,
  );
  const good = [
    route('10.244.2.0/26', '10.0.1.2', 'eth0', '80'),
    route('10.244.9.0/26', '10.244.9.0', 'vxlan.calico', 'boot'),
  ];

  it.each([
    ['nothing', good, []],
    ['a route that is missing', good.slice(1), ['own: 10.244.2.0/26 of near']],
    [
      'one that still leads through the tunnel',
      [route('10.244.2.0/26', '10.244.2.0', 'vxlan.calico', 'boot'), good[1]!],
      ['own: 10.244.2.0/26 via 10.244.2.0 dev vxlan.calico, expected a plain route'],
    ],
    [
      'one to another node',
      [route('10.244.2.0/26', '10.0.1.7', 'eth0', '80'), good[1]!],
      ['own: 10.244.2.0/26 via 10.0.1.7 dev eth0, expected via 10.0.1.2'],
    ],
    [
      'one that somebody else wrote',
      [route('10.244.2.0/26', '10.0.1.2', 'eth0', 'static'), good[1]!],
      ['own: 10.244.2.0/26 via 10.0.1.2 dev eth0 proto static, expected proto 80'],
    ],
    [
      'a more specific one of somebody else',
      [...good, route('10.244.2.32/27', '', 'eth1', 'static')],
      ['own: 10.244.2.32/27 dev eth1 inside 10.244.2.0/26 of near'],
    ],
  ])('are compared: %s', (_name, routes, faults) => {
    const { missing, wrong } = compareRoutes('own', expected, routes);

    expect([...missing, ...wrong]).toEqual(faults);
  });
});

describe('judging', () => {
  const sessions = {
    nodes: 3,
    expected: 6,
    established: 6,
    silent: [],
    down: [],
    young: [],
    youngestSeconds: 40,
    stableSeconds: 30,
  };
  const ports = { nodes: 3, pairs: 6, silent: [], foreign: [], strict: [], unreachable: [] };
  const config = { nodes: 3, silent: [], refused: [], behind: [] };

  it.each([
    ['sessions that stayed', () => bgpSessions.judge(sessions), 'pass', /all 6 .* for 40 s/],
    ['a session that is down', () => bgpSessions.judge({ ...sessions, down: ['a - b: Active'] }), 'block', /1 of 6/],
    [
      'a session that came back just now',
      () => bgpSessions.judge({ ...sessions, young: ['a - b: 3 s'] }),
      'block',
      /less than 30 s/,
    ],
    [
      'no session at all',
      () => bgpSessions.judge({ ...sessions, expected: 0, established: 0 }),
      'block',
      /no BGP session/,
    ],
    [
      'a refused configuration',
      () => birdConfigRunning.judge({ ...config, refused: ['a: line 7'] }),
      'block',
      /refuses/,
    ],
    [
      'a configuration that nobody loaded',
      () => birdConfigRunning.judge({ ...config, behind: ['a: 40 s'] }),
      'block',
      /older/,
    ],
    ['a firewall', () => bgpPorts.judge({ ...ports, silent: ['a -> b'] }), 'block', /1 of 6 paths/],
    ['another speaker', () => bgpPorts.judge({ ...ports, foreign: ['a: speaker'] }), 'block', /a: speaker/],
    ['a strict rp_filter', () => bgpPorts.judge({ ...ports, strict: ['a: eth0'] }), 'warn', /rp_filter/],
  ] as const)('%s', (_name, judge, verdict, message) => {
    expect(judge()).toMatchObject({ verdict, message: expect.stringMatching(message) as string });
  });
});

it("asks BIRD about the line that Calico's template has, and only then", () => {
  expect(neverConfig('filter x {\n    krt_tunnel = "{{$data.ipip}}";\n accept; }')).toContain('krt_tunnel = "";');
  expect(neverConfig('filter x {\n accept; }')).not.toContain('krt_tunnel');
});

it('takes the true address from the interfaces', () => {
  expect(trueAddress(['192.168.7.1/30', '10.0.1.7/24'], '10.0.1.7')).toBe('10.0.1.7/24');
  expect(trueAddress(['10.0.1.7/24'], '10.0.1.8')).toBe('');
});
