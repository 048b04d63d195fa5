import { selects } from '../src/checks/label-selector.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import type { KubernetesClient, KubernetesObject } from '../src/kubernetes/types.ts';
import { isReady } from '../src/probe/pods.ts';
import { isTerminating } from './daemon-sets.ts';
import { named } from './renew-pods.ts';

const hooks = 'admissionregistration.k8s.io/v1';
const slices = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };

/** What is asked for each pod, once for each look of a drain. */
export interface DependedOn {
  /**
   * Why a pod that the cluster depends on may not be moved now, one clause; undefined when it may.
   * Asks the API server afresh: what counts is how its siblings are at this moment.
   */
  whyNot(pod: KubernetesObject): Promise<string | undefined>;
}

/**
 * The Services without which more than one workload stops: those of kube-system (CoreDNS), those that webhooks and
 * aggregated APIs call, and those that take traffic from outside (ingress).
 */
export async function dependedOn(kubernetes: KubernetesClient): Promise<DependedOn> {
  const [services, validating, mutating, aggregated] = await Promise.all([
    kubernetes.list(kinds.service),
    kubernetes.list({ apiVersion: hooks, kind: 'ValidatingWebhookConfiguration' }),
    kubernetes.list({ apiVersion: hooks, kind: 'MutatingWebhookConfiguration' }),
    kubernetes.list({ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService' }),
  ]);
  const called = new Set(
    [
      ...[...validating, ...mutating].flatMap((configuration) =>
        ((configuration['webhooks'] ?? []) as { clientConfig?: { service?: Place } }[]).map(
          ({ clientConfig }) => clientConfig?.service,
        ),
      ),
      ...aggregated.map((api) => api['spec']?.service as Place | undefined),
    ].flatMap((place) => (place ? [`${place.namespace}/${place.name}`] : [])),
  );
  const important = services.filter(
    (service) =>
      Object.keys((service['spec']?.selector ?? {}) as object).length > 0 &&
      (service.metadata.namespace === 'kube-system' ||
        called.has(named(service)) ||
        service['spec']?.type === 'LoadBalancer'),
  );

  return {
    whyNot: async (pod) => {
      const service = important.find(
        ({ metadata, spec }) =>
          metadata.namespace === pod.metadata.namespace && selects({ matchLabels: spec.selector }, pod.metadata.labels),
      );
      const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller);
      if (!service || !owner) return undefined;
      const namespace = pod.metadata.namespace ?? 'default';
      const [controller, all, endpoints] = await Promise.all([
        kubernetes.get({ apiVersion: owner.apiVersion, kind: owner.kind, namespace, name: owner.name }),
        kubernetes.list(kinds.pod, { namespace }),
        kubernetes.list(slices, { namespace, labelSelector: `kubernetes.io/service-name=${service.metadata.name}` }),
      ]);
      const wanted = Number(controller?.['spec']?.replicas ?? 1);
      const answering = new Set(
        endpoints.flatMap(({ endpoints: ready }) =>
          ((ready ?? []) as { addresses?: string[]; conditions?: { ready?: boolean } }[])
            .filter(({ conditions }) => conditions?.ready !== false)
            .flatMap(({ addresses }) => addresses ?? []),
        ),
      );
      const others = all.filter(
        (other) =>
          other.metadata.uid !== pod.metadata.uid &&
          other.metadata.ownerReferences?.some(({ uid }) => uid === owner.uid) &&
          !isTerminating(other) &&
          isReady(other) &&
          answering.has(String(other['status']?.podIP ?? '')),
      );
      // With one replica there is no other that could answer meanwhile.
      if (others.length >= wanted - 1) return undefined;
      return `the cluster depends on ${named(service)}, whose pods move one at a time over all nodes: ${others.length} of the ${wanted - 1} others answer`;
    },
  };
}

interface Place {
  namespace: string;
  name: string;
}

/** Whoever looks and then evicts does so alone, for each owner, in this worker: two at once would both see the other in place. */
const turns = new Map<string, Promise<unknown>>();

export async function inTurn<T>(owner: string, work: () => Promise<T>): Promise<T> {
  const before = turns.get(owner) ?? Promise.resolve();
  const mine = before.then(work, work);
  const settled = mine.catch(() => undefined);
  turns.set(owner, settled);
  try {
    return await mine;
  } finally {
    if (turns.get(owner) === settled) turns.delete(owner);
  }
}
