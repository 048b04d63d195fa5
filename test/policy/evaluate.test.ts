import { describe, expect, it } from 'vitest';
import { createEvaluator } from '../../src/policy/evaluate.ts';
import type { PolicyPod, Protocol } from '../../src/policy/types.ts';
import { connection, api, cluster, host, judge, monitor, onWeb, outside, pods, policy, web } from './world.ts';

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
