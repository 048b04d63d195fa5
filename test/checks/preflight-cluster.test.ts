import { describe, expect, it } from 'vitest';
import { compareVersions, knownVersions, troubleWith } from '../../src/checks/known-versions.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import type { CompiledStage } from '../../src/plan/types.ts';
import { object } from './doubles.ts';
import { daemonSet, deployment, flannelAgent, images, judges, pod, type Row } from './preflight-rows.ts';

const versions: Row[] = [
  [
    'versions that work',
    'versions',
    [flannelAgent('v0.28.9')],
    'pass',
    /^Kubernetes v1\.34\.10, Flannel v0\.28\.9, Calico v3\.31\.2$/,
    { options: images('docker.io/calico/cni:v3.31.2', 'docker.io/calico/node:v3.31.2') },
  ],
  [
    'a Calico that gets no corrections',
    'versions',
    [flannelAgent('v0.28.9')],
    'warn',
    /^Calico v3\.28\.5 is older than 3\.29/,
    { options: images('docker.io/calico/node:v3.28.5') },
  ],
  [
    'a Flannel that makes new MACs',
    'versions',
    [flannelAgent('v0.24.4')],
    'warn',
    /^Flannel v0\.24\.4 makes a new VXLAN MAC/,
  ],
  [
    'a Flannel that nothing can be taken over from',
    'versions',
    [flannelAgent('v0.9.0')],
    'block',
    /^Flannel v0\.9\.0 does not write/,
  ],
  [
    'a Kubernetes without evictions',
    'versions',
    [],
    'block',
    /^Kubernetes v1\.21\.4 has no policy\/v1 Eviction/,
    { fake: { version: 'v1.21.4' } },
  ],
  [
    'an image without a version',
    'versions',
    [daemonSet('kube-flannel-ds', `ghcr.io/flannel-io/flannel@sha256:${'a'.repeat(64)}`, 'kube-flannel')],
    'warn',
    /^the version of Flannel cannot be read/,
  ],
  ['kernels of today', 'kernel', [], 'pass', /^3 nodes run 6\.1\.0/],
  [
    'an old kernel',
    'kernel',
    [],
    'warn',
    /^the kernel of 3 of 3 nodes is older than 5\.10.*worker-1 4\.15\.0/,
    { nodes: (node) => (node['status'].nodeInfo.kernelVersion = '4.15.0-200-generic') },
  ],
  [
    'the old kernel of RHEL 8',
    'kernel',
    [],
    'pass',
    /4\.18\.0/,
    { nodes: (node) => (node['status'].nodeInfo.kernelVersion = '4.18.0-553.el8_10.x86_64') },
  ],
];

