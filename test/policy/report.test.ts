import { describe, expect, it } from 'vitest';
import { parseFlowFile } from '../../src/policy/flow-file.ts';
import type { Hazard } from '../../src/policy/hazards.ts';
import { policyReport } from '../../src/policy/report.ts';
import type { ReportInput } from '../../src/policy/report.ts';
import type { PolicyCluster, PolicyService } from '../../src/policy/types.ts';
import { calico, cluster, object, pod, policy } from './world.ts';

const clusterDns = true;
const web = ['web-1', 'web-2'].map((name) =>
  pod(`shop/${name}`, { workload: 'shop/web', labels: { app: 'web' }, clusterDns }),
);
const api = ['api-1', 'api-2'].map((name) =>
  pod(`shop/${name}`, { workload: 'shop/api', labels: { app: 'api' }, node: 'n2', clusterDns, probes: [8080] }),
);
const dns = pod('kube-system/coredns-1', {
  workload: 'kube-system/coredns',
  labels: { 'k8s-app': 'kube-dns' },
  node: 'n2',
});
const pods = [...web, ...api, dns];

const service = (id: string, change: Partial<PolicyService>): PolicyService => {
  const [namespace, name] = id.split('/') as [string, string];
  return { namespace, name, clusterIP: '10.96.0.9', ports: [], backends: [], clients: '', isDns: false, ...change };
};
const services: PolicyService[] = [
  service('kube-system/kube-dns', {
    clusterIP: '10.96.0.10',
    isDns: true,
    ports: [{ port: 53, protocol: 'UDP' }],
    backends: [{ servicePort: 53, protocol: 'UDP', ip: dns.ip, port: 53 }],
  }),
  service('shop/api', {
    ports: [{ port: 80, protocol: 'TCP' }],
    backends: api.map(({ ip }) => ({ servicePort: 80, protocol: 'TCP', ip, port: 8080 })),
    clients: 'web',
  }),
];
const report = (objects: PolicyCluster['objects'], input: ReportInput = {}, change: Partial<PolicyCluster> = {}) =>
  policyReport(cluster(pods, objects, { services, ...change }), input);
