import { describe, expect, it } from 'vitest';
import { runChecks } from '../../src/checks/run.ts';
import type { CheckContext } from '../../src/checks/types.ts';
import { createdBy, foundState } from '../../src/kubernetes/marks.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { contextFor, object, type FakeCluster, type FakeNode } from './doubles.ts';

const check = async (id: string, cluster: FakeCluster, options: Partial<CheckContext> = {}) => {
  const [result] = await runChecks([id], contextFor(cluster, options).context);
  return result!;
};

const onCalico = {
  confs: [
    { name: '10-calico.conflist', sha256: 'cc', network: 'k8s-pod-network', firstPlugin: 'calico' },
    { name: '10-flannel.conflist', sha256: 'aa', network: 'cbr0', firstPlugin: 'flannel' },
  ],
  loadedNetworks: ['k8s-pod-network'],
};
const agent = (nodeName: string, ready = 'True'): KubernetesObject =>
  object('v1', 'Pod', `calico-node-${nodeName}`, 'kube-system', {
    metadata: { labels: { 'k8s-app': 'calico-node' } },
    spec: { nodeName },
    status: { conditions: [{ type: 'Ready', status: ready }] },
  });
const adopted: FakeNode = { name: 'worker-1', adopted: true, mark: 'calico', state: onCalico };
const others: FakeNode[] = [
  { name: 'worker-2', mark: 'flannel' },
  { name: 'worker-3', mark: 'flannel' },
];
const mixed = (first: FakeNode = adopted, pods = [agent('worker-1')]): FakeCluster => ({
  nodes: [first, ...others],
  objects: { Pod: pods },
});

describe('whole-nodes', () => {
  it('passes on a cluster that no migration has touched, and on one with adopted nodes', async () => {
    expect(await check('whole-nodes', { nodes: [{ name: 'worker-1' }] })).toMatchObject({
      verdict: 'pass',
      message: 'none of 1 nodes is half way',
    });
    expect(await check('whole-nodes', mixed())).toMatchObject({
      verdict: 'pass',
      message: '1 of 3 nodes are wholly on Calico and adopted, and none is half way',
    });
  });

  it.each<[string, Partial<FakeNode>, string, RegExp]>([
    [
      'cordoned on Calico, with its dead-man switch',
      { mark: 'calico', annotations: { [foundState]: '{}' }, state: { ...onCalico, revertArmed: true } },
      'an earlier migration left worker-1 (it was taken out of service, its dead-man switch is armed) half way',
      /^leave worker-1 on Calico: `systemctl stop cutover-revert.timer`.*uncordon worker-1.*then plan again$/,
    ],
    [
      'cordoned on Flannel',
      { mark: 'flannel', annotations: { [foundState]: '{}' } },
      'an earlier migration left worker-1 (it was taken out of service) half way',
      /^give worker-1 back to Flannel:(?!.*reboot).*uncordon worker-1/,
    ],
    [
      'without an agent',
      { mark: 'none' },
      'an earlier migration left worker-1 (no agent runs there) half way',
      /label node worker-1 .*=flannel/,
    ],
    [
      'behind the fence',
      { mark: 'none', state: { loadedNetworks: ['cutover-fence'] } },
      'an earlier migration left worker-1 (no agent runs there) half way',
      /rm -f \/etc\/cni\/net.d\/10-calico.conflist; reboot/,
    ],
    [
      'gone back by its dead-man switch',
      { mark: 'calico', state: { revertFired: true } },
      'an earlier migration left worker-1 (it is marked calico and has loaded cbr0) half way',
      /give worker-1 back to Flannel/,
    ],
  ])('blocks for a node that was left %s, with the way out', async (_, change, message, remedy) => {
    const result = await check('whole-nodes', mixed({ name: 'worker-1', ...change }));

    expect(result).toMatchObject({ verdict: 'block', message, remedy: expect.stringMatching(remedy) });
  });

  it('blocks when the plan is older than what happened', async () => {
    const moved = mixed({ name: 'worker-1', mark: 'calico', state: onCalico });
    const wentBack = mixed({ name: 'worker-1', adopted: true, mark: 'flannel' });

    for (const cluster of [moved, wentBack])
      expect(await check('whole-nodes', cluster)).toMatchObject({
        verdict: 'block',
        message: expect.stringMatching(/another network: worker-1: (calico|flannel)$/),
      });
  });

  it('blocks when an adopted node has no Ready agent, and warns when it could not go back', async () => {
    expect(await check('whole-nodes', mixed(adopted, [agent('worker-1', 'False')]))).toMatchObject({
      verdict: 'block',
      message: 'adopted nodes have no Ready calico-node pod: worker-1',
    });
    expect(
      await check('whole-nodes', mixed({ ...adopted, state: { ...onCalico, flannelBinary: false } })),
    ).toMatchObject({ verdict: 'warn', message: expect.stringContaining('worker-1') });
  });

  it('leaves the conf of an adopted node out of cni-conf', async () => {
    expect(await check('cni-conf', mixed())).toMatchObject({
      verdict: 'pass',
      message: expect.stringContaining('all 2 nodes have loaded cbr0'),
    });
  });
});

