import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import type { Logger } from 'pino';
import { CutoverError } from '../errors.ts';
import { keptChild } from './kept-child.ts';
import { findTemporal } from '../../scripts/find-temporal.mjs';

export interface DevServer {
  address: string;
  /** `` without the UI. */
  uiUrl: string;
  /** Of its HTTP API, which refuses every caller. */
  httpUrl: string;
  pid: number;
  /** Resolves with a sentence when the server ends without being asked to. */
  died: Promise<string>;
  stop(): Promise<void>;
}

export interface DevServerOptions {
  /** Where the database lives; `` keeps everything in memory (tests, benchmarks). */
  dataDirectory: string;
  /** 0 for any free port. */
  port?: number;
  /** Temporal's own UI, which any user and any web page of this machine reaches. @default false */
  ui?: boolean;
  log: Logger;
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

/** A server that takes its own ports may lose one to somebody between choosing and opening it; then it ends at once. */
const startTries = 3;

/**
 * Temporal's development server on loopback. It ends with this process, however that ends: one that stayed behind would
 * share its database with the next. Eager activities are off in the server by default and nearly double its throughput;
 * WAL without a sync of every commit is what SQLite recommends for it.
 * @throws CutoverError TemporalUnreachable when no server can be found or it does not come up
 */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  const { log } = options;
  const found = await findTemporal({ say: (line: string) => log.info(line) });
  if ('problem' in found) throw new CutoverError('TemporalUnreachable', found.problem, { remedy: found.remedy });
  for (let tried = 1; ; tried++) {
    const started = await startOnce(found.path, options);
    if (typeof started !== 'string') return started;
    if (tried >= startTries) throw new CutoverError('TemporalUnreachable', started);
    log.warn(`${started}; starting it again`);
  }
}

/** @returns the server that answers, or in a sentence how it ended before it did */
async function startOnce(
  program: string,
  { dataDirectory, port = 0, ui = false }: DevServerOptions,
): Promise<DevServer | string> {
  const chosen = port === 0 ? await freePort() : port;
  const httpPort = await freePort();
  const uiPort = ui ? await freePort() : 0;
  const args = [
    'server',
    'start-dev',
    '--ip',
    '127.0.0.1',
    '--port',
    String(chosen),
    '--log-level',
    'error',
    '--dynamic-config-value',
    'system.enableActivityEagerExecution=true',
    // The dev server always opens an HTTP API (there is no switch), and by default it answers every Host and Origin: web
    // pages, too. Cutover has no use for it. `.invalid` never resolves (RFC 6761), so that no page can have this Host.
    '--http-port',
    String(httpPort),
    '--dynamic-config-value',
    'frontend.httpAllowedHosts=["closed.invalid"]',
    ...(ui ? ['--ui-port', String(uiPort)] : ['--headless']),
    ...(dataDirectory
      ? [
          '--db-filename',
          join(dataDirectory, 'temporal.db'),
          '--sqlite-pragma',
          'journal_mode=wal',
          '--sqlite-pragma',
          'synchronous=1',
        ]
      : []),
  ];
  const child = keptChild(program, args);
  let tail = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (tail = (tail + text).slice(-2_000)));
  let stopping = false;
  const died = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`Temporal's server could not be started: ${error.message}`));
    child.once(
      'exit',
      (code, signal) =>
        stopping ||
        resolve(`Temporal's server ended (${signal ?? `exit ${code}`}): ${tail.trim().split('\n').at(-1) ?? ''}`),
    );
  });
  const address = `127.0.0.1:${chosen}`;
  try {
    const early = await Promise.race([answers(address, 60_000), died]);
    if (typeof early === 'string') return early;
  } catch (error) {
    stopping = true;
    await end(child);
    throw error;
  }
  return {
    address,
    httpUrl: `http://127.0.0.1:${httpPort}`,
    uiUrl: ui ? `http://127.0.0.1:${uiPort}` : '',
    pid: child.pid!,
    died,
    stop: () => {
      stopping = true;
      return end(child);
    },
  };
}

/** Waits until the server answers a call in its default namespace, which is made after the port opens. */
async function answers(address: string, timeoutMs: number): Promise<void> {
  const until = Date.now() + timeoutMs;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 2_000 });
      try {
        await connection.withDeadline(Date.now() + 2_000, () =>
          connection.workflowService.describeNamespace({ namespace: 'default' }),
        );
        return;
      } finally {
        await connection.close();
      }
    } catch (cause) {
      if (Date.now() > until)
        throw new CutoverError(
          'TemporalUnreachable',
          `Temporal's server does not answer at ${address} after ${timeoutMs / 1000} s`,
          { cause },
        );
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const force = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), 5_000);
  await exited;
  clearTimeout(force);
}
