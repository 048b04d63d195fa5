import type { ApiObjectStore } from './object-store.ts';

const PRIORITY_CLASSES = { 'system-node-critical': 2000001000, 'system-cluster-critical': 2000000000 };

/** What the API server itself makes in an empty cluster; what is there already stays. */
export function bootstrap(store: ApiObjectStore): void {
  for (const name of ['default', 'kube-node-lease', 'kube-public', 'kube-system']) {
    if (store.get('namespaces', undefined, name) !== undefined) continue;
    store.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  for (const [name, value] of Object.entries(PRIORITY_CLASSES)) {
    const resource = 'priorityclasses.scheduling.k8s.io';
    if (store.get(resource, undefined, name) !== undefined) continue;
    store.create(resource, {
      apiVersion: 'scheduling.k8s.io/v1',
      kind: 'PriorityClass',
      metadata: { name },
      value,
      globalDefault: false,
      preemptionPolicy: 'PreemptLowerPriority',
    });
  }
  if (store.get('services', 'default', 'kubernetes') !== undefined) return;
  store.create('services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kubernetes', namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      clusterIP: store.apiServiceAddress,
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: 6443 }],
    },
  });
}
