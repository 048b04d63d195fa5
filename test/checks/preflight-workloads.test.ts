import { describe, expect, it } from 'vitest';
import { quantity } from '../../src/checks/cluster/spare-capacity.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { object } from './doubles.ts';
import { container, judges, pod, workers, type Row } from './preflight-rows.ts';

const requests = (cpu: string, memory: string) => container({ resources: { requests: { cpu, memory } } });
const hostPort = (port: number) => container({ ports: [{ containerPort: 80, hostPort: port }] });
const confMap = (plugins: string) => ({
  manifests: async () => [
    object('v1', 'ConfigMap', 'calico-config', 'kube-system', { data: { cni_network_config: plugins } }),
  ],
});
const apart = {
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'web' } } },
      ],
    },
  },
};
const claim = (name: string, accessMode: string, volumeName = '') =>
  object('v1', 'PersistentVolumeClaim', name, 'shop', { spec: { accessModes: [accessMode], volumeName } });
const localVolume = object('v1', 'PersistentVolume', 'disk', undefined, {
  spec: {
    nodeAffinity: {
      required: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['worker-1'] }] },
        ],
      },
    },
  },
});
const requires = (expression: object) => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [expression] }] },
    },
  },
});
const labelled =
  (key: string, value: string, ...names: string[]) =>
  (node: KubernetesObject): void => {
    if (names.includes(node.metadata.name)) node.metadata.labels = { ...node.metadata.labels, [key]: value };
  };
const withClaim = { volumes: [{ persistentVolumeClaim: { claimName: 'data' } }] };

