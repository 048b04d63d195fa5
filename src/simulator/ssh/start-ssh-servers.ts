import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import type { AuthContext, Connection, ServerChannel } from 'ssh2';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { SimClock, SimNode } from '../types.ts';
import { runExec } from './exec.ts';
import { generateHostKey } from './host-key.ts';
import type { KeyPair } from './host-key.ts';
import { startShell } from './shell/session.ts';

export interface SshServersOptions {
  nodes: ReadonlyMap<string, SimNode & { powered?: boolean }>;
  clock: SimClock;
  faults: FaultRegistry;
  /** Where the client key is written. */
  directory: string;
}

export interface SshServers {
  /** Node name -> port on 127.0.0.1. */
  ports: Map<string, number>;
  /** Private key that every node accepts, OpenSSH format, mode 0600. */
  clientKeyPath: string;
  stop(): Promise<void>;
}

/**
 * A real SSH server for each node, on 127.0.0.1 and a free port, with the node's own host key; public keys only.
 * One listening socket a node and nothing else until somebody connects, so that 500 of them cost next to nothing.
 */
export async function startSshServers({ nodes, clock, faults, directory }: SshServersOptions): Promise<SshServers> {
  const client = generateHostKey();
  const clientKeyPath = join(directory, 'id_ed25519');
  await mkdir(directory, { recursive: true });
  await writeFile(clientKeyPath, client.privateKey, { mode: 0o600 });
  await chmod(clientKeyPath, 0o600);
  await writeFile(`${clientKeyPath}.pub`, `${client.publicKey} cutover-simulator\n`);

  const sockets = new Map<string, Set<Socket>>();
  const drop = (name: string) => sockets.get(name)?.forEach((socket) => socket.resetAndDestroy());
  // What changes on the wire is not noticed by a connection that stands: cut those that are open.
  const stopWatching = faults.onChange(({ type, fault }) => {
    if (type !== 'injected' || !['ssh-refused', 'host-key-changed', 'node-dead'].includes(fault.name)) return;
    for (const name of fault.nodes ?? nodes.keys()) drop(name);
  });

  const servers = await Promise.all(
    [...nodes.values()].map((node) => {
      const open = new Set<Socket>();
      sockets.set(node.name, open);
      const accept = acceptor(node, client, clock, faults);
      const server = createServer((socket) => {
        if (node.powered === false || faults.take('ssh-refused', node.name)) {
          socket.resetAndDestroy();
          return;
        }
        socket.setNoDelay(true);
        open.add(socket);
        socket.on('close', () => open.delete(socket));
        accept(socket);
      });
      return listen(node.name, server);
    }),
  );

  return {
    ports: new Map(servers.map(({ name, port }) => [name, port])),
    clientKeyPath,
    async stop() {
      stopWatching();
      for (const open of sockets.values()) open.forEach((socket) => socket.destroy());
      await Promise.all(servers.map(({ server }) => new Promise<void>((done) => server.close(() => done()))));
    },
  };
}

function listen(name: string, server: NetServer): Promise<{ name: string; port: number; server: NetServer }> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve({ name, port: (server.address() as AddressInfo).port, server }));
  });
}

/** Speaks SSH on a socket: its own small server object each, so that a fault can cut that very socket. */
function acceptor(node: SimNode, client: KeyPair, clock: SimClock, faults: FaultRegistry): (socket: Socket) => void {
  const allowed = ssh2.utils.parseKey(client.publicKey);
  if (allowed instanceof Error) throw allowed;
  const runs: VerbCounts = new Map();
  let otherKey: string | undefined;
  return (socket) => {
    const changed = faults.take('host-key-changed', node.name) !== undefined;
    const hostKey = changed ? (otherKey ??= generateHostKey().privateKey) : node.hostKey.privateKey;
    const cut = () => void socket.resetAndDestroy();
    const server = new ssh2.Server({ hostKeys: [hostKey] }, (connection) =>
      serve(connection, node, allowed, { clock, faults, runs, cut }),
    );
    server.injectSocket(socket);
  };
}

/** How often each verb ran on a node while a fault of ssh-lost was on. */
export type VerbCounts = Map<string, number>;

export interface ServeContext {
  clock: SimClock;
  faults: FaultRegistry;
  runs: VerbCounts;
  /** Ends the connection without a word. */
  cut(): void;
}

function serve(connection: Connection, node: SimNode, allowed: ssh2.ParsedKey, context: ServeContext): void {
  connection.on('error', () => {}); // a client that goes away in the middle is no event
  connection.on('authentication', (attempt: AuthContext) => {
    if (attempt.method !== 'publickey') return attempt.reject(['publickey']);
    const same = attempt.key.algo === allowed.type && attempt.key.data.equals(allowed.getPublicSSH());
    const signed =
      attempt.signature === undefined ||
      attempt.blob === undefined ||
      allowed.verify(attempt.blob, attempt.signature, attempt.hashAlgo) === true;
    if (same && signed) attempt.accept();
    else attempt.reject(['publickey']);
  });
  connection.on('session', (acceptSession) => {
    const session = acceptSession();
    let terminal = false;
    session.on('pty', (accept) => {
      terminal = true;
      accept?.();
    });
    session.on('window-change', (accept) => accept?.());
    session.on('env', (accept) => accept?.());
    session.on('signal', (accept) => accept?.());
    session.on('shell', (accept) => startShell(node, accept(), terminal));
    session.on('exec', (accept, _reject, { command }) => {
      const channel: ServerChannel = accept();
      runExec({ node, command, channel, ...context });
    });
  });
}
