import { describe, expect, it } from 'vitest';
import { dispositionOf, explainRefusal } from '../../activities/drain-rules.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';

const owner = (kind: string) => [{ apiVersion: 'apps/v1', kind, name: 'web', uid: 'u', controller: true }];
const pod = (metadata: object = {}, rest: object = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'web-1',
    namespace: 'shop',
    labels: { app: 'web' },
    ownerReferences: owner('ReplicaSet'),
    ...metadata,
  },
  spec: {},
  status: { phase: 'Running' },
  ...rest,
});
const careful = { force: false, deleteEmptyDirData: false };
const scratch = { spec: { volumes: [{ name: 'cache', emptyDir: {} }] } };

describe('what happens to a pod', () => {
  it.each([
    ['of a ReplicaSet', pod(), careful, 'evict', 'it has to move'],
    [
      'of a DaemonSet',
      pod({ ownerReferences: owner('DaemonSet') }),
      careful,
      'ignore',
      'its DaemonSet would bring it back',
    ],
    [
      'of a DaemonSet, with emptyDir',
      pod({ ownerReferences: owner('DaemonSet') }, scratch),
      careful,
      'ignore',
      'its DaemonSet would bring it back',
    ],
    [
      'that kubelet runs by itself',
      pod({ annotations: { 'kubernetes.io/config.mirror': 'x' }, ownerReferences: [] }),
      careful,
      'ignore',
      'it is a static pod of kubelet',
    ],
    [
      'that is a probe',
      pod({ labels: { 'app.kubernetes.io/managed-by': 'cutover' } }),
      careful,
      'ignore',
      'it is a probe of Cutover',
    ],
    ['that nobody controls', pod({ ownerReferences: [] }), careful, 'refuse', 'no controller would bring it back'],
    [
      'that has an owner, but no controller',
      pod({ ownerReferences: [{ ...owner('X')[0], controller: undefined }] }),
      careful,
      'refuse',
      'no controller would bring it back',
    ],
    [
      'that nobody controls, forced',
      pod({ ownerReferences: [] }),
      { ...careful, force: true },
      'evict',
      'it has to move',
    ],
    ['with emptyDir', pod({}, scratch), careful, 'refuse', 'its emptyDir volume cache would be lost'],
    ['with emptyDir, allowed', pod({}, scratch), { ...careful, deleteEmptyDirData: true }, 'evict', 'it has to move'],
    [
      'that has succeeded, bare and with emptyDir',
      pod({ ownerReferences: [] }, { ...scratch, status: { phase: 'Succeeded' } }),
      careful,
      'evict',
      'it has finished',
    ],
    [
      'that has failed',
      pod({ ownerReferences: [] }, { status: { phase: 'Failed' } }),
      careful,
      'evict',
      'it has finished',
    ],
  ])('%s', (_name, object, rules, what, why) => {
    expect(dispositionOf(object, rules)).toEqual({ what, why });
  });
});

describe('why an eviction was refused', () => {
  const now = Date.parse('2026-11-21T10:00:00Z');
  const budget = (
    name: string,
    status: object,
    selector: object | null = { matchLabels: { app: 'web' } },
    namespace = 'shop',
  ): KubernetesObject => ({
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace },
    spec: { selector },
    status,
  });
  const strict = { disruptionsAllowed: 0, desiredHealthy: 3, currentHealthy: 3, expectedPods: 3 };

  it('is the arithmetic of the budget that covers the pod', () => {
    expect(explainRefusal(pod(), 'as the server says', [budget('web', strict)], now)).toEqual({
      pod: 'shop/web-1',
      reason: 'budget shop/web needs 3 healthy, has 3',
      budgets: ['shop/web'],
      closed: true,
      freesInSeconds: 0,
    });
  });

  it('names only budgets that are in the way', () => {
    const others = [
      budget('other-app', strict, { matchLabels: { app: 'db' } }),
      budget('other-namespace', strict, { matchLabels: { app: 'web' } }, 'bank'),
      budget('generous', { ...strict, disruptionsAllowed: 2, currentHealthy: 5 }),
      budget('nobody', strict, null),
      budget('by-expression', strict, { matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'api'] }] }),
    ];

    expect(explainRefusal(pod(), '', others, now).budgets).toEqual(['shop/by-expression']);
  });

  it('names all of them when there are several', () => {
    const { reason, budgets } = explainRefusal(
      pod(),
      '',
      [budget('a', strict), budget('b', { ...strict, desiredHealthy: 2, currentHealthy: 2 }, {})],
      now,
    );

    expect(budgets).toEqual(['shop/a', 'shop/b']);
    expect(reason).toBe('budget shop/a needs 3 healthy, has 3 and budget shop/b needs 2 healthy, has 2');
  });

  it('is what the server said when no budget covers the pod any more', () => {
    expect(explainRefusal(pod(), 'still being processed', [], now)).toMatchObject({
      reason: 'still being processed',
      budgets: [],
    });
  });

  it('tells an eviction that was cut off from a strict budget, and when it lapses', () => {
    // Four replicas, all of them running: the one that was granted is not counted as healthy any more.
    const jammed = { ...strict, currentHealthy: 3, disruptedPods: { 'web-9': '2026-11-21T09:59:25Z' } };

    expect(explainRefusal(pod(), '', [budget('web', jammed)], now)).toMatchObject({
      reason: 'an eviction of web-9 that was cut off 35 s ago still holds budget shop/web; it frees itself in 85 s',
      freesInSeconds: 85,
    });
  });

  it('does not believe in one that is older than two minutes, is under way, or changes nothing', () => {
    const old = { ...strict, disruptedPods: { 'web-9': '2026-11-21T09:57:00Z' } };
    const fresh = { ...strict, disruptedPods: { 'web-9': '2026-11-21T09:59:59Z' } };
    const short = { ...strict, currentHealthy: 2, disruptedPods: { 'web-9': '2026-11-21T09:59:25Z' } };

    expect(explainRefusal(pod(), '', [budget('web', old)], now)).toMatchObject({
      reason: 'budget shop/web needs 3 healthy, has 3',
      freesInSeconds: 0,
    });
    expect(explainRefusal(pod(), '', [budget('web', fresh)], now)).toMatchObject({
      reason: 'budget shop/web needs 3 healthy, has 3',
      freesInSeconds: 0,
    });
    expect(explainRefusal(pod(), '', [budget('web', short)], now)).toMatchObject({
      reason: 'budget shop/web needs 3 healthy, has 2',
      freesInSeconds: 0,
    });
  });
});
