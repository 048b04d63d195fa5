import { createObjectStore } from '../../src/simulator/api/object-store.ts';
import { createClock } from '../../src/simulator/clock.ts';
import { startControllers } from '../../src/simulator/controllers/start-controllers.ts';
import { createFaults } from '../../src/simulator/scenario/faults.ts';
import { createRandom } from '../../src/simulator/scenario/random.ts';
import type { KubernetesObject, ObjectStore } from '../../src/simulator/types.ts';

/** A store, the controllers, and kubelets that need no node: bound pods run at once, deleted ones are gone at once. */
export function startControlPlane(options: { nodeGraceMs?: number; speed?: number } = {}) {
  const clock = createClock({ speed: options.speed ?? 0 });
  const store = createObjectStore(clock);
  const faults = createFaults();
  const silent = new Set<string>();
  const errors: string[] = [];
  const kubelets = startKubelets(store, silent);
  const controllers = startControllers({
    store,
    clock,
    faults,
    random: createRandom(1),
    isAlive: (node) => !silent.has(node),
    ...(options.nodeGraceMs === undefined ? {} : { nodeGraceMs: options.nodeGraceMs }),
    onError: (message, error) => errors.push(`${message}: ${String(error)}`),
  });
  return {
    store,
    faults,
    clock,
    errors,
    kubelets,
    /** Nodes in it send no heartbeats. */
    silent,
    /** Waits until nobody has anything to do, then answers what `ask` says. */
    async settled<T>(ask: (store: ObjectStore) => T): Promise<T> {
      await quiet(() => controllers.idle, store);
      return ask(store);
    },
    stop() {
      controllers.stop();
      kubelets.stop();
      clock.stop();
    },
  };
}

/** Idle, and nothing written, for a few turns of the event loop. */
async function quiet(idle: () => boolean, store: ObjectStore): Promise<void> {
  let calm = 0;
  let version = -1;
  while (calm < 5) {
    await new Promise((resolve) => setImmediate(resolve));
    calm = idle() && version === store.resourceVersion ? calm + 1 : 0;
    version = store.resourceVersion;
  }
}

function startKubelets(store: ObjectStore, silent: ReadonlySet<string>) {
  let addresses = 0;
  const held = new Set<string>();
  const stop = store.watch('pods', ({ type, object }) => {
    if (type === 'DELETED' || !object['spec'].nodeName) return;
    setImmediate(() => serve(object));
  });

  function serve({ metadata }: KubernetesObject): void {
    const pod = store.get('pods', metadata.namespace, metadata.name);
    if (pod === undefined || pod.metadata.uid !== metadata.uid || silent.has(pod['spec'].nodeName)) return;
    if (pod.metadata.deletionTimestamp !== undefined) {
      store.remove('pods', metadata.namespace, metadata.name);
      return;
    }
    if (pod['status']?.phase === 'Running' || held.has(pod.metadata.labels?.['app'] ?? '')) return;
    store.mutate('pods', metadata.namespace, metadata.name, (object) => {
      object['status'] = {
        ...object['status'],
        phase: 'Running',
        podIP: `10.244.0.${++addresses}`,
        conditions: [...(object['status']?.conditions ?? []), { type: 'Ready', status: 'True' }],
      };
    });
  }

  return {
    stop,
    /** Pods with this label `app` do not become ready until released. */
    hold: (app: string) => void held.add(app),
    release(app: string) {
      held.delete(app);
      store.list('pods').forEach(serve);
    },
  };
}

/** A node as it registers itself. */
export function addNode(
  store: ObjectStore,
  name: string,
  options: { zone?: string; labels?: { [key: string]: string }; taints?: object[]; unschedulable?: boolean } = {},
): void {
  const { zone = 'zone-a', labels = {}, taints, unschedulable } = options;
  store.create('nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': zone, ...labels } },
    spec: { ...(taints ? { taints } : {}), ...(unschedulable ? { unschedulable } : {}) },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  });
}

export function deployment(name: string, replicas: number, pod: object = {}): KubernetesObject {
  return workload('Deployment', name, { replicas }, pod);
}

export function daemonSet(name: string, pod: object = {}, spec: object = {}): KubernetesObject {
  return workload('DaemonSet', name, spec, pod);
}

export function statefulSet(name: string, replicas: number): KubernetesObject {
  return workload('StatefulSet', name, { replicas, serviceName: name }, {});
}

function workload(kind: string, name: string, spec: object, pod: object): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace: 'default' },
    spec: {
      ...spec,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'a:1' }], ...pod } },
    },
  };
}

export function barePod(name: string, spec: object = {}): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: name } },
    spec: { containers: [{ name: 'main', image: 'a:1' }], ...spec },
  };
}

export const podsOf = (store: ObjectStore, app: string) =>
  store.list('pods', { namespace: 'default', labelSelector: `app=${app}` });
export const nodesOf = (store: ObjectStore, app: string): string[] =>
  podsOf(store, app)
    .map((pod) => pod['spec'].nodeName ?? '')
    .sort((left: string, right: string) => left.localeCompare(right));
