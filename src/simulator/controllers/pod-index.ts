import type { KubernetesObject, ObjectStore } from '../types.ts';
import { controllerUid } from './pods.ts';

export type PodListener = (before: KubernetesObject | undefined, after: KubernetesObject | undefined) => void;

/** All pods, by owner and by node, kept up to date by one watch. */
export interface PodIndex {
  ownedBy(uid: string): KubernetesObject[];
  onNode(name: string): KubernetesObject[];
  inNamespace(namespace: string): Iterable<KubernetesObject>;
  /** Called after the index has taken the change in. */
  onChange(listener: PodListener): void;
  stop(): void;
}

type Group = Map<string, Map<string, KubernetesObject>>;

const keyOf = ({ metadata }: KubernetesObject) => `${metadata.namespace}/${metadata.name}`;

export function createPodIndex(store: ObjectStore): PodIndex {
  const owners: Group = new Map();
  const nodes: Group = new Map();
  const namespaces: Group = new Map();
  const listeners: PodListener[] = [];

  function take(pod: KubernetesObject): KubernetesObject | undefined {
    const namespace = pod.metadata.namespace ?? '';
    const before = namespaces.get(namespace)?.get(keyOf(pod));
    if (before === undefined) return undefined;
    leave(namespaces, namespace, before);
    leave(owners, controllerUid(before), before);
    leave(nodes, before.spec.nodeName, before);
    return before;
  }

  function put(pod: KubernetesObject): void {
    enter(namespaces, pod.metadata.namespace ?? '', pod);
    enter(owners, controllerUid(pod), pod);
    enter(nodes, pod.spec.nodeName, pod);
  }

  for (const pod of store.list('pods')) put(pod);
  const stop = store.watch('pods', ({ type, object }) => {
    const before = take(object);
    const after = type === 'DELETED' ? undefined : object;
    if (after !== undefined) put(after);
    listeners.forEach((each) => each(before, after));
  });

  return {
    ownedBy: (uid) => [...(owners.get(uid)?.values() ?? [])],
    onNode: (name) => [...(nodes.get(name)?.values() ?? [])],
    inNamespace: (namespace) => namespaces.get(namespace)?.values() ?? [],
    onChange: (listener) => void listeners.push(listener),
    stop,
  };
}

function enter(group: Group, by: string | undefined, pod: KubernetesObject): void {
  if (!by) return;
  let members = group.get(by);
  if (members === undefined) group.set(by, (members = new Map()));
  members.set(keyOf(pod), pod);
}

function leave(group: Group, by: string | undefined, pod: KubernetesObject): void {
  if (!by) return;
  const members = group.get(by);
  members?.delete(keyOf(pod));
  if (members?.size === 0) group.delete(by);
}
