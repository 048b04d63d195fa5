import { createAdaptorServer } from '@hono/node-server';
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect, type AddressInfo, type ListenOptions as Place, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { CutoverError } from '../errors.ts';
import { createApp } from './app.ts';
import type { ServerDependencies } from './context.ts';
import { errorBody } from './errors.ts';
import { refuseOpenFile } from './home.ts';

export interface RunningServer {
  url: string;
  port: number;
  /** Path of the Unix socket; `` when there is none. */
  socket: string;
  /** Answers what is under way no more: open event streams are cut. Nothing is lost, the store has everything. */
  stop(): Promise<void>;
}

export interface ListenOptions {
  /** Loopback by default. */
  host?: string;
  /** 0 for any free port. */
  port: number;
  /** Path of a Unix socket to listen on, too. Left out when it is longer than the system allows. */
  socket?: string;
  /** Files in PEM: with them the port speaks TLS. */
  tls?: { certFile: string; keyFile: string };
}

/** What Linux and macOS take for the path of a socket, in bytes (sun_path of unix(7) is 108, of macOS 104, with a NUL). */
const longestSocketPath = process.platform === 'linux' ? 107 : 103;
/** Whether a server can listen on that path. */
export const socketFits = (path: string): boolean => Buffer.byteLength(path) <= longestSocketPath;

/** So that slow or idle callers cannot hold the server: ms, bytes, connections. */
const limits = { headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 16 * 1024, maxConnections: 512 };

/** @throws CutoverError Usage when the port or the socket is taken, may not be used, or a TLS file is no good */
export async function startServer(
  dependencies: ServerDependencies,
  { host = '127.0.0.1', port, socket = '', tls }: ListenOptions,
): Promise<RunningServer> {
  const { fetch } = createApp({ ...dependencies, names: [...(dependencies.names ?? []), host] });
  const { maxConnections, ...timeouts } = limits;
  const serverOptions = { ...timeouts, connectionsCheckingInterval: 2_000 };
  const create = (secure?: { cert: Buffer; key: Buffer }): Server => {
    const server = createAdaptorServer(
      secure === undefined
        ? { fetch, serverOptions }
        : { fetch, createServer: createSecureServer, serverOptions: { ...serverOptions, ...secure } },
    ) as Server;
    server.maxConnections = maxConnections;
    return server.on('clientError', answerBroken);
  };

  const servers: Server[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(
      servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
  };
  try {
    const tcp = create(tls && readTls(tls));
    servers.push(tcp);
    await listen(tcp, { port, host }, `${host}:${port}`, 'choose another one with --port, or 0 for any free one');
    const path = socketFits(socket) ? socket : '';
    if (path !== '') {
      await clearSocket(path);
      const local = create();
      servers.push(local);
      await listen(local, { path }, path, 'end what listens there, or set CUTOVER_HOME to another folder');
      chmodSync(path, 0o600);
    }
    const { port: taken } = tcp.address() as AddressInfo;
    return {
      url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${taken}`,
      port: taken,
      socket: path,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const listen = (server: Server, place: Place, where: string, remedy: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const what =
        cause.code === 'EADDRINUSE' ? `${where} is taken` : `the server cannot listen on ${where}: ${cause.message}`;
      reject(new CutoverError('Usage', what, { remedy, cause }));
    });
    server.listen(place, resolve);
  });

/** Removes what a killed server left. One that answers is left alone, and listening fails. */
async function clearSocket(path: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => resolve(true)).once('error', () => resolve(false));
    probe.once('connect', () => probe.destroy());
  });
  if (!answers) rmSync(path, { force: true });
}

function readTls({ certFile, keyFile }: { certFile: string; keyFile: string }): { cert: Buffer; key: Buffer } {
  try {
    const files = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    createSecureContext(files);
    refuseOpenFile(keyFile, 'the TLS key');
    return files;
  } catch (cause) {
    if (cause instanceof CutoverError) throw cause;
    throw new CutoverError('Usage', `the files of --tls-cert and --tls-key are no good: ${(cause as Error).message}`, {
      remedy: 'name a certificate and its key in PEM, readable by the server',
      cause,
    });
  }
}

/** What never became a request: too slow, too long, or no HTTP. */
function answerBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const [status, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [
          '431 Request Header Fields Too Large',
          `address and headers are larger than ${limits.maxHeaderSize / 1024} KiB`,
        ]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'the request did not arrive in time']
        : ['400 Bad Request', 'this is no HTTP request'];
  const body = JSON.stringify(errorBody(new CutoverError('Usage', message)));
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
