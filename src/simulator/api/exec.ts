import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import type { KubernetesObject } from '../types.ts';
import type { Context } from './api-server-types.ts';
import { current } from './handlers.ts';
import { isTrue, type ApiRequest } from './request.ts';
import { badRequest, statusOf } from './status-error.ts';
import { containerOf } from './subresources.ts';

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
/** v5 adds the close message for stdin (KEP-4006). */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

const sockets = new WebSocketServer({
  noServer: true,
  handleProtocols: (offered) => PROTOCOLS.find((each) => offered.has(each)) ?? false,
});

/** pods/x/exec over a WebSocket. What is wrong before the command starts is answered as plain HTTP. @throws StatusError */
export function exec(context: Context, request: ApiRequest, message: IncomingMessage, socket: Duplex, head: Buffer) {
  const pod = current(context, request);
  const container = containerOf(pod, request.query.get('container'));
  const command = request.query.getAll('command');
  if (command.length === 0) throw badRequest('you must specify at least one command for the container');
  if (!pod['spec'].nodeName) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  const offered = (message.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
  if (!offered.some((each) => PROTOCOLS.includes(each))) {
    throw badRequest(`unable to upgrade: none of the protocols is served; this server speaks ${PROTOCOLS.join(', ')}`);
  }
  sockets.handleUpgrade(message, socket, head, (client) => {
    void run(context, client, { pod, container, command, query: request.query });
  });
}

interface Session {
  pod: KubernetesObject;
  container: string;
  command: string[];
  query: URLSearchParams;
}

async function run({ kubelets }: Context, client: WebSocket, { pod, container, command, query }: Session) {
  const send = (channel: number, data: string) => {
    if (client.readyState === client.OPEN) client.send(Buffer.concat([Buffer.of(channel), Buffer.from(data)]));
  };
  const wants = (stream: string) => isTrue(query.get(stream));
  try {
    const { exitCode } = await kubelets.exec(pod, container, command, {
      ...(wants('stdin') ? { stdin: stdinOf(client) } : {}),
      ...(wants('tty') ? { terminal: true } : {}),
      stdout: (data) => wants('stdout') && send(CHANNEL.stdout, data),
      // A terminal has one output.
      stderr: (data) => (wants('tty') ? send(CHANNEL.stdout, data) : wants('stderr') && send(CHANNEL.stderr, data)),
    });
    send(CHANNEL.error, JSON.stringify(exitStatus(exitCode)));
  } catch (error) {
    send(CHANNEL.error, JSON.stringify(statusOf(error)));
  }
  client.close(1000);
}

function exitStatus(exitCode: number) {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command, exit code ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

/** Frames of the stdin channel, until the client closes that channel (v5) or the socket. Listens at once. */
function stdinOf(client: WebSocket): AsyncIterable<Buffer> {
  const frames: Buffer[] = [];
  let ended = false;
  let wake = () => {};
  client.on('message', (data: RawData) => {
    const frame = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
    if (frame[0] === CHANNEL.stdin) frames.push(frame.subarray(1));
    if (frame[0] === CHANNEL.close && frame[1] === CHANNEL.stdin) ended = true;
    wake();
  });
  client.on('close', () => {
    ended = true;
    wake();
  });
  return (async function* () {
    for (;;) {
      const frame = frames.shift();
      if (frame !== undefined) yield frame;
      else if (ended) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  })();
}
