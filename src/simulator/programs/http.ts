import type { KubernetesObject } from '../types.ts';
import { podKey, podMtu, type ProgramContext } from './context.ts';
import { listens } from './listening.ts';
import { lookUp } from './resolver.ts';

const HEADER_BYTES = 150;
/** The API server, which is no pod here; /livez and /version are for everybody. */
const API_PORT = 6443;
const HANDSHAKE_BYTES = 60;
const IP_TCP_BYTES = 40;
/** Linux gives up a connection after six unanswered SYNs. */
const CONNECT_TIMEOUT_MS = 130_000;

export interface HttpRequest {
  url: string;
  /** Simulated ms for everything; the kernel's own patience without it. */
  maxTimeMs?: number;
  connectTimeoutMs?: number;
  body?: string;
}

export type HttpResult =
  | { outcome: 'answered'; status: number; body: string; remoteIp: string; ms: number }
  | { outcome: 'unresolved' | 'refused'; host: string; port: number; ms: number }
  | {
      outcome: 'timeout';
      phase: 'resolve' | 'connect' | 'transfer';
      host: string;
      port: number;
      ms: number;
      expected: number;
    };

/** What listens in a pod: answers a request, or undefined when nobody is at that port. */
export type HttpServer = (call: ServerCall) => Promise<{ status: number; body: string } | undefined>;

export interface ServerCall {
  server: KubernetesObject;
  port: number;
  path: string;
  /** Source address that the server sees. */
  client: string;
}

/** One HTTP exchange over the data path: resolve, connect, request, answer. */
export async function http(context: ProgramContext, request: HttpRequest, serve: HttpServer): Promise<HttpResult> {
  const { dataPath, clock, pod, random } = context;
  const { host, port, path } = parseUrl(request.url);
  const maxTime = request.maxTimeMs ?? Infinity;
  const patience = Math.min(maxTime, request.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, CONNECT_TIMEOUT_MS);
  const name = await lookUp(context, host, Math.min(5000, patience));
  if (name.status === 'TIMEOUT')
    return { outcome: 'timeout', phase: 'resolve', host, port, ms: Math.min(5000, patience), expected: 0 };
  const [address] = name.addresses;
  if (address === undefined) return { outcome: 'unresolved', host, port, ms: 2 };

  const packet = { from: podKey(pod), to: address, port, protocol: 'tcp' as const };
  const connected = dataPath.send({ ...packet, bytes: HANDSHAKE_BYTES });
  if (!connected.delivered) {
    if (connected.reason.includes('connection refused')) return { outcome: 'refused', host, port, ms: 1 };
    await clock.sleep(patience);
    return { outcome: 'timeout', phase: 'connect', host, port, ms: patience, expected: 0 };
  }
  const [namespace, server = ''] = connected.answeredBy.split('/');
  const peer =
    context.store.get('pods', namespace, server) ?? hostServer(context, connected.answeredBy, connected.port);
  const isApi = connected.answeredBy.startsWith('node:') && connected.port === API_PORT;
  if (isApi) return { outcome: 'answered', status: 200, body: 'ok', remoteIp: address, ms: 2 };
  const answer =
    peer === undefined
      ? undefined
      : await serve({ server: peer, port: connected.port, path, client: connected.source });
  if (answer === undefined) return { outcome: 'refused', host, port, ms: 1 };

  // TCP fills its segments as soon as there is enough to send; a hole below the MTU then swallows every retransmission.
  const mtu = Math.min(podMtu(context.node, pod), mtuOf(context, peer!));
  const largest =
    Math.max(request.url.length + (request.body?.length ?? 0), answer.body.length) + HEADER_BYTES + IP_TCP_BYTES;
  const endpoint = dataPath.addressOfPod(connected.answeredBy);
  const transfer = dataPath.send({ ...packet, bytes: Math.min(largest, mtu) }, endpoint);
  // "message too long" reaches the sender as ICMP, and TCP goes on with smaller segments.
  if (!transfer.delivered && !transfer.reason.includes('message too long')) {
    const wait = Math.min(maxTime, CONNECT_TIMEOUT_MS);
    await clock.sleep(wait);
    return { outcome: 'timeout', phase: 'transfer', host, port, ms: wait, expected: answer.body.length };
  }
  const ms = 0.4 + random.next() * 0.4 + (connected.encapsulated ? 0.3 : 0) + answer.body.length / 100_000;
  return { outcome: 'answered', ...answer, remoteIp: address, ms: ms / slowness(context, peer!) };
}

/** The share of its speed that the way between pods of two nodes has. */
function slowness({ node, pod, faults }: ProgramContext, peer: KubernetesObject): number {
  const far = peer['spec'].nodeName as string;
  if (pod['spec'].hostNetwork === true || far === node.name) return 1;
  const slow = faults.peek('pods-slow', node.name) ?? faults.peek('pods-slow', far);
  return slow === undefined ? 1 : Number(slow['factor'] ?? 0.5);
}

export function parseUrl(text: string): { host: string; port: number; path: string } {
  const found = /^(?:(https?):\/\/)?([^/:?#]+)(?::(\d+))?([/?].*)?$/.exec(text);
  if (found === null) return { host: text, port: 80, path: '/' };
  const path = found[4] ?? '/';
  return {
    host: found[2]!,
    port: Number(found[3] ?? (found[1] === 'https' ? 443 : 80)),
    path: path.startsWith('?') ? `/${path}` : path,
  };
}

/** A pod on the host network of the node that answered. */
function hostServer({ store }: ProgramContext, answeredBy: string, port: number): KubernetesObject | undefined {
  if (!answeredBy.startsWith('node:')) return undefined;
  const fieldSelector = `spec.nodeName=${answeredBy.slice('node:'.length)}`;
  const own = store.list('pods', { fieldSelector }).filter(({ spec }) => spec.hostNetwork === true);
  return own.find((pod) => listens(pod, port));
}

function mtuOf({ nodeOf, node }: ProgramContext, pod: KubernetesObject): number {
  return podMtu(nodeOf(pod['spec'].nodeName) ?? node, pod);
}
