import { describe, expect, it } from 'vitest';
import { budgets } from '../../src/checks/cluster/budgets.ts';
import { normalImage } from '../../src/checks/node/images-present.ts';
import { runChecks } from '../../src/checks/run.ts';
import type { CheckContext } from '../../src/checks/types.ts';
import { CutoverError } from '../../src/errors.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { contextFor, nodeState, object } from './doubles.ts';
import type { FakeCluster } from './doubles.ts';

const flannelConf = (conf: object) =>
  object('v1', 'ConfigMap', 'kube-flannel-cfg', 'kube-flannel', { data: { 'net-conf.json': JSON.stringify(conf) } });
const flannelDaemonSet = (metadata: object = {}) =>
  object('apps/v1', 'DaemonSet', 'kube-flannel-ds', 'kube-flannel', { metadata });
const healthy: FakeCluster = {
  nodes: [{ name: 'worker-1' }, { name: 'worker-2' }, { name: 'worker-3' }],
  objects: {
    DaemonSet: [flannelDaemonSet()],
    ConfigMap: [flannelConf({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } })],
  },
};

const check = async (
  id: string,
  cluster: FakeCluster = healthy,
  change: (node: KubernetesObject) => void = () => {},
  options: Partial<CheckContext> = {},
) => {
  const { context } = contextFor(cluster, options);
  for (const node of await context.kubernetes.list({ apiVersion: 'v1', kind: 'Node' })) change(node);
  const [result] = await runChecks([id], context);
  return result!;
};
const objects = (more: { [kind: string]: KubernetesObject[] }): FakeCluster => ({
  ...healthy,
  objects: { ...healthy.objects, ...more },
});
const only = (name: string, change: (node: KubernetesObject) => void) => (node: KubernetesObject) => {
  if (node.metadata.name === name) change(node);
};

const preflight = [
  'nodes-ready',
  'enough-nodes',
  'flannel-vxlan',
  'flannel-owner',
  'pod-cidrs',
  'single-stack',
  'budgets',
  'pods-without-owner',
  'calico-leftovers',
  'node-access',
  'node-tools',
  'cni-conf',
  'policy-hazards',
];

describe('on a healthy Flannel cluster', () => {
  it.each(preflight)('%s passes', async (id) => {
    const { verdict, message } = await check(id);

    expect({ verdict, message }).toEqual({ verdict: 'pass', message: expect.any(String) });
  });

  it('inspects each node once for all node checks', async () => {
    const double = contextFor(healthy);

    await runChecks(['node-access', 'node-tools', 'cni-conf'], double.context);

    expect(double.inspected).toEqual(['worker-1', 'worker-2', 'worker-3']);
  });
});

