import { fileURLToPath } from 'node:url';
import {
  NativeConnection,
  Runtime,
  Worker,
  bundleWorkflowCode,
  type ActivityInboundCallsInterceptor,
  type WorkflowBundle,
} from '@temporalio/worker';
import type { Logger } from 'pino';
import { CutoverError } from '../errors.ts';
import { ApplicationFailure } from '@temporalio/common';
import type { TemporalAddress } from './connect.ts';
import { failureConverterPath, sealed } from './data-converter.ts';
import { taskQueue } from './ids.ts';
import { firstUnreadable } from './unreadable.ts';

export interface WorkerOptions extends TemporalAddress {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- activities of every shape, by name
  activities: Record<string, (...args: any[]) => Promise<unknown>>;
  identity: string;
  /** Default `cutover`; tests use their own. */
  taskQueue?: string;
  /** See workflow-bundle.ts; tests make one and give it to several workers. */
  workflowBundle: WorkflowBundle;
}

const interceptorsPath = fileURLToPath(new URL('../../workflows/interceptors.ts', import.meta.url));
export const workflowsPath = fileURLToPath(new URL('../../workflows/index.ts', import.meta.url));

/** Takes seconds and some 150 MB: for tests, and for processes that end soon. */
export const bundleWorkflows = (log?: Logger): Promise<WorkflowBundle> =>
  bundleWorkflowCode({
    workflowsPath,
    failureConverterPath,
    workflowInterceptorModules: [interceptorsPath],
    logger: temporalLogger(log),
  });

/** Temporal's logger interface on pino; its chatter stays at debug. */
function temporalLogger(log?: Logger): NonNullable<Parameters<typeof bundleWorkflowCode>[0]['logger']> {
  const at = (level: 'trace' | 'debug' | 'info' | 'warn' | 'error') => (message: string, meta?: object) =>
    log?.[level](meta ?? {}, message);
  return {
    log: (level, message, meta) => at(level === 'ERROR' ? 'error' : level === 'WARN' ? 'warn' : 'debug')(message, meta),
    trace: at('trace'),
    debug: at('debug'),
    info: at('debug'),
    warn: at('warn'),
    error: at('error'),
  };
}

/** Once in a process, before the first worker: Temporal's own log lines go through pino, and signals stay ours. */
export function installRuntime(log: Logger): void {
  Runtime.install({
    logger: temporalLogger(log),
    shutdownSignals: [],
    telemetryOptions: { logging: { forward: {}, filter: { core: 'WARN', other: 'ERROR' } } },
  });
}

/** An activity that was not asked for by a workflow of ours has no effect. */
const refuseForged: ActivityInboundCallsInterceptor = {
  execute: (input, next) => {
    const why = firstUnreadable(input.args);
    if (why !== undefined)
      throw ApplicationFailure.nonRetryable(`this was not asked for by Cutover: ${why}`, 'NotAllowed');
    return next(input);
  },
};

/**
 * One worker for workflows and activities on one task queue: eager activities need both in one worker, and they nearly
 * double the throughput of the embedded server.
 * @throws CutoverError TemporalUnreachable
 */
export async function createWorker(options: WorkerOptions): Promise<{ worker: Worker; connection: NativeConnection }> {
  const { address, namespace, activities, identity, keys } = options;
  const connection = await NativeConnection.connect({ address }).catch((cause: unknown) => {
    throw new CutoverError('TemporalUnreachable', `no Temporal server answers at ${address}`, { cause });
  });
  const worker = await Worker.create({
    connection,
    namespace,
    identity,
    taskQueue: options.taskQueue ?? taskQueue,
    workflowBundle: options.workflowBundle,
    activities,
    ...(keys ? { dataConverter: sealed(keys) } : {}),
    interceptors: { activity: [() => ({ inbound: refuseForged })] },
    // A node in flight holds one activity; 25 nodes at a time and the cluster's own steps fit well.
    maxConcurrentActivityTaskExecutions: 64,
    maxConcurrentWorkflowTaskExecutions: 40,
    // About 1 MB each (the SDK's measure for `reuseV8Context`, worker-options.ts). The nodes of 64 activities, their waves
    // and the cluster fit; one that does not fit is replayed when it is needed, which for a node are some 100 events.
    maxCachedWorkflows: 100,
    // One V8 context for all workflows: a third of the memory, and more threads would gain nothing (worker-options.ts).
    reuseV8Context: true,
    workflowThreadPoolSize: 1,
    // Heartbeats are also how cancellation arrives: an abort must not wait for a throttled one.
    maxHeartbeatThrottleInterval: '2s',
    defaultHeartbeatThrottleInterval: '2s',
    shutdownGraceTime: '30s',
    shutdownForceTime: '40s',
  });
  return { worker, connection };
}