describe('calico-leftovers', () => {
  const mark = (madeBy: string) => (madeBy === '' ? {} : { metadata: { annotations: { [createdBy]: madeBy } } });
  const left = (by: { agent?: string; pool?: string; crd?: string } = {}, plan: object = {}): FakeCluster => ({
    nodes: [{ ...adopted, annotations: { 'projectcalico.org/IPv4Address': 'x', [createdBy]: 'test-1' } }, ...others],
    plan: { adopts: ['test-1'], ...plan },
    objects: {
      DaemonSet: [object('apps/v1', 'DaemonSet', 'calico-node', 'kube-system', mark(by.agent ?? 'test-1'))],
      CustomResourceDefinition: [
        object('x', 'CustomResourceDefinition', 'ippools.crd.projectcalico.org', undefined, mark(by.crd ?? 'test-1')),
      ],
      IPPool: [
        object('x', 'IPPool', 'default-ipv4-ippool', undefined, {
          ...mark(by.pool ?? 'test-1'),
          spec: { cidr: '10.244.0.0/16' },
        }),
      ],
    },
  });
  const aborted = (sha256 = 'b1') => ({ aborted: () => [{ id: 'test-1', bundles: { manifests: sha256 } }] });

  it('passes when an aborted migration of this cluster made everything, and says what is adopted', async () => {
    expect(await check('calico-leftovers', left(), aborted())).toMatchObject({
      verdict: 'pass',
      message:
        'adopted: kube-system/calico-node, default-ipv4-ippool 10.244.0.0/16 and 1 definition, made by test-1, from the manifests of this plan',
    });
  });

  it('warns with both digests when that one installed other manifests', async () => {
    expect(await check('calico-leftovers', left(), aborted('a0'))).toMatchObject({
      verdict: 'warn',
      message: expect.stringContaining('the bundle differs: test-1 installed manifests a0…, the plan has b1…'),
    });
  });

  it.each<[string, FakeCluster, object, string, string]>([
    ['an agent that a person made', left({ agent: '' }), aborted(), 'block', 'agent is there already: kube-system'],
    ['a pool that a person made', left({ pool: '' }), aborted(), 'block', '1 IP pools'],
    ['a definition that a person made', left({ crd: '' }), aborted(), 'warn', '1 resource definitions'],
    ['a mark that names nobody', left({ agent: 'test-9' }), aborted(), 'block', 'made by test-9, which this record'],
    ['a record that knows nothing', left(), {}, 'block', 'made by test-1, which this record does not know'],
    ['a plan made before the abort', left({}, { adopts: [] }), aborted(), 'block', 'the plan is older than'],
  ])('is not fooled by %s', async (_, cluster, options, verdict, text) => {
    expect(await check('calico-leftovers', cluster, options)).toMatchObject({
      verdict,
      message: expect.stringContaining(text),
      remedy: expect.any(String),
    });
  });
});