describe('nodes', () => {
  it('nodes-ready names who is not Ready, under pressure, cordoned, or gone', async () => {
    const notReady = await check(
      'nodes-ready',
      healthy,
      only('worker-2', (node) => (node['status'].conditions[0].status = 'False')),
    );
    const pressed = await check(
      'nodes-ready',
      healthy,
      only('worker-2', (node) => node['status'].conditions.push({ type: 'DiskPressure', status: 'True' })),
    );
    const tainted = await check(
      'nodes-ready',
      healthy,
      only('worker-2', (node) => (node['spec'].taints = [{ key: 'node.kubernetes.io/network-unavailable' }])),
    );
    const cordoned = await check('nodes-ready', {
      ...healthy,
      nodes: [...healthy.nodes, { name: 'worker-4', cordoned: true }],
    });
    const gone = await check(
      'nodes-ready',
      healthy,
      only('worker-2', (node) => (node.metadata.name = 'new-name')),
    );

    expect(notReady).toMatchObject({ verdict: 'block', message: '1 of 3 nodes is not Ready: worker-2' });
    expect(pressed).toMatchObject({ verdict: 'block', message: expect.stringContaining('worker-2: DiskPressure') });
    expect(tainted).toMatchObject({ verdict: 'block', message: expect.stringContaining('network-unavailable') });
    expect(cordoned).toMatchObject({ verdict: 'warn', message: expect.stringContaining('worker-4 is cordoned') });
    expect(gone).toMatchObject({ verdict: 'block', message: '1 node of the plan is not in the cluster: worker-2' });
  });

  it.each([
    [1, 'block'],
    [2, 'warn'],
    [3, 'pass'],
  ])('enough-nodes with %i that take pods: %s', async (number, verdict) => {
    expect(await check('enough-nodes', { nodes: healthy.nodes.slice(0, number) })).toMatchObject({ verdict });
  });

  it.each([
    ['unset', '', 'have no spec.podCIDR: worker-2'],
    ['of another size', '10.244.2.0/25', 'worker-2 10.244.2.0/25'],
    ['IPv6', 'fd00:1::/64', 'not IPv4 /24'],
    ['that of another node', '10.244.1.0/24', 'worker-1 and worker-2 overlap'],
    ['not that of the plan', '10.244.9.0/24', 'worker-2 10.244.2.0/24 -> 10.244.9.0/24'],
  ])('pod-cidrs blocks on a range that is %s', async (_, podCIDR, text) => {
    const result = await check(
      'pod-cidrs',
      healthy,
      only('worker-2', (node) => (node['spec'].podCIDR = podCIDR)),
    );

    expect(result).toMatchObject({ verdict: 'block', message: expect.stringContaining(text) });
  });

  it('single-stack blocks on a second family', async () => {
    const result = await check(
      'single-stack',
      healthy,
      only('worker-2', (node) => node['spec'].podCIDRs.push('fd00:1::/64')),
    );

    expect(result).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('1 of 3 nodes have IPv6 pod ranges (worker-2)'),
    });
  });
});

describe('flannel', () => {
  it.each<[string, object, string]>([
    ['host-gw', { Backend: { Type: 'host-gw' } }, 'backend is host-gw'],
    ['another VNI', { Backend: { Type: 'vxlan', VNI: 4096 } }, 'VNI 4096'],
    ['another port', { Backend: { Type: 'vxlan', Port: 4789 } }, 'port 4789'],
    ['direct routing', { Backend: { Type: 'vxlan', DirectRouting: true } }, 'DirectRouting'],
  ])('flannel-vxlan blocks on %s', async (_, conf, text) => {
    expect(await check('flannel-vxlan', objects({ ConfigMap: [flannelConf(conf)] }))).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining(text),
    });
  });

  it('flannel-vxlan blocks on a node that says otherwise, and where there is no Flannel', async () => {
    const other = await check(
      'flannel-vxlan',
      healthy,
      only('worker-3', (node) => (node.metadata.annotations = { 'flannel.alpha.coreos.com/backend-type': 'udp' })),
    );
    const none = await check('flannel-vxlan', objects({ DaemonSet: [] }));

    expect(other).toMatchObject({ verdict: 'block', message: expect.stringContaining('worker-3: udp') });
    expect(none).toMatchObject({
      verdict: 'block',
      message: 'there is no DaemonSet kube-flannel-ds in the namespace kube-flannel',
    });
  });

  it.each<[string, object, string, string]>([
    [
      'the addon manager',
      { labels: { 'addonmanager.kubernetes.io/mode': 'Reconcile' } },
      'block',
      'addon manager owns',
    ],
    ['Argo CD', { annotations: { 'argocd.argoproj.io/tracking-id': 'x' } }, 'block', 'argocd.argoproj.io/tracking-id'],
    ['Flux', { labels: { 'kustomize.toolkit.fluxcd.io/name': 'x' } }, 'block', 'reconciled from elsewhere'],
    [
      'Flux, paused',
      {
        labels: { 'kustomize.toolkit.fluxcd.io/name': 'x' },
        annotations: { 'kustomize.toolkit.fluxcd.io/reconcile': 'disabled' },
      },
      'pass',
      'marked as paused',
    ],
    [
      'Argo CD, said to be paused',
      { annotations: { 'argocd.argoproj.io/tracking-id': 'x', 'cutover.dev/reconciler-paused': 'true' } },
      'pass',
      'marked as paused',
    ],
    ['Helm', { annotations: { 'meta.helm.sh/release-name': 'flannel' } }, 'warn', 'Helm release flannel'],
  ])('flannel-owner, %s', async (_, metadata, verdict, text) => {
    expect(await check('flannel-owner', objects({ DaemonSet: [flannelDaemonSet(metadata)] }))).toMatchObject({
      verdict,
      message: expect.stringContaining(text),
    });
  });
});

