import type { KubernetesObject } from '../kubernetes/types.ts';

/** A running probe pod, as far as probing needs it. */
export interface ProbePod {
  namespace: string;
  name: string;
  node: string;
  /** Pod address; the node's own for a host-network probe. */
  ip: string;
  hostIP: string;
}

/** The Ready pod among `pods`, or in words why there is none. */
export const readyProbe = (pods: readonly KubernetesObject[]): ProbePod | string => probeWhere(pods, isReady);

/**
 * The pod among `pods` that can be asked, Ready or not, or in words why there is none. A pod that its own kubelet does
 * not reach never becomes Ready, and is the very one that can tell what is broken (§0a.2 of the migration facts).
 */
export function runningProbe(pods: readonly KubernetesObject[]): ProbePod | string {
  const ready = readyProbe(pods);
  return typeof ready === 'string' ? probeWhere(pods, isRunning) : ready;
}

function probeWhere(pods: readonly KubernetesObject[], fits: (pod: KubernetesObject) => boolean): ProbePod | string {
  const staying = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const ready = staying.find((pod) => fits(pod) && typeof pod.status?.podIP === 'string');
  if (ready !== undefined) {
    return {
      namespace: ready.metadata.namespace ?? '',
      name: ready.metadata.name,
      node: ready.spec?.nodeName ?? '',
      ip: ready.status.podIP,
      hostIP: ready.status.hostIP ?? '',
    };
  }
  const pod = staying[0];
  if (pod === undefined) return pods.length === 0 ? 'there is none' : 'it is being deleted';
  return `${pod.metadata.name} is ${waitingReason(pod)}`;
}

export const isReady = (pod: KubernetesObject): boolean =>
  conditionsOf(pod).some((condition) => condition.type === 'Ready' && condition.status === 'True');

function isRunning(pod: KubernetesObject): boolean {
  const containers: { state?: { running?: unknown } }[] = pod.status?.containerStatuses ?? [];
  return containers.length > 0 && containers.every((container) => container.state?.running !== undefined);
}

function waitingReason(pod: KubernetesObject): string {
  const containers: { state?: { waiting?: { reason?: string } } }[] = pod.status?.containerStatuses ?? [];
  const waiting = containers
    .map((container) => container.state?.waiting?.reason)
    .find((reason) => reason !== undefined);
  return waiting ?? `${pod.status?.phase ?? 'Pending'}, not Ready`;
}

export interface Condition {
  type: string;
  status: string;
  reason?: string;
}

export const conditionsOf = (object: KubernetesObject): Condition[] => object.status?.conditions ?? [];
