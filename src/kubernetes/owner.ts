import type { KubernetesObject } from './types.ts';

/** What controls a pod, as people call it: the Deployment and not its ReplicaSet, whose name adds a hash of the template. */
export function workloadOwner({ metadata }: KubernetesObject): { kind: string; name: string } | undefined {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  const hash = metadata.labels?.['pod-template-hash'];
  if (owner?.kind !== 'ReplicaSet' || hash === undefined || !owner.name.endsWith(`-${hash}`)) return owner;
  return { kind: 'Deployment', name: owner.name.slice(0, -hash.length - 1) };
}