describe('budgets', () => {
  const budget = { name: 'shop/cart', allowed: 0, healthy: 3, desired: 2, expected: 3, pods: 3, disrupted: [] };

  it.each([
    ['it lets one go', { allowed: 1 }, 'pass', '1 budget'],
    ['it wants as many as there are', { desired: 3 }, 'block', 'shop/cart wants 3 of 3 pods healthy'],
    ['a pod is ill at the moment', { healthy: 2 }, 'warn', 'has 2 of 3 pods healthy and wants 2'],
    ['a dead client holds it', { disrupted: ['cart-1'] }, 'warn', 'shop/cart (cart-1)'],
    ['it has no pod on these nodes', { desired: 3, pods: 0 }, 'pass', '1 budget'],
  ])('%s', (_, change, verdict, text) => {
    expect(budgets.judge({ budgets: [{ ...budget, ...change }] })).toMatchObject({
      verdict,
      message: expect.stringContaining(text),
    });
  });

  it('count the pods that the selector selects, in their namespace and on the nodes of the plan', async () => {
    const pod = (name: string, namespace: string, app: string, nodeName: string) =>
      object('v1', 'Pod', name, namespace, { metadata: { labels: { app } }, spec: { nodeName } });
    const result = await check(
      'budgets',
      objects({
        PodDisruptionBudget: [
          object('policy/v1', 'PodDisruptionBudget', 'cart', 'shop', {
            spec: { selector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['cart'] }] } },
            status: { disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2, expectedPods: 2 },
          }),
        ],
        Pod: [
          pod('a', 'shop', 'cart', 'worker-1'),
          pod('b', 'shop', 'other', 'worker-1'),
          pod('c', 'else', 'cart', 'worker-1'),
          pod('d', 'shop', 'cart', 'unplanned'),
        ],
      }),
    );

    expect(result).toMatchObject({ verdict: 'block', evidence: { budgets: [{ name: 'shop/cart', pods: 1 }] } });
  });
});

describe('workloads', () => {
  const pod = (name: string, rest: { [key: string]: unknown } = {}) =>
    object('v1', 'Pod', name, 'shop', { spec: { nodeName: 'worker-1' }, ...rest });
  const owned = (kind: string) => ({
    ownerReferences: [{ apiVersion: 'apps/v1', kind, name: 'x', uid: '1', controller: true }],
  });
  const emptyDir = { nodeName: 'worker-1', volumes: [{ name: 'scratch', emptyDir: {} }] };
  const drain = (force: boolean, deleteEmptyDirData: boolean) => ({
    ...contextFor(healthy).context.plan,
    drain: { timeoutSeconds: 1, retrySeconds: 1, force, deleteEmptyDirData },
  });

  it.each<[string, KubernetesObject, boolean, boolean, string, string]>([
    ['a bare pod', pod('bare'), false, false, 'block', 'shop/bare'],
    ['a bare pod that may go', pod('bare'), true, false, 'warn', 'shop/bare'],
    ['emptyDir data', pod('web', { metadata: owned('ReplicaSet'), spec: emptyDir }), false, false, 'block', 'shop/web'],
    [
      'emptyDir data that may go',
      pod('web', { metadata: owned('ReplicaSet'), spec: emptyDir }),
      false,
      true,
      'warn',
      'shop/web',
    ],
    [
      'a pod of a DaemonSet, which stays',
      pod('agent', { metadata: owned('DaemonSet'), spec: emptyDir }),
      false,
      false,
      'pass',
      '',
    ],
    [
      'a static pod',
      pod('etcd', { metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } } }),
      false,
      false,
      'pass',
      '',
    ],
    ['a pod that has ended', pod('job', { status: { phase: 'Succeeded' } }), false, false, 'pass', ''],
  ])('pods-without-owner, %s', async (_, found, force, data, verdict, text) => {
    const result = await check('pods-without-owner', objects({ Pod: [found] }), undefined, {
      plan: drain(force, data),
    });

    expect(result).toMatchObject({ verdict, message: expect.stringContaining(text) });
  });

  it.each<[string, { [kind: string]: KubernetesObject[] }, string, string]>([
    [
      'an agent',
      { DaemonSet: [object('apps/v1', 'DaemonSet', 'calico-node', 'calico-system')] },
      'block',
      'calico-system/calico-node',
    ],
    [
      'definitions',
      {
        CustomResourceDefinition: [
          object('x', 'CustomResourceDefinition', 'felixconfigurations.crd.projectcalico.org'),
        ],
      },
      'warn',
      '1 resource definitions',
    ],
    [
      'a pool',
      {
        CustomResourceDefinition: [object('x', 'CustomResourceDefinition', 'ippools.crd.projectcalico.org')],
        IPPool: [object('crd.projectcalico.org/v1', 'IPPool', 'old', undefined, { spec: { cidr: '192.168.0.0/16' } })],
      },
      'block',
      'old 192.168.0.0/16',
    ],
  ])('calico-leftovers, %s', async (_, found, verdict, text) => {
    expect(await check('calico-leftovers', objects(found))).toMatchObject({
      verdict,
      message: expect.stringContaining(text),
    });
  });
});

