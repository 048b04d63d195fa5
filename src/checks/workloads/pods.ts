import { workloadOwner } from '../../kubernetes/owner.ts';
import type { KubernetesObject } from '../../kubernetes/types.ts';
import type { Asker } from '../asker.ts';

/** What checks of workloads read of a pod. */
export interface PodSpec {
  nodeName?: string;
  hostNetwork?: boolean;
  nodeSelector?: { [key: string]: string };
  affinity?: {
    nodeAffinity?: NodeAffinity;
    podAntiAffinity?: { requiredDuringSchedulingIgnoredDuringExecution?: PodTerm[] };
  };
  volumes?: { emptyDir?: unknown; persistentVolumeClaim?: { claimName: string } }[];
  containers?: Container[];
  initContainers?: Container[];
}

export interface Container {
  name: string;
  image?: string;
  restartPolicy?: string;
  ports?: { hostPort?: number; containerPort: number; protocol?: string }[];
  securityContext?: { privileged?: boolean; capabilities?: { add?: string[] } };
  resources?: { requests?: { [resource: string]: string } };
}

interface Expression {
  key: string;
  operator: string;
  values?: string[];
}

interface NodeAffinity {
  requiredDuringSchedulingIgnoredDuringExecution?: NodeSelector;
}

/** core/v1 NodeSelector: one of its terms has to hold. */
export interface NodeSelector {
  nodeSelectorTerms: { matchExpressions?: Expression[]; matchFields?: Expression[] }[];
}

interface PodTerm {
  topologyKey: string;
  labelSelector?: { matchLabels?: { [key: string]: string }; matchExpressions?: Expression[] };
}

export const specOf = (pod: KubernetesObject): PodSpec => (pod['spec'] ?? {}) as PodSpec;

/** Containers that run as long as the pod does: a side car is an init container that is started again. */
export const runningContainers = ({ containers = [], initContainers = [] }: PodSpec): Container[] => [
  ...containers,
  ...initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always'),
];

export const nameOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace}/${metadata.name}`;

export const controllerOf = ({ metadata }: KubernetesObject) =>
  metadata.ownerReferences?.find((owner) => owner.controller === true);

/** A static pod of its kubelet: no drain moves it, and no controller of the cluster made it. */
export const isStatic = (pod: KubernetesObject): boolean =>
  pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined || controllerOf(pod)?.kind === 'Node';

export const hasEnded = (pod: KubernetesObject): boolean =>
  ['Succeeded', 'Failed'].includes(String(pod['status']?.phase));

/** A drain leaves static pods, those of DaemonSets, and what has ended. */
export const moves = (pod: KubernetesObject): boolean =>
  !isStatic(pod) &&
  controllerOf(pod)?.kind !== 'DaemonSet' &&
  pod.metadata.deletionTimestamp === undefined &&
  !hasEnded(pod);

/**
 * What a person calls the workload of a pod: `shop/web` for the pods of a Deployment, whose ReplicaSet adds a hash; the
 * pod's own name when nothing controls it.
 */
export function workloadOf(pod: KubernetesObject): string {
  const owner = workloadOwner(pod);
  return owner === undefined ? nameOf(pod) : `${pod.metadata.namespace}/${owner.name}`;
}

/** The workloads of some pods, each once, with how many pods: `shop/web (3 pods)`. */
export function workloadsOf(pods: readonly KubernetesObject[]): string[] {
  const groups = Map.groupBy(pods, workloadOf);
  return [...groups].map(([name, { length }]) => (length === 1 ? name : `${name} (${length} pods)`)).toSorted();
}

/** Namespaces of the cluster's own machinery, which a migration knows how to treat. */
const systemNamespaces = new Set(['kube-system', 'kube-flannel', 'calico-system', 'tigera-operator']);

export const isSystem = ({ metadata }: KubernetesObject): boolean => systemNamespaces.has(metadata.namespace ?? '');

/** Pods that are there for users: neither ended nor going, none of the system's, of the mirror kind or of the probes. */
export async function userPods({ all, plan }: Pick<Asker, 'all' | 'plan'>): Promise<KubernetesObject[]> {
  const pods = await all({ apiVersion: 'v1', kind: 'Pod' });
  return pods.filter(
    (pod) =>
      !isSystem(pod) &&
      !isStatic(pod) &&
      !hasEnded(pod) &&
      pod.metadata.deletionTimestamp === undefined &&
      pod.metadata.namespace !== plan.probe.namespace,
  );
}
