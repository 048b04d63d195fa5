import { describe, expect, it } from 'vitest';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { createEvaluator } from '../../src/policy/evaluate.ts';
import type { PolicyPod, Protocol } from '../../src/policy/types.ts';
import { api, calico, cluster, judge, monitor, onWeb, outside, pods, policy, web } from './world.ts';

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
