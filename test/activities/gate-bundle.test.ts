import { describe, expect, it } from 'vitest';
import { gateBundle } from '../../activities/gate-bundle.ts';
import type { Action } from '../../src/plan/types.ts';

/** Two of three nodes are on the new network, with two pods each that an eviction would move. */
const bundleOf = (undo: Action[] | undefined) => {
  const pod = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', ownerReferences: [{ kind: 'ReplicaSet', name: 'web', controller: true }] },
    spec: {},
    status: { phase: 'Running' },
  });
  const context = {
    kubernetes: { list: async ({ kind }: { kind: string }) => (kind === 'Pod' ? [pod('web-1'), pod('web-2')] : []) },
    plan: {
      drain: { timeoutSeconds: 60, retrySeconds: 1, deleteEmptyDirData: false, force: false },
      strategy: { maxUnavailable: 1 },
      estimate: { perNodeSeconds: 40 },
    },
    stage: {
      from: 'flannel',
      to: 'calico',
      waves: [{ nodes: ['w1', 'w2', 'w3'].map((name) => ({ name, zone: 'a' })) }],
      node: [{ id: 'step', title: 'Do it', verb: 'node.step', ...(undo ? { undo } : {}) }],
      finalize: [],
    },
    migratedNodes: () => ['w1', 'w2'],
    story: { motions: [], kept: [], since: 0, startedAt: new Date(0).toISOString() },
    now: 0,
  };
  return gateBundle(context as unknown as Parameters<typeof gateBundle>[0]);
};

describe('what going back would cost now', () => {
  it('is the nodes, their pods, and the time of both', async () => {
    const { rollback } = await bundleOf([{ verb: 'node.cordon' }, { verb: 'node.drain' }]);

    expect(rollback).toMatchObject({ nodes: 2, pods: 4, minutes: 2 });
  });

  it('moves no pod where the way back drains no node', async () => {
    const { rollback } = await bundleOf([{ verb: 'node.restoreCordon' }]);

    expect(rollback).toMatchObject({ nodes: 2, pods: 0, minutes: 1 });
  });

  it('is nothing of any node where the cluster changes as a whole', async () => {
    const { rollback } = await bundleOf(undefined);

    expect(rollback).toMatchObject({ nodes: 0, pods: 0, clusterWide: true });
  });
});
