import type { Bgp } from '../cni/bgp.ts';
import type { ModelDataPath } from '../network/data-path.ts';
import type { NodeControl } from '../node/sim-node.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { Random } from '../scenario/random.ts';
import type { ExecStreams, KubernetesObject, ObjectStore, SimClock } from '../types.ts';
import type { Daemons } from './daemons.ts';

/** Where a program runs. */
export interface ProgramContext {
  store: ObjectStore;
  clock: SimClock;
  dataPath: ModelDataPath;
  bgp?: Bgp;
  random: Random;
  faults: FaultRegistry;
  /** Servers that commands left running, of all pods. */
  daemons: Daemons;
  node: NodeControl;
  pod: KubernetesObject;
  container: string;
  /** What a program that runs in the container has written there; undefined when nothing did. */
  written(path: string): string | undefined;
  /** Another node by name. */
  nodeOf(name: string): NodeControl | undefined;
}

/** One command with its words and its output. @returns the exit code */
export type Program = (context: ProgramContext, words: string[], io: ExecStreams) => Promise<number> | number;

export const podKey = ({ metadata }: KubernetesObject) => `${metadata.namespace}/${metadata.name}`;

/** Address that the pod has for itself. */
export const ownAddress = ({ pod, node, dataPath }: ProgramContext): string =>
  pod['spec'].hostNetwork === true ? node.ip : (dataPath.addressOfPod(podKey(pod)) ?? '');

/** MTU of a pod's interface, bytes; of the node's own when the pod is on the host network. */
export function podMtu(node: NodeControl, pod: KubernetesObject): number {
  const sandbox = [...node.sandboxes.values()].find((each) => each.pod.uid === pod.metadata.uid);
  return sandbox === undefined || sandbox.network === 'NODE'
    ? node.underlayMtu
    : (node.links.get(sandbox.link)?.mtu ?? node.underlayMtu);
}

export const isAddress = (text: string) => /^\d+\.\d+\.\d+\.\d+$/.test(text);