describe('over SSH', () => {
  it('node-access names the node that cannot be inspected, with the reason', async () => {
    const nodes = {
      ...contextFor(healthy).context.nodes,
      run: async (name: string) => {
        if (name === 'worker-2') throw new CutoverError('NodeUnreachable', 'connect ECONNREFUSED');
        return nodeState();
      },
    } as unknown as CheckContext['nodes'];

    expect(await check('node-access', healthy, undefined, { nodes })).toMatchObject({
      verdict: 'block',
      message: '1 of 3 nodes cannot be inspected: worker-2: connect ECONNREFUSED',
    });
  });

  it('node-access names both keys of a node that shows another', async () => {
    const nodes = {
      ...contextFor(healthy).context.nodes,
      hostKey: async (name: string) => (name === 'worker-2' ? 'SHA256:other' : 'SHA256:key'),
    } as unknown as CheckContext['nodes'];

    expect(await check('node-access', healthy, undefined, { nodes })).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('worker-2: planned SHA256:key, shows SHA256:other'),
    });
  });

  const one = (state: object): FakeCluster => ({
    ...healthy,
    nodes: [{ name: 'worker-1' }, { name: 'worker-2', state }, { name: 'worker-3' }],
  });
  const conf = (name: string, network: string) => ({ name, sha256: 'aa', network, firstPlugin: 'x' });
  it.each<[string, object, string, string]>([
    [
      'cni-conf',
      { confs: [conf('05-cilium.conflist', 'cilium'), conf('10-flannel.conflist', 'cbr0')] },
      'block',
      'worker-2: 05-cilium.conflist',
    ],
    ['cni-conf', { confs: [] }, 'block', 'worker-2: no conf'],
    ['cni-conf', { loadedNetworks: ['cilium'] }, 'block', 'has not loaded cbr0: worker-2: cilium'],
    [
      'cni-conf',
      { confs: [conf('10-flannel.conflist', 'cbr0'), conf('87-podman.conflist', 'podman')] },
      'warn',
      '87-podman.conflist',
    ],
    ['node-tools', { missingTools: ['crictl'] }, 'block', 'worker-2: crictl'],
    ['node-tools', { missingTools: ['conntrack'] }, 'warn', 'worker-2: conntrack'],
    ['node-tools', { kubeletActive: false }, 'block', 'worker-2'],
  ])('%s with %j', async (id, state, verdict, text) => {
    expect(await check(id, one(state))).toMatchObject({ verdict, message: expect.stringContaining(text) });
  });
});

