import type { KubernetesObject, ObjectStore } from '../types.ts';

/** All nodes; tells of changes that matter to placing pods, and not of heartbeats. */
export interface NodeIndex {
  get(name: string): KubernetesObject | undefined;
  all(): Iterable<KubernetesObject>;
  readonly size: number;
  onPlacementChange(listener: (name: string) => void): void;
  stop(): void;
}

export function createNodeIndex(store: ObjectStore): NodeIndex {
  const nodes = new Map(store.list('nodes').map((node) => [node.metadata.name, node]));
  const listeners: ((name: string) => void)[] = [];

  const stop = store.watch('nodes', ({ type, object }) => {
    const { name } = object.metadata;
    const before = nodes.get(name);
    const after = type === 'DELETED' ? undefined : object;
    if (after === undefined) nodes.delete(name);
    else nodes.set(name, after);
    if (placement(before) !== placement(after)) listeners.forEach((each) => each(name));
  });

  return {
    get: (name) => nodes.get(name),
    all: () => nodes.values(),
    get size() {
      return nodes.size;
    },
    onPlacementChange: (listener) => void listeners.push(listener),
    stop,
  };
}

const placement = (node: KubernetesObject | undefined) =>
  node && JSON.stringify([node.metadata.labels, node.spec?.taints, node.spec?.unschedulable]);
