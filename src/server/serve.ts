import { createAdaptorServer } from '@hono/node-server';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CutoverError } from '../errors.ts';
import { createApp } from './app.ts';
import type { ServerDependencies } from './context.ts';

export interface RunningServer {
  url: string;
  port: number;
  /** Answers what is under way no more: open event streams are cut. Nothing is lost, the store has everything. */
  stop(): Promise<void>;
}

export interface ListenOptions {
  /** Loopback by default: the token is all that guards the API. */
  host?: string;
  /** 0 for any free port. */
  port: number;
}

/** @throws CutoverError Usage when the port is taken or may not be used */
export async function startServer(
  dependencies: ServerDependencies,
  { host = '127.0.0.1', port }: ListenOptions,
): Promise<RunningServer> {
  const server = createAdaptorServer({ fetch: createApp(dependencies).fetch }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new CutoverError(
          'Usage',
          cause.code === 'EADDRINUSE'
            ? `port ${port} of ${host} is taken`
            : `the server cannot listen on ${host}:${port}: ${cause.message}`,
          {
            remedy: 'choose another one with --port, or 0 for any free one',
            cause,
          },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    port: taken,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
