import { describe, expect, it } from 'vitest';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { createEvaluator } from '../../src/policy/evaluate.ts';
import type { PolicyCluster, PolicyPod, Protocol } from '../../src/policy/types.ts';
import { calico, cluster, connection, pod, policy } from './world.ts';

const web = pod('shop/web', { ports: [{ name: 'http', port: 8080, protocol: 'TCP' }] });
const api = pod('shop/api', { node: 'n2', ports: [{ name: 'http', port: 9090, protocol: 'TCP' }] });
const monitor = pod('ops/monitor', { node: 'n2', serviceAccount: 'prometheus' });
const host = pod('ops/host-agent', { node: 'n2', hostNetwork: true, labels: { app: 'web' } });
const pods = [web, api, monitor, host];
const outside = '203.0.113.7';

const judge = (
  objects: KubernetesObject[],
  from: PolicyPod | string,
  to: PolicyPod | string,
  port = 8080,
  protocol: Protocol = 'TCP',
  change: Partial<PolicyCluster> = {},
) => createEvaluator(cluster(pods, objects, change)).judge(connection(from, to, port, protocol));
const onWeb = { podSelector: { matchLabels: { app: 'web' } } };

describe('NetworkPolicy', () => {
  it('without any, everything is allowed', () => {
    expect(judge([], api, web)).toEqual({
      allowed: true,
      sides: [
        {
          direction: 'egress',
          allowed: true,
          selectedBy: [],
          policy: '',
          rule: '',
          why: 'no policy governs egress of shop/api',
        },
        {
          direction: 'ingress',
          allowed: true,
          selectedBy: [],
          policy: '',
          rule: '',
          why: 'no policy governs ingress of shop/web',
        },
      ],
    });
  });

  it('names the policies that select the pod and have no rule for it', () => {
    const verdict = judge([policy('shop/deny', { podSelector: {} }), policy('shop/other', onWeb)], api, web);

    expect(verdict.allowed).toBe(false);
    expect(verdict.sides[1]).toMatchObject({
      selectedBy: ['NetworkPolicy shop/deny', 'NetworkPolicy shop/other'],
      policy: '',
      why: 'no rule of NetworkPolicy shop/deny and NetworkPolicy shop/other allows it (default deny)',
    });
  });

  it('names the rule that allows', () => {
    const rules = { ingress: [{ ports: [{ port: 1 }] }, { from: [{ podSelector: {} }] }] };

    expect(judge([policy('shop/web', { ...onWeb, ...rules })], api, web).sides[1]).toMatchObject({
      allowed: true,
      policy: 'NetworkPolicy shop/web',
      rule: 'ingress rule 2',
      why: 'ingress rule 2 of NetworkPolicy shop/web allows it',
    });
  });

  interface Case {
    name: string;
    spec: object;
    from?: PolicyPod | string;
    to?: PolicyPod | string;
    port?: number;
    protocol?: Protocol;
    allowed: boolean;
  }
  const ns = (labels: object) => ({ namespaceSelector: { matchLabels: labels } });
  const cases: Case[] = [
    { name: 'no ingress rule: nothing in', spec: { ...onWeb, policyTypes: ['Ingress'] }, allowed: false },
    { name: 'an empty list of rules: nothing in', spec: { ...onWeb, ingress: [] }, allowed: false },
    { name: 'an empty rule: everybody in', spec: { ...onWeb, ingress: [{}] }, from: outside, allowed: true },
    { name: 'an empty `from` is everybody', spec: { ...onWeb, ingress: [{ from: [] }] }, from: monitor, allowed: true },
    {
      name: 'a podSelector alone means the own namespace',
      spec: { ...onWeb, ingress: [{ from: [{ podSelector: {} }] }] },
      from: monitor,
      allowed: false,
    },
    {
      name: 'an empty namespaceSelector means every namespace',
      spec: { ...onWeb, ingress: [{ from: [{ namespaceSelector: {} }] }] },
      from: monitor,
      allowed: true,
    },
    {
      name: 'a namespaceSelector by label',
      spec: { ...onWeb, ingress: [{ from: [ns({ team: 'ops' })] }] },
      from: monitor,
      allowed: true,
    },
    {
      name: 'both selectors in one peer must hold',
      spec: { ...onWeb, ingress: [{ from: [{ ...ns({ team: 'ops' }), podSelector: { matchLabels: { app: 'x' } } }] }] },
      from: monitor,
      allowed: false,
    },
    {
      name: 'two peers are alternatives',
      spec: { ...onWeb, ingress: [{ from: [ns({ team: 'ops' }), { podSelector: { matchLabels: { app: 'x' } } }] }] },
      from: monitor,
      allowed: true,
    },
    {
      name: 'an outside address matches no selector',
      spec: { ...onWeb, ingress: [{ from: [{ namespaceSelector: {} }] }] },
      from: outside,
      allowed: false,
    },
    {
      name: 'an ipBlock',
      spec: { ...onWeb, ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.0/24' } }] }] },
      from: outside,
      allowed: true,
    },
    {
      name: 'an ipBlock with an exception',
      spec: { ...onWeb, ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.0/24', except: ['203.0.113.0/28'] } }] }] },
      from: outside,
      allowed: false,
    },
    {
      name: 'an ipBlock covers pods, too',
      spec: { ...onWeb, ingress: [{ from: [{ ipBlock: { cidr: '10.244.0.0/16' } }] }] },
      from: monitor,
      allowed: true,
    },
    {
      name: 'an IPv6 ipBlock holds no IPv4 address',
      spec: { ...onWeb, ingress: [{ from: [{ ipBlock: { cidr: '::/0' } }] }] },
      from: outside,
      allowed: false,
    },
    { name: 'a port', spec: { ...onWeb, ingress: [{ ports: [{ port: 8080 }] }] }, allowed: true },
    {
      name: 'TCP is the default of a port',
      spec: { ...onWeb, ingress: [{ ports: [{ port: 8080 }] }] },
      protocol: 'UDP',
      allowed: false,
    },
    {
      name: 'a port without a number is every port of its protocol',
      spec: { ...onWeb, ingress: [{ ports: [{ protocol: 'UDP' }] }] },
      protocol: 'UDP',
      allowed: true,
    },
    {
      name: 'rules with ports let no ICMP in',
      spec: { ...onWeb, ingress: [{ ports: [{ port: 8080 }] }] },
      port: 0,
      protocol: 'ICMP',
      allowed: false,
    },
    {
      name: 'endPort includes its end',
      spec: { ...onWeb, ingress: [{ ports: [{ port: 8000, endPort: 8080 }] }] },
      allowed: true,
    },
    {
      name: 'endPort ends there',
      spec: { ...onWeb, ingress: [{ ports: [{ port: 8000, endPort: 8079 }] }] },
      allowed: false,
    },
    {
      name: 'a named port is that of the pod',
      spec: { ...onWeb, ingress: [{ ports: [{ port: 'http' }] }] },
      allowed: true,
    },
    {
      name: 'a named port of another number',
      spec: { ...onWeb, ingress: [{ ports: [{ port: 'http' }] }] },
      port: 9090,
      allowed: false,
    },
    {
      name: "a named port in egress is the destination's",
      spec: {
        podSelector: { matchLabels: { app: 'web' } },
        policyTypes: ['Egress'],
        egress: [{ ports: [{ port: 'http' }] }],
      },
      from: web,
      to: api,
      port: 9090,
      allowed: true,
    },
    {
      name: 'egress rules make it an egress policy',
      spec: { ...onWeb, egress: [{ to: [{ podSelector: {} }] }] },
      from: web,
      to: monitor,
      allowed: false,
    },
    {
      name: 'an empty `egress` without policyTypes does not',
      spec: { ...onWeb, ingress: [{}], egress: [] },
      from: web,
      to: monitor,
      allowed: true,
    },
    {
      name: 'policyTypes Egress alone leaves ingress open',
      spec: { ...onWeb, policyTypes: ['Egress'] },
      allowed: true,
    },
    {
      name: 'egress to an outside address',
      spec: {
        ...onWeb,
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }] }],
      },
      from: web,
      to: outside,
      port: 443,
      allowed: true,
    },
    { name: 'a hostNetwork pod is not selected, whatever its labels', spec: onWeb, from: api, to: host, allowed: true },
    {
      name: 'a hostNetwork pod is no peer of a selector',
      spec: { ...onWeb, ingress: [{ from: [{ namespaceSelector: {} }] }] },
      from: host,
      allowed: false,
    },
    {
      name: "a host is seen with its tunnel's address",
      spec: { ...onWeb, ingress: [{ from: [{ ipBlock: { cidr: '10.244.2.0/32' } }] }] },
      from: host,
      allowed: true,
    },
    { name: 'another host does not get in', spec: onWeb, from: 'node:n2', allowed: false },
    { name: 'the own node always does: kubelet', spec: onWeb, from: 'node:n1', allowed: true },
    {
      name: 'a pod reaches itself',
      spec: { ...onWeb, policyTypes: ['Ingress', 'Egress'] },
      from: web,
      to: web,
      allowed: true,
    },
    { name: 'a policy of another namespace', spec: {}, from: api, to: monitor, allowed: true },
  ];
  it.each(cases)('$name', ({ spec, from = api, to = web, port, protocol, allowed }) => {
    expect(judge([policy('shop/p', spec)], from, to, port, protocol).allowed).toBe(allowed);
  });

  it('a pod that reaches itself through a Service is judged', () => {
    const evaluator = createEvaluator(cluster(pods, [policy('shop/p', onWeb)]));

    expect(evaluator.judge({ ...connection(web, web, 8080), viaService: true }).allowed).toBe(false);
  });

  it('an address of a pod is that pod', () => {
    expect(judge([policy('shop/p', onWeb)], api.ip, web.ip).allowed).toBe(false);
  });

  it("what pods send to their own node depends on Felix's own setting, after their policy", () => {
    const drop = { endpointToHost: 'Drop' } as const;

    expect(judge([], web, 'node:n1', 22, 'TCP', drop)).toMatchObject({
      allowed: false,
      sides: [{ why: expect.stringContaining('defaultEndpointToHostAction') }],
    });
    expect(judge([], web, 'node:n2', 22, 'TCP', drop).allowed).toBe(true);
    expect(judge([], web, 'node:n1', 22).allowed).toBe(true);
    expect(judge([policy('shop/p', { ...onWeb, policyTypes: ['Egress'] })], web, 'node:n1', 22).allowed).toBe(false);
  });
});