const owners: Row[] = [
  ['an API server that is ready', 'control-plane', [], 'pass', /ready/],
  ['an etcd that is not', 'control-plane', [], 'block', /not ready: etcd$/, { fake: { unready: ['etcd'] } }],
  ['kubeadm', 'distribution', [], 'pass', /^none of 3 nodes/],
  [
    'GKE',
    'distribution',
    [],
    'block',
    /^GKE manages the network.*3 of 3 nodes/,
    { nodes: (node) => (node['status'].nodeInfo.kubeletVersion = 'v1.33.4-gke.1350000') },
  ],
  [
    'k3s',
    'distribution',
    [],
    'warn',
    /^k3s has a Flannel of its own/,
    { nodes: (node) => (node['status'].nodeInfo.kubeletVersion = 'v1.33.4+k3s1') },
  ],
  [
    'EKS, by its labels',
    'distribution',
    [],
    'warn',
    /^EKS starts aws-node/,
    { nodes: (node) => (node.metadata.labels = { 'eks.amazonaws.com/nodegroup': 'a' }) },
  ],
  [
    'an autoscaler that runs',
    'node-changers',
    [deployment('cluster-autoscaler', 'registry.k8s.io/autoscaling/cluster-autoscaler:v1.34.0', 1)],
    'block',
    /cluster autoscaler \(kube-system\/cluster-autoscaler\)/,
  ],
  [
    'an autoscaler that was scaled to 0',
    'node-changers',
    [deployment('cluster-autoscaler', 'registry.k8s.io/autoscaling/cluster-autoscaler:v1.34.0', 0)],
    'pass',
    /^paused: cluster autoscaler/,
  ],
  [
    'a kured that somebody says is paused',
    'node-changers',
    [
      daemonSet('kured', 'ghcr.io/kubereboot/kured:1.16.0', 'kube-system', {
        annotations: { 'cutover.dev/reconciler-paused': 'true' },
      }),
    ],
    'pass',
    /^paused: kured/,
  ],
  [
    'definitions of a network that is gone',
    'other-networks',
    [object('x', 'CustomResourceDefinition', 'ciliumnodes.cilium.io')],
    'warn',
    /cilium\.io \(1\)/,
  ],
  [
    'MetalLB without Services of its kind',
    'load-balancers',
    [daemonSet('speaker', 'quay.io/metallb/speaker:v0.15.2', 'metallb-system')],
    'pass',
    /^0 Services of type LoadBalancer/,
  ],
  [
    'MetalLB with one',
    'load-balancers',
    [
      daemonSet('speaker', 'quay.io/metallb/speaker:v0.15.2', 'metallb-system'),
      object('v1', 'Service', 'web', 'shop', { spec: { type: 'LoadBalancer' } }),
    ],
    'warn',
    /^MetalLB \(metallb-system\/speaker\) brings traffic for 1 Service .*: shop\/web$/,
  ],
];

const proxyConfig = (text: string) => [
  object('v1', 'ConfigMap', 'kube-proxy', 'kube-system', {
    data: { 'config.conf': `kind: KubeProxyConfiguration\n${text}` },
  }),
];
const newPoolStage = (cidr: string) => ({ waves: [], bgp: { newPool: { cidr } } }) as unknown as CompiledStage;
const felix = (spec: object) => [
  object('crd.projectcalico.org/v1', 'FelixConfiguration', 'default', undefined, { spec }),
];
const dns = (...nodes: string[]) =>
  nodes.map((node, index) =>
    pod(`coredns-${index}`, {}, { namespace: 'kube-system', node, app: 'coredns', labels: { 'k8s-app': 'kube-dns' } }),
  );
const hook = (pods: KubernetesObject[], rest: object = {}) => [
  object('admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration', 'inject', undefined, {
    webhooks: [
      {
        name: 'a.b.c',
        rules: [{ resources: ['pods'] }],
        clientConfig: { service: { namespace: 'shop', name: 'hook' } },
        ...rest,
      },
    ],
  }),
  object('v1', 'Service', 'hook', 'shop', { spec: { selector: { app: 'hook' } } }),
  ...pods,
];
const hookPod = (name: string, node: string) => pod(name, {}, { app: 'hook', node });