const only = (hazards: Hazard[], kind: Hazard['kind']) => hazards.filter((hazard) => hazard.kind === kind);
const denyIngress = policy('shop/deny', { podSelector: { matchLabels: { app: 'api' } } });
const denyEgress = policy('shop/locked', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'] });

describe('the hazard report', () => {
  it('of a cluster without policies is empty, and counts what was judged', () => {
    expect(report([])).toEqual({
      hazards: [],
      policies: [],
      pods: 5,
      flows: [
        { source: 'annotation', judged: 4, cut: 0 },
        { source: 'implied', judged: 6, cut: 0 },
      ],
      gaps: [],
    });
  });

  it('names a declared flow that would be cut, by whom, and what to write', () => {
    const { hazards, flows } = report([denyIngress]);

    expect(hazards).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f]{10}$/),
        kind: 'flow-cut',
        severity: 'block',
        message:
          'shop/web to shop/api, TCP 8080, would be cut on ingress: no rule of NetworkPolicy shop/deny allows it (default deny) (all 4 connections; known from Service shop/api, its clients)',
        remedy:
          'if it shall work, add an ingress rule from the pods app=web of namespace shop for TCP 8080 to NetworkPolicy shop/deny, or give shop a policy with it',
        policies: ['NetworkPolicy shop/deny'],
        direction: 'ingress',
        from: 'shop/web',
        to: 'shop/api',
        port: 'TCP/8080',
        sources: ['annotation'],
        evidence: {
          connections: [
            'shop/web-1 -> shop/api-1',
            'shop/web-1 -> shop/api-2',
            'shop/web-2 -> shop/api-1',
            'shop/web-2 -> shop/api-2',
          ],
          cut: 4,
          origins: ['Service shop/api, its clients'],
        },
      },
    ]);
    expect(flows).toContainEqual({ source: 'annotation', judged: 4, cut: 4 });
  });

  it('keeps the id of a hazard when pods, nodes and addresses change', () => {
    const moved = pods.map((each) => ({
      ...each,
      name: `${each.name}-new`,
      node: 'n1',
      ip: each.ip.replace('.244.', '.245.'),
    }));
    const backends = moved
      .filter(({ workload }) => workload === 'shop/api')
      .map(({ ip }) => ({ servicePort: 80, protocol: 'TCP' as const, ip, port: 8080 }));

    const before = report([denyIngress]).hazards[0]!;
    const after = policyReport(cluster(moved, [denyIngress], { services: [{ ...services[1]!, backends }] }), {})
      .hazards[0]!;
    const other = report([{ ...denyIngress, metadata: { ...denyIngress.metadata, name: 'deny-2' } }]).hazards[0]!;

    expect(after.id).toBe(before.id);
    expect(other.id).not.toBe(before.id);
  });

  it('says once that a default deny forgot DNS, and what to add', () => {
    const [hazard, ...rest] = only(report([denyEgress]).hazards, 'no-dns');

    expect(rest).toEqual([]);
    expect(hazard).toMatchObject({
      severity: 'block',
      message:
        "shop/web could not resolve names: no rule of NetworkPolicy shop/locked lets them ask the cluster's DNS (egress)",
      remedy:
        'add an egress rule for UDP and TCP 53 to the pods k8s-app=kube-dns of namespace kube-system to NetworkPolicy shop/locked',
      sources: ['implied'],
    });
  });

  it('never says that kubelet is cut off', () => {
    const { hazards } = report([policy('shop/deny', { podSelector: {} })]);

    expect(hazards.filter(({ from }) => from === 'nodes')).toEqual([]);
  });

  it('says that the API server cannot call a webhook', () => {
    const webhooks = [{ name: 'ValidatingWebhookConfiguration quota', namespace: 'shop', service: 'api', port: 80 }];

    expect(only(report([denyIngress], {}, { webhooks }).hazards, 'flow-cut')).toContainEqual(
      expect.objectContaining({
        from: 'nodes',
        to: 'shop/api',
        remedy: expect.stringContaining('ipBlocks 192.168.0.1/32 and 10.244.1.0/32'),
      }),
    );
  });

  it('takes what the nodes have seen, and leaves out addresses that no pod has any more', () => {
    const seen = { node: 'n2', protocol: 'TCP' as const, port: 9000, connections: 7 };
    const { hazards, flows } = report([denyIngress], {
      observed: [
        { ...seen, source: '198.51.100.7', destination: api[0]!.ip },
        { ...seen, source: '10.244.1.250', destination: api[0]!.ip },
        { ...seen, source: '192.168.0.1', destination: '192.168.0.2' },
      ],
    });

    expect(flows).toContainEqual({ source: 'conntrack', judged: 1, cut: 1 });
    expect(only(hazards, 'flow-cut')).toContainEqual(
      expect.objectContaining({
        from: 'outside',
        to: 'shop/api',
        port: 'TCP/9000',
        sources: ['conntrack'],
        message: expect.stringContaining('known from conntrack of n2, 7 connections'),
      }),
    );
  });

  it('takes a file of flows, by workload, pod, Service, namespace, node and address', () => {
    const text = ['shop/web', 'shop/web-1', 'shop/*', 'node:n1', '203.0.113.9']
      .map((from) => `  - { from: "${from}", to: shop/api, port: 80 }`)
      .join('\n');
    const flows = parseFlowFile(
      `flows:\n${text}\n  - { from: shop/web, to: "203.0.113.9", port: 443, protocol: UDP }`,
      'flows.yaml',
    );

    const { hazards, flows: counted } = report([denyIngress, denyEgress], { declared: { flows, file: 'flows.yaml' } });

    // 2 web to 2 api, then the rest of shop (2 api to 2 api), one node and one address to 2 each, and 2 web to outside.
    expect(counted).toContainEqual({ source: 'file', judged: 4 + 4 + 2 + 2 + 2, cut: 4 + 4 + 2 + 2 + 2 });
    expect(hazards.filter(({ to }) => to === 'outside')).toEqual([
      expect.objectContaining({
        from: 'shop/web',
        port: 'UDP/443',
        direction: 'egress',
        policies: ['NetworkPolicy shop/locked'],
      }),
    ]);
  });

  it.each([
    [
      '- { from: shop/wbe, to: shop/api, port: 80 }',
      'flow 1 of flows.yaml: from names shop/wbe, and the cluster has no workload or pod of that name',
      'did you mean shop/web?',
    ],
    [
      '- { from: shop/web, to: shop/apis, port: 80 }',
      'flow 1 of flows.yaml: to names shop/apis, and the cluster has no Service, workload or pod of that name',
      'did you mean shop/api?',
    ],
    [
      '- { from: "node:n9", to: shop/api, port: 80 }',
      'flow 1 of flows.yaml: from names node:n9, and the cluster has no such node',
      'did you mean node:n1?',
    ],
  ])('refuses a flow that names somebody who is not there: %s', (line, message, remedy) => {
    const flows = parseFlowFile(`flows:\n  ${line}`, 'flows.yaml');

    expect(() => report([], { declared: { flows, file: 'flows.yaml' } })).toThrow(
      expect.objectContaining({ message, remedy }),
    );
  });

  it.each([
    ['flows: [', /^flows.yaml is not valid YAML/],
    ['', /^flows.yaml: the file: /],
    ['flows:\n  - { from: a/b, to: c/d, port: web }', /^flows.yaml: flow 1, port: /],
    ['flows:\n  - { from: a/b, to: c/d, port: 80, proto: TCP }', /^flows.yaml: flow 1: .*proto/],
  ])('refuses a file that is none: %j', (text, message) => {
    expect(() => parseFlowFile(text, 'flows.yaml')).toThrow(message);
  });

  it('warns of a client that is not there in an annotation', () => {
    const { hazards } = report([], {}, { services: [{ ...services[1]!, clients: 'web, ops/nobody' }] });

    expect(hazards).toEqual([
      expect.objectContaining({
        kind: 'unknown-client',
        severity: 'warn',
        message:
          'Service shop/api, its clients: it names ops/nobody, and the cluster has no workload or pod of that name',
      }),
    ]);
  });
});