describe("Calico's own policies", () => {
  const rule = (action: string, rest: object = {}) => ({ action, ...rest });
  const onlyWeb = { selector: "app == 'web'", types: ['Ingress'] };

  interface Case {
    name: string;
    objects: KubernetesObject[];
    from?: PolicyPod | string;
    to?: PolicyPod | string;
    port?: number;
    protocol?: Protocol;
    allowed: boolean;
  }
  const gnp = (name: string, spec: object) => calico('GlobalNetworkPolicy', name, spec);
  const np = (id: string, spec: object) => calico('NetworkPolicy', id, spec);
  const cases: Case[] = [
    { name: 'one that selects and decides nothing denies', objects: [np('shop/p', onlyWeb)], allowed: false },
    {
      name: 'without types it governs both directions',
      objects: [np('shop/p', { selector: 'all()', ingress: [rule('Allow')] })],
      from: web,
      to: monitor,
      allowed: false,
    },
    {
      name: 'lower orders are asked first',
      objects: [
        gnp('late', { ...onlyWeb, order: 20, ingress: [rule('Allow')] }),
        gnp('early', { ...onlyWeb, order: 10, ingress: [rule('Deny')] }),
      ],
      allowed: false,
    },
    {
      name: 'no order is the last',
      objects: [
        gnp('a', { ...onlyWeb, ingress: [rule('Deny')] }),
        gnp('b', { ...onlyWeb, order: 5000, ingress: [rule('Allow')] }),
      ],
      allowed: true,
    },
    {
      name: 'the name decides between equals',
      objects: [gnp('b', { ...onlyWeb, ingress: [rule('Allow')] }), gnp('a', { ...onlyWeb, ingress: [rule('Deny')] })],
      allowed: false,
    },
    {
      name: 'a Deny below 1000 beats a NetworkPolicy',
      objects: [
        policy('shop/allow', { ...onWeb, ingress: [{}] }),
        gnp('deny', { ...onlyWeb, order: 999, ingress: [rule('Deny')] }),
      ],
      allowed: false,
    },
    {
      name: 'a Deny above 1000 does not',
      objects: [
        policy('shop/allow', { ...onWeb, ingress: [{}] }),
        gnp('deny', { ...onlyWeb, order: 1001, ingress: [rule('Deny')] }),
      ],
      allowed: true,
    },
    {
      name: 'an Allow after a NetworkPolicy that did not match still counts',
      objects: [policy('shop/p', onWeb), gnp('allow', { ...onlyWeb, order: 2000, ingress: [rule('Allow')] })],
      allowed: true,
    },
    {
      name: 'Log decides nothing',
      objects: [np('shop/p', { ...onlyWeb, ingress: [rule('Log'), rule('Allow')] })],
      allowed: true,
    },
    {
      name: 'Pass in the last tier allows',
      objects: [
        np('shop/p', { ...onlyWeb, order: 1, ingress: [rule('Pass')] }),
        np('shop/q', { ...onlyWeb, order: 2, ingress: [rule('Deny')] }),
      ],
      allowed: true,
    },
    {
      name: 'Pass leads to the next tier',
      objects: [
        calico('Tier', 'security', { order: 1 }),
        gnp('security.p', { ...onlyWeb, tier: 'security', ingress: [rule('Pass')] }),
        policy('shop/p', onWeb),
      ],
      allowed: false,
    },
    {
      name: 'a tier that decides nothing denies',
      objects: [
        calico('Tier', 'security', { order: 1 }),
        gnp('security.p', { ...onlyWeb, tier: 'security' }),
        policy('shop/p', { ...onWeb, ingress: [{}] }),
      ],
      allowed: false,
    },
    {
      name: 'unless its default is Pass',
      objects: [
        calico('Tier', 'security', { order: 1, defaultAction: 'Pass' }),
        gnp('security.p', { ...onlyWeb, tier: 'security' }),
        policy('shop/p', { ...onWeb, ingress: [{}] }),
      ],
      allowed: true,
    },
    {
      name: 'a tier whose policies do not select the pod is not asked',
      objects: [
        calico('Tier', 'security', { order: 1 }),
        gnp('security.p', { selector: "app == 'x'", tier: 'security', types: ['Ingress'] }),
      ],
      allowed: true,
    },
    {
      name: 'a selector of a rule means the own namespace',
      objects: [np('shop/p', { ...onlyWeb, ingress: [rule('Allow', { source: { selector: 'all()' } })] })],
      from: monitor,
      allowed: false,
    },
    {
      name: 'a selector of a global rule means all',
      objects: [gnp('p', { ...onlyWeb, ingress: [rule('Allow', { source: { selector: "app == 'monitor'" } })] })],
      from: monitor,
      allowed: true,
    },
    {
      name: 'nets alone mean addresses of any namespace',
      objects: [np('shop/p', { ...onlyWeb, ingress: [rule('Allow', { source: { nets: ['10.244.0.0/16'] } })] })],
      from: monitor,
      allowed: true,
    },
    {
      name: 'namespaceSelector by label',
      objects: [
        np('shop/p', { ...onlyWeb, ingress: [rule('Allow', { source: { namespaceSelector: "team == 'ops'" } })] }),
      ],
      from: monitor,
      allowed: true,
    },
    {
      name: 'namespaceSelector all() is no outside address',
      objects: [np('shop/p', { ...onlyWeb, ingress: [rule('Allow', { source: { namespaceSelector: 'all()' } })] })],
      from: outside,
      allowed: false,
    },
    {
      name: 'notSelector',
      objects: [
        np('shop/p', {
          ...onlyWeb,
          ingress: [rule('Allow', { source: { selector: 'all()', notSelector: "app == 'api'" } })],
        }),
      ],
      allowed: false,
    },
    {
      name: 'notNets',
      objects: [gnp('p', { ...onlyWeb, ingress: [rule('Allow', { source: { notNets: ['10.0.0.0/8'] } })] })],
      from: outside,
      allowed: true,
    },
    {
      name: 'service accounts by name',
      objects: [
        gnp('p', { ...onlyWeb, ingress: [rule('Allow', { source: { serviceAccounts: { names: ['prometheus'] } } })] }),
      ],
      from: monitor,
      allowed: true,
    },
    {
      name: 'port ranges and protocols',
      objects: [
        gnp('p', { ...onlyWeb, ingress: [rule('Allow', { protocol: 'TCP', destination: { ports: ['8000:8080'] } })] }),
      ],
      allowed: true,
    },
    {
      name: 'notPorts',
      objects: [
        gnp('p', { ...onlyWeb, ingress: [rule('Allow', { protocol: 'TCP', destination: { notPorts: [8080] } })] }),
      ],
      allowed: false,
    },
    {
      name: 'a named port',
      objects: [
        gnp('p', { ...onlyWeb, ingress: [rule('Allow', { protocol: 'TCP', destination: { ports: ['http'] } })] }),
      ],
      allowed: true,
    },
    {
      name: 'a protocol by number',
      objects: [gnp('p', { ...onlyWeb, ingress: [rule('Allow', { protocol: 17 })] })],
      allowed: false,
    },
    {
      name: 'ICMP by type',
      objects: [gnp('p', { ...onlyWeb, ingress: [rule('Allow', { protocol: 'ICMP', icmp: { type: 8 } })] })],
      protocol: 'ICMP',
      port: 0,
      allowed: true,
    },
    {
      name: 'a network set',
      objects: [
        calico('GlobalNetworkSet', 'partners', { nets: ['203.0.113.0/24'] }, { role: 'partner' }),
        gnp('p', { ...onlyWeb, ingress: [rule('Allow', { source: { selector: "role == 'partner'" } })] }),
      ],
      from: outside,
      allowed: true,
    },
    {
      name: 'a network set of a namespace is in that namespace',
      objects: [
        calico('NetworkSet', 'ops/partners', { nets: ['203.0.113.0/24'] }, { role: 'partner' }),
        np('shop/p', { ...onlyWeb, ingress: [rule('Allow', { source: { selector: "role == 'partner'" } })] }),
      ],
      from: outside,
      allowed: false,
    },
    {
      name: 'global() finds a GlobalNetworkSet',
      objects: [
        calico('GlobalNetworkSet', 'partners', { nets: ['203.0.113.0/24'] }, { role: 'partner' }),
        np('shop/p', {
          ...onlyWeb,
          ingress: [rule('Allow', { source: { selector: "role == 'partner'", namespaceSelector: 'global()' } })],
        }),
      ],
      from: outside,
      allowed: true,
    },
    {
      name: 'a global policy by namespace',
      objects: [gnp('p', { namespaceSelector: "team == 'ops'", types: ['Ingress'] })],
      to: monitor,
      from: web,
      allowed: false,
    },
    {
      name: 'a global policy for pre-DNAT traffic concerns hosts alone',
      objects: [gnp('p', { selector: 'all()', types: ['Ingress'], preDNAT: true, applyOnForward: true })],
      allowed: true,
    },
    {
      name: 'staged policies are not enforced',
      objects: [
        calico('StagedNetworkPolicy', 'shop/p', onlyWeb),
        calico('StagedGlobalNetworkPolicy', 'p', onlyWeb),
        calico('StagedKubernetesNetworkPolicy', 'shop/p', onWeb),
      ],
      allowed: true,
    },
  ];
  it.each(cases)('$name', ({ objects, from = api, to = web, port, protocol, allowed }) => {
    expect(judge(objects, from, to, port, protocol).allowed).toBe(allowed);
  });

  it('a rule by Service means its backends', () => {
    const service = {
      namespace: 'shop',
      name: 'api',
      clusterIP: '10.96.0.9',
      clients: '',
      isDns: false,
      ports: [],
      backends: [{ servicePort: 80, protocol: 'TCP' as const, ip: api.ip, port: 9090 }],
    };
    const objects = [
      np('shop/p', {
        selector: "app == 'web'",
        types: ['Egress'],
        egress: [rule('Allow', { destination: { services: { name: 'api' } } })],
      }),
    ];

    expect(judge(objects, web, api, 9090, 'TCP', { services: [service] }).allowed).toBe(true);
    expect(judge(objects, web, api, 9091, 'TCP', { services: [service] }).allowed).toBe(false);
  });

  it('one whose selector cannot be read is named', () => {
    const { unreadable, policies } = createEvaluator(cluster(pods, [np('shop/p', { selector: 'app = web' })]));

    expect(policies).toEqual([]);
    expect(unreadable).toEqual([
      { name: 'Calico NetworkPolicy shop/p', reason: expect.stringContaining('cannot be read at character') },
    ]);
  });
});
