import type { ClusterFacts, NodeFacts } from '../../src/plan/facts.ts';
import { bundleDigest } from '../../src/plan/bundle.ts';

export const manifests = [{ name: 'a.yaml', content: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n' }];
export const digest = bundleDigest(manifests);

export function nodeFacts(name: string, rest: Partial<NodeFacts> = {}): NodeFacts {
  const number = Number(/\d+$/.exec(name)?.[0] ?? 0);
  return {
    name,
    zone: '',
    controlPlane: false,
    ready: true,
    unschedulable: false,
    labels: { 'kubernetes.io/hostname': name },
    annotations: {},
    unreachable: '',
    adopted: false,
    halfWay: '',
    fingerprint: {
      kubelet: 'v1.34.10',
      containerRuntime: 'containerd://2.1.9',
      kernel: '6.1.0-18-amd64',
      podCIDR: `10.244.${number}.0/24`,
      internalIP: `192.0.2.${number}`,
      hostKey: `SHA256:${name}`,
      cniConfs: { '10-flannel.conflist': 'ab'.repeat(32) },
      overlayMtu: 1450,
    },
    ...rest,
  };
}

/** `zones` says how many workers each zone has; they are called worker-1, worker-2, … in turn through the zones. */
export function clusterFacts(
  shape: { zones?: { [zone: string]: number }; controlPlanes?: number; pods?: { [node: string]: number } } = {},
): ClusterFacts {
  const { zones = { a: 2, b: 2, c: 2 }, controlPlanes = 1, pods = {} } = shape;
  const nodes: NodeFacts[] = Array.from({ length: controlPlanes }, (_, index) =>
    nodeFacts(`control-${index + 1}`, {
      controlPlane: true,
      zone: Object.keys(zones)[index % Object.keys(zones).length] ?? '',
    }),
  );
  let number = 0;
  for (let round = 0; round < Math.max(0, ...Object.values(zones)); round++)
    for (const [zone, size] of Object.entries(zones))
      if (round < size) nodes.push(nodeFacts(`worker-${++number}`, { zone }));
  return {
    uid: '5f2c1d3e-0000-4000-8000-000000000001',
    server: 'https://127.0.0.1:6443',
    kubernetesVersion: 'v1.34.10',
    observedAt: '2026-01-01T00:00:00.000Z',
    nodes,
    flannel: {
      daemonSet: 'kube-flannel/kube-flannel-ds',
      network: '10.244.0.0/16',
      backend: 'vxlan',
      mtu: 1450,
      directRouting: false,
      addonManaged: false,
    },
    calico: null,
    workloads: { pods: 0, podsByNode: pods },
    aborted: [],
    budgets: [],
    networkPolicies: [],
    bundles: { manifests: { path: '/plans/manifests/calico', sha256: digest, files: 1 } },
  };
}

/** The smallest plan, with `spec` put over it. */
export const planOf = (spec: object = {}): object => ({
  apiVersion: 'cutover.dev/v1alpha1',
  kind: 'MigrationPlan',
  metadata: { name: 'flannel-to-calico' },
  spec: {
    stages: [{ route: 'flannel-to-calico', with: { manifests: { path: './manifests/calico', sha256: digest } } }],
    ...spec,
  },
});