const workloads: Row[] = [
  [
    'room for all',
    'spare-capacity',
    [pod('a', requests('1', '1Gi'))],
    'pass',
    /^without the largest of 3 nodes pods request 13 % of the CPU that is left \(1 of 8 cores\)/,
  ],
  [
    'little room',
    'spare-capacity',
    [pod('a', requests('500m', '15Gi'))],
    'warn',
    /94 % of the memory that is left \(15 of 16 GiB\)/,
  ],
  ['no room', 'spare-capacity', [pod('a', requests('9', '1Gi'))], 'block', /113 % of the CPU.*some would stay Pending/],
  [
    'a pod that binds the port of the probes',
    'host-ports',
    [pod('edge-1', hostPort(18080))],
    'block',
    /^port 18080 of nodes.* bound by shop\/edge-1 on worker-1$/,
  ],
  [
    'hostPorts that the new conf does not know',
    'host-ports',
    [pod('edge-1', hostPort(8443))],
    'block',
    /^1 workload with hostPorts would lose them/,
    { options: confMap('{ "type": "calico" }') },
  ],
  [
    'hostPorts that it knows',
    'host-ports',
    [pod('edge-1', hostPort(8443))],
    'pass',
    /dark only while their node migrates: shop\/web$/,
    { options: confMap('{ "type": "calico" }, { "type": "portmap" }') },
  ],
  [
    'one port of a node for two pods',
    'host-ports',
    [pod('a', hostPort(8443)), pod('b', hostPort(8443), { app: 'other' })],
    'warn',
    /worker-1: TCP 8443 by shop\/a and shop\/b$/,
  ],
  ['a hostPort among the NodePorts', 'host-ports', [pod('a', hostPort(30123))], 'warn', /shop\/a: 30123$/],
  [
    'a DaemonSet in the network of its nodes',
    'host-network-pods',
    [
      pod('a', { hostNetwork: true }, { owner: 'DaemonSet', app: 'logs' }),
      pod('b', { hostNetwork: true }, { owner: 'DaemonSet', app: 'logs' }),
    ],
    'warn',
    /stays while a node has no pod network: shop\/logs \(2 pods\)$/,
  ],
  [
    'a Deployment there, which moves',
    'host-network-pods',
    [pod('a', { hostNetwork: true })],
    'pass',
    /moves away with the others: shop\/web$/,
  ],
  [
    'agents of the system there',
    'host-network-pods',
    [pod('a', { hostNetwork: true }, { owner: 'DaemonSet', namespace: 'kube-system' })],
    'pass',
    /^no pod of a workload/,
  ],
  [
    'a router',
    'spoofing-pods',
    [pod('a', container({ securityContext: { capabilities: { add: ['NET_ADMIN'] } } }), { app: 'vpn' })],
    'warn',
    /^1 workload may send from addresses .*: shop\/vpn$/,
  ],
  [
    'a pod that asks Calico for it',
    'spoofing-pods',
    [pod('a', {}, { annotations: { 'cni.projectcalico.org/allowedSourcePrefixes': '["10.9.0.0/16"]' } })],
    'warn',
    /shop\/web$/,
  ],
  [
    'a mesh that only sets itself up so',
    'spoofing-pods',
    [pod('a', { initContainers: [{ name: 'istio-init', securityContext: { capabilities: { add: ['NET_ADMIN'] } } }] })],
    'pass',
    /^none of 1 pod/,
  ],
  [
    'a mesh',
    'meshes',
    [pod('a', { containers: [{ name: 'main' }, { name: 'linkerd-proxy' }] })],
    'warn',
    /Linkerd \(1 workload: shop\/web\)/,
  ],
  ['no mesh', 'meshes', [pod('a')], 'pass', /no pod has the proxy/],
  ['pods that may go anywhere', 'pinned-pods', [pod('a'), pod('b')], 'pass', /^each of 2 pods that move/],
  [
    'a pod of one node',
    'pinned-pods',
    [pod('a', { nodeSelector: { 'kubernetes.io/hostname': 'worker-1' } })],
    'warn',
    /^1 workload can run on one node only: shop\/web$/,
  ],
  [
    'a pod with a disk of one node',
    'pinned-pods',
    [pod('a', withClaim), claim('data', 'ReadWriteOnce', 'disk'), localVolume],
    'warn',
    /one node only: shop\/web$/,
  ],
  [
    'a pod that wants a label which one node has',
    'pinned-pods',
    [pod('a', { nodeSelector: { pool: 'gpu' } })],
    'warn',
    /^1 workload can run on one node only: shop\/web$/,
    { nodes: labelled('pool', 'gpu', 'worker-1') },
  ],
  [
    'a pod that wants a label which two nodes have',
    'pinned-pods',
    [pod('a', { nodeSelector: { pool: 'gpu' } })],
    'pass',
    /^each of 1 pod/,
    { nodes: labelled('pool', 'gpu', 'worker-1', 'worker-2') },
  ],
  [
    'a pod whose affinity leaves one node',
    'pinned-pods',
    [pod('a', requires({ key: 'pool', operator: 'NotIn', values: ['small'] }))],
    'warn',
    /one node only: shop\/web$/,
    { nodes: labelled('pool', 'small', 'worker-2', 'worker-3') },
  ],
  [
    'a pod that all other nodes repel',
    'pinned-pods',
    [pod('a')],
    'warn',
    /one node only: shop\/web$/,
    {
      nodes: (node) => {
        if (node.metadata.name !== 'worker-1')
          node['spec'] = { ...node['spec'], taints: [{ key: 'dedicated', effect: 'NoSchedule' }] };
      },
    },
  ],
  [
    'pods that must lie apart, one on each node',
    'pinned-pods',
    workers.map((node, index) => pod(`a${index}`, apart, { node })),
    'warn',
    /no node to spare: shop\/web wants 3 of 3 nodes$/,
  ],
  [
    'pods that must lie apart, with a node to spare',
    'pinned-pods',
    workers.slice(1).map((node, index) => pod(`a${index}`, apart, { node })),
    'pass',
    /each of 2 pods/,
  ],
  [
    'a volume of one node at a time',
    'single-attach-volumes',
    [pod('a', withClaim), claim('data', 'ReadWriteOnce')],
    'warn',
    /will wait for its volume: shop\/web$/,
  ],
  [
    'a volume that many attach',
    'single-attach-volumes',
    [pod('a', withClaim), claim('data', 'ReadWriteMany')],
    'pass',
    /no pod that moves waits/,
  ],
  [
    'a Service that is served by nodes with pods',
    'local-traffic',
    [
      object('v1', 'Service', 'in', 'shop', { spec: { externalTrafficPolicy: 'Local', selector: { app: 'web' } } }),
      pod('a'),
    ],
    'warn',
    /externalTrafficPolicy Local: shop\/in \(1 pod on 1 node\)$/,
  ],
  [
    'Services without sessions',
    'session-affinity',
    [object('v1', 'Service', 'in', 'shop', { spec: { sessionAffinity: 'None' } })],
    'pass',
    /none of/,
  ],
];

describe('workloads', () => judges(workloads));

it.each([
  ['100m', 0.1],
  ['2', 2],
  ['50Mi', 50 * 2 ** 20],
  ['1e3', 1000],
  ['1G', 1e9],
  [undefined, 0],
  ['many', 0],
])('the quantity %s is %d', (written, number) => {
  expect(quantity(written)).toBeCloseTo(number);
});
