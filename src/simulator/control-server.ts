import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { CutoverError, errorTable } from '../errors.ts';
import { faultTable } from './scenario/faults.ts';
import type { FaultRegistry } from './scenario/faults.ts';
import type { Fault, SimNode, TrafficReport } from './types.ts';

export interface ControlOptions {
  faults: FaultRegistry;
  nodes: ReadonlyMap<string, SimNode>;
  traffic(): TrafficReport;
}

/**
 * Lets another process look into the simulation and break it: `GET /traffic`, `GET /nodes`, `GET /nodes/:name`,
 * `GET /faults` (those that are on, and all there are), `POST /faults`, `DELETE /faults`, `DELETE /faults/:name`.
 * JSON on 127.0.0.1, without authentication.
 */
export async function startControlServer(options: ControlOptions): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    answer(options, request)
      .then((body) => send(response, body === undefined ? 204 : 200, body))
      .catch((error: unknown) =>
        send(response, statusOf(error), { error: error instanceof Error ? error.message : String(error) }),
      );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer({ faults, nodes, traffic }: ControlOptions, request: IncomingMessage): Promise<unknown> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  const [collection = '', name] = pathname.slice(1).split('/').map(decodeURIComponent);
  switch (`${request.method} ${collection}`) {
    case 'GET traffic':
      return traffic();
    case 'GET nodes':
      return name === undefined ? [...nodes.keys()] : found(nodes.get(name), name).state();
    case 'GET faults':
      return { on: faults.list(), known: faultTable };
    case 'POST faults':
      faults.inject(await readFault(request));
      return undefined;
    case 'DELETE faults':
      faults.clear(name);
      return undefined;
    default:
      throw new CutoverError('NotFound', `the control endpoint has no ${request.method} ${pathname}`);
  }
}

function found(node: SimNode | undefined, name: string): SimNode {
  if (node === undefined) throw new CutoverError('NotFound', `the simulation has no node ${name}`);
  return node;
}

async function readFault(request: IncomingMessage): Promise<Fault> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  try {
    const fault = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Fault;
    if (typeof fault?.name === 'string') return fault;
  } catch {
    // Said below, in the same words as for JSON without a name.
  }
  throw new CutoverError(
    'Usage',
    'a fault is a JSON object with a name, such as {"name":"vxlan-blocked","nodes":["worker-1"]}',
  );
}

const statusOf = (error: unknown) => (error instanceof CutoverError ? errorTable[error.type].httpStatus : 500);

function send(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(body === undefined ? '' : `${JSON.stringify(body)}\n`);
}
