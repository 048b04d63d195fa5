import type { NodeControl } from '../node/sim-node.ts';
import type { Random } from '../scenario/random.ts';
import type { ScenarioTiming } from '../scenario/scenario.ts';
import type { KubernetesObject, ObjectStore, SimClock } from '../types.ts';
import type { ClusterDirectory } from './directory.ts';

/** What a CNI agent's container finds around it. */
export interface AgentHost {
  node: NodeControl;
  store: ObjectStore;
  clock: SimClock;
  timing: ScenarioTiming;
  random: Random;
  directory: ClusterDirectory;
  /** Simulated ms until the agent has set up the node. */
  startMs: number;
  log(line: string): void;
  /** The process ends with an error; kubelet starts the container again. */
  crash(message: string): void;
  /** The readiness probe would pass from now on. */
  ready(): void;
}

/** A running agent. What it made on the node stays when it stops. */
export interface Agent {
  stop(): void;
  /** The container's preStop hook, when the pod's grace period leaves it time. */
  preStop?(): void;
}

/** Runs `run` once after `ms`, however often it is asked for meanwhile. */
export function debounced(clock: SimClock, ms: number, run: () => void): { request(): void; cancel(): void } {
  let waiting: { cancel(): void } | undefined;
  return {
    request() {
      waiting ??= clock.after(ms, () => {
        waiting = undefined;
        run();
      });
    },
    cancel() {
      waiting?.cancel();
      waiting = undefined;
    },
  };
}

/** Another VXLAN device with the same VNI and port: the kernel refuses a second one (EEXIST). */
export const vxlanTwin = (node: NodeControl, name: string, vni: number, port: number) =>
  [...node.links.values()].find(
    (link) => link.kind === 'vxlan' && link.name !== name && link.vni === vni && link.dstPort === port,
  );

/** Sets the node's condition NetworkUnavailable, as flanneld and calico-node do at their start. */
export function setNetworkUnavailable(
  { store, clock, node }: AgentHost,
  status: 'True' | 'False',
  reason: string,
  message: string,
): void {
  const time = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  store.mutate('nodes', undefined, node.name, (object: KubernetesObject) => {
    const conditions: { [key: string]: string }[] = ((object['status'] ??= {}).conditions ??= []);
    const before = conditions.find(({ type }) => type === 'NetworkUnavailable');
    const next = {
      type: 'NetworkUnavailable',
      status,
      reason,
      message,
      lastHeartbeatTime: time,
      lastTransitionTime: before?.['status'] === status ? (before['lastTransitionTime'] ?? time) : time,
    };
    if (before === undefined) conditions.push(next);
    else Object.assign(before, next);
  });
}