const system: Row[] = [
  [
    'iptables',
    'kube-proxy',
    proxyConfig('mode: ""\nclusterCIDR: 10.244.0.0/16\n'),
    'pass',
    /in the mode iptables and takes 10\.244\.0\.0\/16/,
  ],
  [
    'ipvs',
    'kube-proxy',
    proxyConfig('mode: "ipvs"\nclusterCIDR: 10.244.0.0/16 # pods\n'),
    'warn',
    /runs in the mode ipvs/,
  ],
  [
    'another range',
    'kube-proxy',
    proxyConfig('clusterCIDR: 10.0.0.0/24\n'),
    'block',
    /3 nodes of 3 lie outside of it: worker-1 10\.244\.1\.0\/24/,
  ],
  [
    'a new pool that it does not know',
    'kube-proxy',
    proxyConfig('clusterCIDR: 10.244.0.0/16\n'),
    'warn',
    /^kube-proxy takes 10\.244\.0\.0\/16 for the pods, and the new pool 10\.245\.0\.0\/16 lies outside/,
    { options: { stage: newPoolStage('10.245.0.0/16') } },
  ],
  [
    'a new pool that it knows',
    'kube-proxy',
    proxyConfig('clusterCIDR: 10.240.0.0/12\n'),
    'pass',
    /takes 10\.240\.0\.0\/12/,
    { options: { stage: newPoolStage('10.245.0.0/16') } },
  ],
  ['no kube-proxy', 'kube-proxy', [], 'warn', /^there is no configuration of kube-proxy/],
  ['no FelixConfiguration', 'calico-dataplane', [], 'pass', /neither BPF/],
  ['BPF', 'calico-dataplane', felix({ bpfEnabled: true }), 'block', /data path is BPF/],
  [
    'VPP, by the operator',
    'calico-dataplane',
    [
      object('operator.tigera.io/v1', 'Installation', 'default', undefined, {
        spec: { calicoNetwork: { linuxDataplane: 'VPP' } },
      }),
    ],
    'block',
    /data path is VPP/,
  ],
  ['WireGuard', 'calico-dataplane', felix({ wireguardEnabled: true }), 'warn', /WireGuard/],
  ['DNS on two nodes', 'coredns', dns('worker-1', 'worker-2'), 'pass', /^2 pods of cluster DNS on 2 nodes/],
  [
    'DNS on one node',
    'coredns',
    dns('worker-1', 'worker-1'),
    'warn',
    /^2 pods of cluster DNS run on one node, worker-1/,
  ],
  [
    'DNS on nodes that go together',
    'coredns',
    dns('worker-1', 'worker-2'),
    'warn',
    /all 2 nodes with cluster DNS are in the wave all/,
    { fake: { plan: { strategy: { maxUnavailable: 2 } as never } } },
  ],
  ['no DNS', 'coredns', [], 'block', /^no pod of cluster DNS is Ready/],
  [
    'a webhook on two nodes',
    'webhooks',
    hook([hookPod('a', 'worker-1'), hookPod('b', 'worker-2')]),
    'pass',
    /2 Ready pods on 2 nodes/,
  ],
  [
    'a webhook with one replica',
    'webhooks',
    hook([hookPod('a', 'worker-1')]),
    'warn',
    /depends on one node: inject \/ a\.b\.c by shop\/hook/,
  ],
  [
    'a webhook that may fail',
    'webhooks',
    hook([], { failurePolicy: 'Ignore' }),
    'pass',
    /^none of 1 webhook configuration/,
  ],
  ['a webhook of something else', 'webhooks', hook([], { rules: [{ resources: ['ingresses'] }] }), 'pass', /none of 1/],
  [
    'a webhook outside of the cluster',
    'webhooks',
    hook([], { clientConfig: { url: 'https://hooks.example' } }),
    'pass',
    /none of 1/,
  ],
];

describe('versions', () => judges(versions));
describe('owners', () => judges(owners));
describe('the system', () => judges(system));

describe('known versions', () => {
  it('have a source each, and a bound that can be read', () => {
    for (const { source, below, from } of knownVersions) {
      expect(source).not.toBe('');
      expect(below).toMatch(/^\d+\.\d+\.\d+$/);
      if (from !== undefined) expect(compareVersions(from, below)).toBeLessThan(0);
    }
  });

  it.each([
    ['v3.28.5', '3.29.0', -1],
    ['1.34.10', 'v1.34.9', 1],
    ['v1.33.4+k3s1', '1.33.4', 0],
    ['master', '1.0.0', 0],
  ])('%s against %s', (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
  });

  it('say the worst first', () => {
    expect(troubleWith('flannel', 'v0.8.0').map(({ verdict }) => verdict)).toEqual(['block']);
    expect(troubleWith('flannel', 'v0.28.9')).toEqual([]);
  });
});