describe('images-present', () => {
  const image = 'docker.io/calico/node:v3.28.5';
  const withImages =
    (names: string[], number = 10) =>
    (node: KubernetesObject) =>
      (node['status'].images = [
        { names },
        ...Array.from({ length: number }, (_, index) => ({ names: [`x/y:${index}`] })),
      ]);
  const images = async () => ['calico/node:v3.28.5'];

  it.each([
    ['there', withImages([image]), 'pass', 'have the 1 images'],
    ['missing', withImages(['docker.io/calico/node:v3.0.0']), 'block', `worker-1: ${image}`],
    ['not in a list that is full', withImages([], 49), 'warn', 'do not say whether'],
    ['not in a list that is empty', () => {}, 'warn', 'do not say whether'],
  ])('%s', async (_, change, verdict, text) => {
    expect(await check('images-present', healthy, change, { images })).toMatchObject({
      verdict,
      message: expect.stringContaining(text),
    });
  });

  it.each([
    ['has it', [image], 'pass', 'have the 1 images'],
    ['has it not', ['docker.io/calico/node:v3.0.0'], 'block', `worker-1: ${image}`],
  ])('asks the runtime of a node whose list is full, and it %s', async (_, names, verdict, text) => {
    const nodes = healthy.nodes.map((node) => ({ ...node, survey: { ...node.survey, images: names } }));
    expect(await check('images-present', { ...healthy, nodes }, withImages([], 49), { images })).toMatchObject({
      verdict,
      message: expect.stringContaining(text),
    });
  });

  it('warns when nobody knows what the bundle brings', async () => {
    expect(await check('images-present')).toMatchObject({ verdict: 'warn' });
  });

  it.each([
    ['busybox', 'docker.io/library/busybox:latest'],
    ['calico/node:v3', 'docker.io/calico/node:v3'],
    ['localhost:5000/node', 'localhost:5000/node:latest'],
    ['quay.io/calico/node:v3@sha256:ab', 'quay.io/calico/node@sha256:ab'],
  ])('writes %s as %s', (name, normal) => {
    expect(normalImage(name)).toBe(normal);
  });
});

describe('the end', () => {
  const calicoState = {
    confs: [{ name: '10-calico.conflist', sha256: 'aa', network: 'k8s-pod-network', firstPlugin: 'calico' }],
    loadedNetworks: ['k8s-pod-network'],
    flannelBinary: false,
  };
  const agents = ['worker-1', 'worker-2', 'worker-3'].map((nodeName) =>
    object('v1', 'Pod', `calico-node-${nodeName}`, 'kube-system', {
      metadata: { labels: { 'k8s-app': 'calico-node' } },
      spec: { nodeName },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    }),
  );
  const done: FakeCluster = {
    nodes: healthy.nodes.map(({ name }) => ({ name, migrated: true, state: calicoState })),
    objects: { Pod: agents },
  };
  const bare = (node: KubernetesObject) => (node.metadata.annotations = {});

  it('all-nodes-calico passes, and names the node that is not', async () => {
    const notMigrated = { ...done, nodes: [...done.nodes.slice(0, 2), { name: 'worker-3', state: calicoState }] };
    const notLoaded = {
      ...done,
      nodes: [...done.nodes.slice(0, 2), { name: 'worker-3', migrated: true, state: { loadedNetworks: ['cbr0'] } }],
    };

    expect(await check('all-nodes-calico', done)).toMatchObject({ verdict: 'pass' });
    expect(await check('all-nodes-calico', notMigrated)).toMatchObject({
      verdict: 'block',
      message: '1 of 3 nodes are not on Calico: worker-3',
    });
    expect(await check('all-nodes-calico', { ...done, objects: { Pod: agents.slice(1) } })).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('no Ready calico-node pod: worker-1'),
    });
    expect(await check('all-nodes-calico', notLoaded)).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('worker-3: cbr0'),
    });
  });

  it('all-nodes-clean passes, and names what is left and where', async () => {
    const binary = { ...done, nodes: [{ name: 'worker-1', state: { ...calicoState, flannelBinary: true } }] };

    expect(await check('all-nodes-clean', done, bare)).toMatchObject({ verdict: 'pass' });
    expect(await check('all-nodes-clean', done)).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('annotations on 3 nodes'),
    });
    expect(await check('all-nodes-clean', binary, bare)).toMatchObject({
      verdict: 'block',
      message: expect.stringContaining('worker-1: the CNI plugin flannel'),
    });
    expect(
      await check('all-nodes-clean', { ...done, objects: { DaemonSet: [flannelDaemonSet()] } }, bare),
    ).toMatchObject({ verdict: 'block', message: expect.stringContaining('kube-flannel-ds') });
  });
});
