import type { RunningClock } from '../clock.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { Random } from '../scenario/random.ts';
import type { ObjectStore } from '../types.ts';
import type { ControllerContext } from './context.ts';
import { runDaemonSets } from './daemon-set.ts';
import { runDeployments } from './deployment.ts';
import { runDisruptions } from './disruption.ts';
import { runEndpoints } from './endpoints.ts';
import { runNamespaces } from './namespaces.ts';
import { createNodeIndex } from './node-index.ts';
import { runNodeLifecycle, runTaintEviction } from './node-lifecycle.ts';
import { runPodGc } from './pod-gc.ts';
import { createPodIndex } from './pod-index.ts';
import { runReplicaSets } from './replica-set.ts';
import { runScheduler } from './scheduler.ts';
import { runStatefulSets } from './stateful-set.ts';
import { createWorkQueues } from './work-queue.ts';

export interface ControllerOptions {
  store: ObjectStore;
  clock: RunningClock;
  faults: FaultRegistry;
  random: Random;
  /** Whether the node's kubelet sends heartbeats. */
  isAlive(node: string): boolean;
  /** Simulated ms without a heartbeat after which a node is Unknown. @default 40000 */
  nodeGraceMs?: number;
  /** Told of work that failed more than once in a row. @default process.emitWarning */
  onError?: (message: string, error: unknown) => void;
}

export interface Controllers {
  /** Whether no controller has anything left to do at this moment. */
  readonly idle: boolean;
  stop(): void;
}

const warn = (message: string, error: unknown) =>
  process.emitWarning(`${message}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);

/** Starts the control plane: scheduler and controllers, driven by what changes in the store. */
export function startControllers({ nodeGraceMs = 40_000, onError = warn, ...options }: ControllerOptions): Controllers {
  const stops: (() => void)[] = [];
  const queues = createWorkQueues(options.clock, (queue, key, error) =>
    onError(`controller ${queue} fails on ${key}`, error),
  );
  const pods = createPodIndex(options.store);
  const nodes = createNodeIndex(options.store);
  const context: ControllerContext = {
    ...options,
    nodeGraceMs,
    pods,
    nodes,
    queue: queues.create,
    onStop: (stop) => void stops.push(stop),
  };

  runNamespaces(context);
  runNodeLifecycle(context);
  runTaintEviction(context);
  runPodGc(context);
  runDeployments(context);
  runReplicaSets(context);
  runStatefulSets(context);
  runDaemonSets(context);
  runScheduler(context);
  runEndpoints(context);
  runDisruptions(context);

  return {
    get idle() {
      return queues.idle;
    },
    stop() {
      queues.stop();
      pods.stop();
      nodes.stop();
      stops.forEach((stop) => stop());
    },
  };
}
