import type { KubernetesObject, ObjectStore } from '../../src/simulator/types.ts';
import type { FakeNodes } from './fake-nodes.ts';

/**
 * One kubelet a node: bound pods run when the node's runtime has a network for them, deleted pods go. A pod that met the
 * fence stays in its back-off until somebody deletes it.
 */
export function startFakeKubelets(store: ObjectStore, nodes: FakeNodes) {
  let addresses = 0;
  /** App labels whose pods do not become Ready, with the reason that they show. */
  const broken = new Map<string, string>();
  /** App labels whose pods do not end when they are deleted. */
  const hanging = new Set<string>();
  const backingOff = new Set<string>();

  const stop = store.watch('pods', ({ type, object }) => {
    if (type !== 'DELETED' && object['spec'].nodeName) setImmediate(() => serve(object));
  });
  nodes.onChange((node) => {
    for (const pod of store.list('pods', { fieldSelector: `spec.nodeName=${node}` })) serve(pod);
  });

  function serve({ metadata }: KubernetesObject): void {
    const pod = store.get('pods', metadata.namespace, metadata.name);
    if (!pod || pod.metadata.uid !== metadata.uid) return;
    const state = nodes.state(pod['spec'].nodeName);
    const app = pod.metadata.labels?.['app'] ?? pod.metadata.labels?.['k8s-app'] ?? '';
    if (!state.kubeletActive) return;
    if (pod.metadata.deletionTimestamp !== undefined) {
      if (hanging.has(app)) return;
      state.sandboxes = state.sandboxes.filter(({ id }) => id !== metadata.uid);
      store.remove('pods', metadata.namespace, metadata.name);
      return;
    }
    if (['Running', 'Succeeded', 'Failed'].includes(pod['status']?.phase) || backingOff.has(metadata.uid!)) return;
    const host = pod['spec'].hostNetwork === true;
    const connected = host || state.loadedNetworks.some((name) => ['cbr0', 'k8s-pod-network'].includes(name));
    if (!connected) backingOff.add(metadata.uid!);
    const reason = connected ? broken.get(app) : 'ContainerCreating';
    const phase = reason === undefined ? 'Running' : 'Pending';
    if (pod['status']?.phase === phase && pod['status']?.containerStatuses) return;
    if (connected) {
      state.sandboxes.push({
        id: metadata.uid!,
        name: metadata.name,
        namespace: metadata.namespace ?? '',
        network: host ? 'NODE' : 'POD',
        ready: true,
      });
    }
    store.mutate('pods', metadata.namespace, metadata.name, (object) => {
      object['status'] = {
        ...object['status'],
        phase,
        ...(connected ? { podIP: `10.244.9.${++addresses}` } : {}),
        containerStatuses: [
          reason === undefined
            ? { name: 'agent', ready: true, state: { running: {} } }
            : { name: 'agent', ready: false, state: { waiting: { reason, message: `because of ${reason}` } } },
        ],
        conditions: [
          ...(object['status']?.conditions ?? []),
          { type: 'Ready', status: reason === undefined ? 'True' : 'False' },
        ],
      };
    });
  }

  return { stop, broken, hanging };
}
