import type { KubernetesObject } from '../types.ts';
import type { ControllerContext } from './context.ts';
import { isTerminating } from './pods.ts';

/** The system's own namespaces. */
export const systemNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** Gives every namespace its default service account and the cluster's CA, as two controllers of the real one do. */
export function runNamespaces({ store, queue, onStop }: ControllerContext): void {
  const work = queue('namespace', sync);
  store.list('namespaces').forEach(({ metadata }) => work.add(metadata.name));
  onStop(store.watch('namespaces', ({ object }) => work.add(object.metadata.name)));

  function sync(name: string): void {
    const namespace = store.get('namespaces', undefined, name);
    if (namespace === undefined || isTerminating(namespace)) return;
    provide('serviceaccounts', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace: name },
    });
    provide('configmaps', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-root-ca.crt', namespace: name },
      data: { 'ca.crt': '' },
    });
  }

  function provide(resource: string, object: KubernetesObject): void {
    const { namespace, name } = object.metadata;
    if (store.get(resource, namespace, name) === undefined) store.create(resource, object);
  }
}
