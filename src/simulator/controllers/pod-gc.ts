import type { ControllerContext } from './context.ts';

/** Removes the pods of nodes that no longer exist: no kubelet will ever finish them. */
export function runPodGc({ store, nodes, pods, queue, onStop }: ControllerContext): void {
  const work = queue('pod-gc', (node) => {
    if (nodes.get(node) !== undefined) return;
    pods.onNode(node).forEach(({ metadata }) => store.remove('pods', metadata.namespace, metadata.name));
  });
  onStop(store.watch('nodes', ({ type, object }) => void (type === 'DELETED' && work.add(object.metadata.name))));
}
