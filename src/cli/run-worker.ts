import { statSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Logger } from 'pino';
import { createActivities } from '../../activities/activities.ts';
import { createLeases } from '../../activities/lease.ts';
import type { KubernetesClient } from '../kubernetes/types.ts';
import { createKubernetesClient } from '../kubernetes/client.ts';
import { createSshAccess } from '../node/ssh.ts';
import type { NodeAccess } from '../node/types.ts';
import { openStore } from '../store/sqlite.ts';
import type { TemporalAddress } from '../temporal/connect.ts';
import { createWorker, installRuntime } from '../temporal/worker.ts';
import { workflowBundle } from '../temporal/workflow-bundle.ts';

export interface RunWorkerOptions {
  temporal: TemporalAddress;
  database: string;
  log: Logger;
  /** Ends it: steps in flight get half a minute, then Temporal gives them to another worker. */
  signal: AbortSignal;
  /** Called when it takes work. */
  onReady?(): void;
}

/** Runs one worker until `signal` aborts. @throws CutoverError TemporalUnreachable | StoreUnusable */
export async function runWorker({ temporal, database, log, signal, onReady }: RunWorkerOptions): Promise<void> {
  installRuntime(log);
  const store = openStore(database, { say: (sentence) => log.warn(sentence) });
  const identity = `${hostname()}:${process.pid}`;
  const kubernetes = kept(
    ({ kubeconfig, context }: { kubeconfig: string; context: string }): KubernetesClient =>
      createKubernetesClient({ kubeconfig, context, log }),
    ({ kubeconfig }) => kubeconfig || process.env['KUBECONFIG'] || join(homedir(), '.kube/config'),
  );
  const nodes = kept(
    (ssh: Parameters<typeof createSshAccess>[0]): NodeAccess => createSshAccess(ssh, log),
    ({ configFile }) => configFile || join(homedir(), '.ssh/config'),
  );
  try {
    const leases = createLeases({ store, now: Date.now, identity });
    const activities = createActivities({
      store,
      leases,
      kubernetes: kubernetes.get,
      nodes: nodes.get,
      log,
      now: Date.now,
      identity,
    });
    const { worker, connection } = await createWorker({
      ...temporal,
      activities,
      identity,
      workflowBundle: await workflowBundle(log),
    });
    const release = leases.keep(kubernetes.get, log);
    const running = worker.run();
    const stop = (): void => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    onReady?.();
    try {
      await running;
    } finally {
      release();
      await connection.close();
    }
  } finally {
    await Promise.all([...nodes.all()].map((access) => access.close()));
    store.close();
  }
}

/**
 * One of a kind for each input: clients keep connections, so they are made once, and anew when the file they were
 * configured by has changed: credentials are rotated while a migration runs.
 */
export function kept<Input extends object, Made>(
  make: (input: Input) => Made,
  fileOf: (input: Input) => string,
): { get(input: Input): Made; all(): Iterable<Made> } {
  const made = new Map<string, Made>();
  return {
    get: (input) => {
      const key = JSON.stringify([input, stampOf(fileOf(input))]);
      const known = made.get(key) ?? make(input);
      made.set(key, known);
      return known;
    },
    all: () => made.values(),
  };
}

/** Changes when the file does. KUBECONFIG may be a list of files. */
const stampOf = (files: string): string =>
  files
    .split(delimiter)
    .map((file) => {
      const found = statSync(file, { throwIfNoEntry: false });
      return found === undefined ? '' : `${found.ino}:${found.size}:${found.mtimeMs}`;
    })
    .join(' ');
