import { selectorMatcher } from '../api/selectors.ts';
import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import { isActive, isFinished, isReady, isTerminating, keyOf, ownerReference, randomSuffix, splitKey } from './pods.ts';

const SLICES = 'endpointslices.discovery.k8s.io';
/** Endpoints in one slice (EndpointSlice API: at most 1000; the controller's default is 100). */
const SLICE_SIZE = 100;

interface ServicePort {
  name?: string;
  port: number;
  protocol?: string;
  targetPort?: number | string;
}

/** Endpoints and EndpointSlices of Services that select pods. */
export function runEndpoints({ store, nodes, pods, random, queue, onStop }: ControllerContext): void {
  const services = new Map<string, Map<string, KubernetesObject>>();
  const work = queue('endpoints', sync);

  const keep = (service: KubernetesObject, there: boolean) => {
    const { namespace = '', name } = service.metadata;
    let named = services.get(namespace);
    if (named === undefined) services.set(namespace, (named = new Map()));
    if (there) named.set(name, service);
    else named.delete(name);
    work.add(keyOf(service));
  };
  store.list('services').forEach((service) => keep(service, true));
  onStop(store.watch('services', ({ type, object }) => keep(object, type !== 'DELETED')));
  pods.onChange((before, after) => {
    if (before !== undefined && after !== undefined && facts(before) === facts(after)) return;
    for (const service of services.get((after ?? before)!.metadata.namespace ?? '')?.values() ?? []) {
      const selects = matcherOf(service);
      if ((before && selects(before)) || (after && selects(after))) work.add(keyOf(service));
    }
  });

  function sync(key: string): void {
    const [namespace, name] = splitKey(key);
    const service = store.get('services', namespace, name);
    if (service === undefined) return removeAll(namespace, name);
    if (Object.keys(service.spec.selector ?? {}).length === 0) return;
    const selects = matcherOf(service);
    const chosen = [...pods.inNamespace(namespace)].filter(
      (pod) => selects(pod) && pod.status?.podIP && !isFinished(pod),
    );
    chosen.sort((left, right) => left.metadata.name.localeCompare(right.metadata.name));
    writeSlices(service, chosen);
    writeEndpoints(
      service,
      chosen.filter((pod) => publishesAll(service) || (isReady(pod) && isActive(pod))),
    );
  }

  const slicesOf = (namespace: string, service: string) =>
    store.list(SLICES, { namespace, labelSelector: `kubernetes.io/service-name=${service}` });

  function removeAll(namespace: string, name: string): void {
    slicesOf(namespace, name).forEach((slice) => store.remove(SLICES, namespace, slice.metadata.name));
    store.remove('endpoints', namespace, name);
  }

  function writeSlices(service: KubernetesObject, chosen: KubernetesObject[]): void {
    const { namespace = '', name } = service.metadata;
    const existing = slicesOf(namespace, name);
    const groups = Math.max(1, Math.ceil(chosen.length / SLICE_SIZE));
    for (let at = 0; at < groups; at++) {
      const part = chosen.slice(at * SLICE_SIZE, (at + 1) * SLICE_SIZE);
      const endpoints = part.map((pod) => endpointOf(service, pod));
      const ports = (service.spec.ports ?? []).map((port: ServicePort) => resolve(port, part[0]));
      const slice = existing[at];
      if (slice === undefined) store.create(SLICES, newSlice(service, endpoints, ports));
      else {
        store.mutate(SLICES, namespace, slice.metadata.name, (object) => {
          object.endpoints = endpoints;
          object.ports = ports;
        });
      }
    }
    existing.slice(groups).forEach((slice) => store.remove(SLICES, namespace, slice.metadata.name));
  }

  function newSlice(service: KubernetesObject, endpoints: unknown[], ports: unknown[]): KubernetesObject {
    const { name, namespace } = service.metadata;
    return {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `${name}-${randomSuffix(random)}`,
        generateName: `${name}-`,
        namespace: namespace!,
        labels: {
          ...service.metadata.labels,
          'kubernetes.io/service-name': name,
          'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        },
        ownerReferences: [ownerReference(service)],
      },
      addressType: 'IPv4',
      endpoints,
      ports,
    };
  }

  function endpointOf(service: KubernetesObject, pod: KubernetesObject) {
    const node = nodes.get(pod.spec.nodeName);
    const zone = node?.metadata.labels?.['topology.kubernetes.io/zone'];
    const serving = isReady(pod);
    const terminating = isTerminating(pod);
    return {
      addresses: [pod.status.podIP],
      conditions: { ready: publishesAll(service) || (serving && !terminating), serving, terminating },
      nodeName: pod.spec.nodeName,
      ...(zone === undefined ? {} : { zone }),
      targetRef: targetRef(pod),
    };
  }

  function writeEndpoints(service: KubernetesObject, ready: KubernetesObject[]): void {
    const { namespace = '', name } = service.metadata;
    const addresses = ready.map((pod) => ({
      ip: pod.status.podIP,
      nodeName: pod.spec.nodeName,
      targetRef: targetRef(pod),
    }));
    const ports = (service.spec.ports ?? []).map((port: ServicePort) => resolve(port, ready[0]));
    const subsets = addresses.length === 0 ? undefined : [{ addresses, ports }];
    if (store.get('endpoints', namespace, name) === undefined) {
      store.create('endpoints', {
        apiVersion: 'v1',
        kind: 'Endpoints',
        metadata: { name, namespace, labels: { ...service.metadata.labels } },
        ...(subsets === undefined ? {} : { subsets }),
      });
      return;
    }
    store.mutate('endpoints', namespace, name, (object) => {
      if (subsets === undefined) delete object.subsets;
      else object.subsets = subsets;
    });
  }
}

const matcherOf = (service: KubernetesObject) => {
  const labels = service.spec.selector ?? {};
  return Object.keys(labels).length === 0 ? () => false : selectorMatcher({ matchLabels: labels });
};

/** What an endpoint says of its pod; everything else may change without a word. */
const facts = (pod: KubernetesObject) =>
  JSON.stringify([
    pod.metadata.labels,
    pod.status?.podIP,
    pod.spec.nodeName,
    isReady(pod),
    isTerminating(pod),
    isFinished(pod),
  ]);

const targetRef = ({ metadata }: KubernetesObject) => ({
  kind: 'Pod',
  namespace: metadata.namespace,
  name: metadata.name,
  uid: metadata.uid,
});

/** A named target port is looked up in the pod. */
function resolve(
  { name = '', port, protocol = 'TCP', targetPort = port }: ServicePort,
  pod: KubernetesObject | undefined,
) {
  const named = (pod?.spec.containers ?? [])
    .flatMap((container: { ports?: { name?: string; containerPort: number }[] }) => container.ports ?? [])
    .find((each: { name?: string }) => each.name === targetPort);
  return { name, port: typeof targetPort === 'number' ? targetPort : (named?.containerPort ?? port), protocol };
}

/** podToEndpoint of Kubernetes' endpointslice/utils.go. */
const publishesAll = ({ spec }: KubernetesObject): boolean => spec.publishNotReadyAddresses === true;