describe('what is said of a policy itself', () => {
  const egressTo = (cidr: string, except: string[] = []) =>
    policy('shop/p', {
      podSelector: { matchLabels: { app: 'web' } },
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr, except } }] }, { to: [{ namespaceSelector: {} }] }],
    });

  it.each<[string, PolicyCluster['objects'], Hazard['kind'], Hazard['severity'], string]>([
    [
      'that selects nothing',
      [policy('shop/p', { podSelector: { matchLabels: { app: 'gone' } } })],
      'selects-nothing',
      'warn',
      'NetworkPolicy shop/p selects no pod',
    ],
    [
      'that cuts nothing known',
      [policy('shop/p', { podSelector: { matchLabels: { app: 'api' } }, ingress: [{}] })],
      'becomes-live',
      'warn',
      'NetworkPolicy shop/p becomes live for 2 pods (ingress), where Flannel enforces nothing; it cuts none of the 10 known flows',
    ],
    [
      "of Calico's own kind",
      [
        calico('GlobalNetworkPolicy', 'p', {
          selector: "app == 'api'",
          types: ['Ingress'],
          ingress: [{ action: 'Allow' }],
        }),
      ],
      'becomes-live',
      'warn',
      'GlobalNetworkPolicy p becomes live for 2 pods',
    ],
    [
      'that is staged',
      [calico('StagedNetworkPolicy', 'shop/p', {})],
      'staged',
      'warn',
      'StagedNetworkPolicy shop/p is staged',
    ],
    [
      'of Cilium',
      [object('cilium.io/v2', 'CiliumNetworkPolicy', 'shop/p', {})],
      'not-enforced',
      'warn',
      'CiliumNetworkPolicy shop/p stays without effect: only Cilium enforces it',
    ],
    [
      'of a kind for admins',
      [object('policy.networking.k8s.io/v1alpha1', 'AdminNetworkPolicy', 'p', {})],
      'not-enforced',
      'warn',
      'AdminNetworkPolicy p stays without effect',
    ],
    [
      'with a selector that cannot be read',
      [calico('GlobalNetworkPolicy', 'p', { selector: 'app = x' })],
      'unreadable',
      'warn',
      'GlobalNetworkPolicy p cannot be read',
    ],
    [
      'with the addresses of pods',
      [egressTo('10.244.1.0/28')],
      'ip-block-pods',
      'block',
      'egress rule 1 of NetworkPolicy shop/p names 10.244.1.0/28, which holds the addresses of 2 pods (shop/web, shop/web): pods get new addresses',
    ],
    ['with every address', [egressTo('0.0.0.0/0')], 'ip-block-pods', 'warn', 'names 0.0.0.0/0, which holds every pod'],
    [
      'with ClusterIPs',
      [egressTo('10.96.0.0/16')],
      'ip-block-services',
      'warn',
      'names 10.96.0.0/16, which holds ClusterIPs (kube-system/kube-dns, shop/api) and no pod',
    ],
  ])('%s', (_, objects, kind, severity, text) => {
    expect(only(report(objects).hazards, kind)).toEqual([
      expect.objectContaining({ severity, message: expect.stringContaining(text) }),
    ]);
  });

  it('says nothing of an ipBlock that excepts the pods', () => {
    expect(only(report([egressTo('0.0.0.0/0', ['10.0.0.0/8'])]).hazards, 'ip-block-pods')).toEqual([]);
  });
});

describe('the matrix', () => {
  it('has a cell for each workload and port, with the reason', () => {
    const { matrix } = report([denyIngress], { matrix: true });

    expect(matrix).toContainEqual({
      from: 'shop/web',
      to: 'shop/api',
      port: 'TCP/8080',
      verdict: 'cut',
      why: 'no rule of NetworkPolicy shop/deny allows it (default deny)',
    });
    expect(matrix).toContainEqual({
      from: 'shop/web',
      to: 'kube-system/coredns',
      port: 'UDP/53',
      verdict: 'allowed',
      why: 'no policy governs egress of shop/web-1',
    });
  });
});
