import type { KubernetesObject } from '../../kubernetes/types.ts';
import { block, count, defineCheck, pass, some, warn } from '../define.ts';
import { controllerOf, moves, nameOf } from '../workloads/pods.ts';

type Facts = {
  /** Pods that an eviction ends for good. */
  bare: string[];
  /** Pods whose emptyDir volumes an eviction empties. */
  emptyDir: string[];
  force: boolean;
  deleteEmptyDirData: boolean;
};

/** Nothing is lost by moving pods: each has a controller that brings it back, and no data that lives in the pod. */
export const podsWithoutOwner = defineCheck<Facts>({
  id: 'pods-without-owner',
  layer: 'cluster',
  title: 'Moving a pod loses nothing',
  scope: 'cluster',
  ask: async ({ all, planned, plan }) => {
    const nodes = new Set(planned.filter((node) => !node.adopted).map((node) => node.name));
    const pods = (await all({ apiVersion: 'v1', kind: 'Pod' })).filter(
      (pod) => nodes.has(pod['spec']?.nodeName) && moves(pod) && pod.metadata.namespace !== plan.probe.namespace,
    );
    return {
      bare: pods.filter((pod) => controllerOf(pod) === undefined).map(nameOf),
      emptyDir: pods.filter(hasEmptyDir).map(nameOf),
      force: plan.drain.force,
      deleteEmptyDirData: plan.drain.deleteEmptyDirData,
    };
  },
  judge: ({ bare, emptyDir, force, deleteEmptyDirData }) => {
    if (bare.length > 0 && !force) {
      return block(`${count(bare.length, 'pod')} without a controller would not come back: ${some(bare)}`, {
        remedy: 'give them a controller, delete them, or set drain.force in the plan to evict them for good',
      });
    }
    if (emptyDir.length > 0 && !deleteEmptyDirData) {
      return block(`${count(emptyDir.length, 'pod')} would lose the data in emptyDir volumes: ${some(emptyDir)}`, {
        remedy: 'set drain.deleteEmptyDirData in the plan if that data may go (caches, scratch space)',
      });
    }
    if (bare.length > 0) {
      return warn(
        `${count(bare.length, 'pod')} without a controller will be evicted and not come back: ${some(bare)}`,
        {
          remedy: 'tell their owners; the plan says drain.force',
        },
      );
    }
    if (emptyDir.length > 0) {
      return warn(`${count(emptyDir.length, 'pod')} will lose the data in emptyDir volumes: ${some(emptyDir)}`, {
        remedy: 'nothing, if that data may go: the plan says drain.deleteEmptyDirData',
      });
    }
    return pass('every pod that moves has a controller and keeps no data of its own');
  },
});

const hasEmptyDir = (pod: KubernetesObject): boolean => {
  const volumes: { emptyDir?: unknown }[] = pod['spec']?.volumes ?? [];
  return volumes.some((volume) => volume.emptyDir !== undefined);
};
