import { expect, it } from 'vitest';
import { runChecks } from '../../src/checks/run.ts';
import type { CheckContext, Verdict } from '../../src/checks/types.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { contextFor, object, type FakeCluster } from './doubles.ts';

/** Rows of one check, a few objects, and what it makes of them; and what such rows are made of. */

export const workers = ['worker-1', 'worker-2', 'worker-3'];
export const cluster = (more: Partial<FakeCluster> & { [kind: string]: unknown } = {}): FakeCluster => ({
  nodes: workers.map((name) => ({ name })),
  ...more,
});

export async function check(
  id: string,
  objects: KubernetesObject[] = [],
  { options = {}, fake = {}, nodes }: Given = {},
): Promise<{ verdict: Verdict; message: string }> {
  const byKind = Object.fromEntries(Map.groupBy(objects, ({ kind }) => kind));
  const { context } = contextFor(cluster({ ...fake, objects: byKind }), options);
  for (const node of await context.kubernetes.list({ apiVersion: 'v1', kind: 'Node' })) nodes?.(node);
  const [result] = await runChecks([id], context);
  return result!;
}

export interface Given {
  options?: Partial<CheckContext>;
  fake?: Partial<FakeCluster>;
  nodes?(node: KubernetesObject): void;
}

const controlledBy = (kind: string, name: string) => [
  { apiVersion: 'apps/v1', kind, name, uid: '1', controller: true },
];
/** A pod of the Deployment `shop/<app>`, Ready. */
export const pod = (
  name: string,
  spec: object = {},
  { app = 'web', node = 'worker-1', owner = 'ReplicaSet', ...metadata }: PodMeta = {},
) =>
  object('v1', 'Pod', name, metadata.namespace ?? 'shop', {
    metadata: {
      labels: { app, 'pod-template-hash': 'abc12', ...metadata.labels },
      ...(metadata.annotations ? { annotations: metadata.annotations } : {}),
      ...(owner === '' ? {} : { ownerReferences: controlledBy(owner, owner === 'ReplicaSet' ? `${app}-abc12` : app) }),
    },
    spec: { nodeName: node, containers: [{ name: 'main' }], ...spec },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  });
export interface PodMeta {
  app?: string;
  node?: string;
  owner?: string;
  namespace?: string;
  labels?: { [key: string]: string };
  annotations?: { [key: string]: string };
}
export const daemonSet = (name: string, image: string, namespace = 'kube-system', metadata: object = {}) =>
  object('apps/v1', 'DaemonSet', name, namespace, {
    metadata,
    spec: { template: { spec: { containers: [{ name: 'main', image }] } } },
  });
export const deployment = (name: string, image: string, replicas: number) =>
  object('apps/v1', 'Deployment', name, 'kube-system', {
    spec: { replicas, template: { spec: { containers: [{ name: 'main', image }] } } },
  });
export const container = (rest: object) => ({ containers: [{ name: 'main', ...rest }] });
export const flannelAgent = (tag: string) =>
  daemonSet('kube-flannel-ds', `ghcr.io/flannel-io/flannel:${tag}`, 'kube-flannel');
export const images = (...names: string[]): Partial<CheckContext> => ({ images: async () => names });

export type Row = [
  name: string,
  id: string,
  objects: KubernetesObject[],
  verdict: Verdict,
  says: RegExp,
  given?: Given,
];

/** One test for each row. */
export const judges = (rows: readonly Row[]): void =>
  it.each(rows)('%s: %s', async (_name, id, objects, verdict, says, given) => {
    expect(await check(id, objects, given)).toMatchObject({ verdict, message: expect.stringMatching(says) });
  });
