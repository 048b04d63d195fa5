import type { KubernetesObject } from '../kubernetes/types.ts';

/** Images of all containers of a workload's pods, as written there; those that come first run first. */
export function imagesOf(workload: KubernetesObject): string[] {
  const { containers = [], initContainers = [] } = (workload['spec']?.template?.spec ?? {}) as {
    containers?: { image?: string }[];
    initContainers?: { image?: string }[];
  };
  return [...initContainers, ...containers].map(({ image = '' }) => image);
}
