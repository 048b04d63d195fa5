import type { FaultRegistry } from '../scenario/faults.ts';
import type { Random } from '../scenario/random.ts';
import type { RunningClock } from '../clock.ts';
import type { ObjectStore } from '../types.ts';
import type { NodeIndex } from './node-index.ts';
import type { PodIndex } from './pod-index.ts';
import type { QueueFactory } from './work-queue.ts';

/** What every controller gets. */
export interface ControllerContext {
  store: ObjectStore;
  clock: RunningClock;
  faults: FaultRegistry;
  random: Random;
  /** Whether the node's kubelet sends heartbeats. */
  isAlive(node: string): boolean;
  /** Simulated ms without a heartbeat after which a node is Unknown. */
  nodeGraceMs: number;
  pods: PodIndex;
  nodes: NodeIndex;
  /** Makes a work queue that `startControllers` knows of. */
  queue: QueueFactory;
  /** Has the index or watch stopped together with the controllers. */
  onStop(stop: () => void): void;
}
