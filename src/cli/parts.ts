import { mkdirSync, rmSync } from 'node:fs';
import type { Logger } from 'pino';
import { checks } from '../checks/index.ts';
import { CutoverError } from '../errors.ts';
import { ensureToken, homeAt, makeHome, writeServerFile } from '../server/home.ts';
import { createPlanner } from '../server/planning.ts';
import { startServer, type RunningServer } from '../server/serve.ts';
import { temporalControl } from '../server/temporal-control.ts';
import { keepOutside, parseOutside } from '../store/outside.ts';
import { openStore } from '../store/sqlite.ts';
import { connect, temporalAddressFromEnv, type TemporalAddress } from '../temporal/connect.ts';
import { startDevServer } from '../temporal/dev-server.ts';
import { temporalKeys } from '../temporal/keys.ts';
import { cutoverVersion } from './version.ts';
import { startWorkerProcess } from './worker-process.ts';

export interface PartsOptions {
  /** Of the home; made when it is missing. */
  directory: string;
  host?: string;
  /** Of the server; 0 for any free one. */
  port: number;
  /** Of Temporal's dev server; 0 for any free one. */
  temporalPort?: number;
  env: NodeJS.ProcessEnv;
  log: Logger;
  /** Called with one sentence for what a person should know. */
  say(sentence: string): void;
  /** Log lines of the worker go into this file instead of stderr. */
  workerLog?: string;
  /** Whether Temporal's dev server has its own UI. @default false */
  temporalUi?: boolean;
}

export interface Parts {
  url: string;
  /** Unix socket of the server; `` when its path is too long for one. */
  socket: string;
  token: string;
  temporal: TemporalAddress;
  /** Page of Temporal's own UI, `` without it. */
  temporalUi: string;
  workerPid(): number | undefined;
  /** Rejects when a part is gone that cannot be started again. */
  broken: Promise<never>;
  /** In the right order: the worker first, since it has to tell Temporal how its steps ended. A second call kills. */
  stop(): Promise<void>;
}

/**
 * Temporal's dev server (unless TEMPORAL_ADDRESS names one), a worker and the HTTP server, until `stop`.
 * @throws CutoverError TemporalUnreachable | StoreUnusable | Usage
 */
export async function startParts(options: PartsOptions): Promise<Parts> {
  const { env, log, say } = options;
  const home = homeAt(options.directory);
  makeHome(home, say);
  const token = ensureToken(home, env);
  const stops: (() => Promise<void> | void)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    if (stopping) return worker?.stop() ?? stopping;
    return (stopping = (async () => {
      for (const each of stops.toReversed()) await each();
    })());
  };
  let worker: ReturnType<typeof startWorkerProcess> | undefined;
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);

  try {
    const store = openStore(home.database, { env, say });
    stops.push(() => store.close());
    const anchor = parseOutside(env['CUTOVER_ANCHOR']);
    const outside = anchor && keepOutside(store, anchor, { log });
    if (outside) stops.push(() => outside.stop());

    let temporalUi = '';
    const keys = temporalKeys(home.directory, env);
    let temporal: TemporalAddress = { ...temporalAddressFromEnv(env), keys };
    if (!env['TEMPORAL_ADDRESS']) {
      mkdirSync(home.temporal, { recursive: true, mode: 0o700 });
      const devServer = await startDevServer({
        dataDirectory: home.temporal,
        port: options.temporalPort ?? 0,
        ui: options.temporalUi ?? false,
        log,
      });
      stops.push(() => devServer.stop());
      temporal = { address: devServer.address, namespace: 'default', keys };
      temporalUi = devServer.uiUrl;
      devServer.died.then(
        (sentence) =>
          broken.reject(
            new CutoverError('TemporalUnreachable', sentence, {
              remedy: 'start `cutover up` again: migrations go on where they were',
            }),
          ),
        () => undefined,
      );
    }
    const { connection } = await connect(temporal);
    stops.push(() => connection.close());

    const server: RunningServer = await startServer(
      {
        store,
        control: temporalControl(connection, temporal),
        planner: createPlanner(checks.map(({ id }) => id)),
        token,
        version: cutoverVersion(),
        log,
        ...(outside && { outside }),
      },
      {
        port: options.port,
        socket: home.socket,
        ...(options.host === undefined ? {} : { host: options.host }),
      },
    );
    if (server.socket === '')
      say(
        `the path ${home.socket} is too long for a Unix socket: the CLI uses ${server.url}; a shorter CUTOVER_HOME has one`,
      );
    stops.push(() => server.stop());
    writeServerFile(home, { url: server.url, socket: server.socket, pid: process.pid });
    stops.push(() => rmSync(home.serverFile, { force: true }));

    worker = startWorkerProcess({
      env: {
        ...env,
        CUTOVER_HOME: home.directory,
        TEMPORAL_ADDRESS: temporal.address,
        TEMPORAL_NAMESPACE: temporal.namespace,
      },
      onDeath: say,
      ...(options.workerLog === undefined ? {} : { logFile: options.workerLog }),
    });
    stops.push(() => worker!.stop());
    await Promise.race([worker.ready, broken.promise]);
    return {
      url: server.url,
      socket: server.socket,
      token,
      temporal,
      temporalUi,
      workerPid: () => worker?.pid,
      broken: broken.promise,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
