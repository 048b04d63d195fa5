import type { KubernetesObject } from '../types.ts';
import { podKey, type ProgramContext } from './context.ts';
import { http, type HttpServer } from './http.ts';
import { listens, netexecPorts } from './listening.ts';
import { lookUp } from './resolver.ts';
import { splitWords } from './words.ts';

/** What netexec waits for an answer of /dial, simulated ms. */
const DIAL_TIMEOUT_MS = 5000;

type Shell = (
  context: ProgramContext,
  words: string[],
) => Promise<{ exitCode: number; stdout: string; stderr: string }>;

/** The HTTP server of agnhost netexec (k8s test/images/agnhost/netexec); other images answer every path with 200. */
export function createServer(context: ProgramContext, shell: Shell): HttpServer {
  return async ({ server, port, path, client }) => {
    if (!netexecPorts(server).tcp.includes(port)) return listens(server, port) ? { status: 200, body: '' } : undefined;
    const url = new URL(path, 'http://server');
    const parameter = (name: string) => url.searchParams.get(name) ?? '';
    switch (url.pathname) {
      case '/hostname':
        return { status: 200, body: hostnameOf(server) };
      case '/clientip':
        return { status: 200, body: `${client}:${ephemeralPort(context)}` };
      case '/echo':
        return { status: Number(parameter('code')) || 200, body: parameter('msg') };
      case '/healthz':
        return { status: 200, body: '' };
      case '/dial':
        return { status: 200, body: await dial(at(context, server), url.searchParams, createServer(context, shell)) };
      case '/shell': {
        const { exitCode, stdout, stderr } = await shell(at(context, server), [
          'sh',
          '-c',
          parameter('shellCommand') || parameter('cmd'),
        ]);
        return {
          status: 200,
          body: JSON.stringify({
            output: stdout,
            ...(exitCode === 0 ? {} : { error: stderr || `exit status ${exitCode}` }),
          }),
        };
      }
      default:
        return { status: 200, body: `NOW: ${new Date(context.clock.now()).toISOString()}` };
    }
  };
}

export const ephemeralPort = ({ random }: ProgramContext) => random.between([32768, 60999]);

export const hostnameOf = (pod: KubernetesObject): string =>
  pod['spec'].hostNetwork === true ? pod['spec'].nodeName : (pod['spec'].hostname ?? pod.metadata.name);

/** The same program in another pod. */
function at(context: ProgramContext, pod: KubernetesObject): ProgramContext {
  return { ...context, pod, node: context.nodeOf(pod['spec'].nodeName) ?? context.node };
}

/** Asks `host:port` for `request`, `tries` times, from the server's own pod. */
async function dial(context: ProgramContext, parameters: URLSearchParams, serve: HttpServer): Promise<string> {
  const host = parameters.get('host') ?? '';
  const port = Number(parameters.get('port') ?? 0);
  const request = parameters.get('request') || 'hostname';
  const tries = Math.max(1, Number(parameters.get('tries')) || 1);
  const responses: string[] = [];
  const errors: string[] = [];
  for (let attempt = 0; attempt < tries; attempt += 1) {
    if (parameters.get('protocol') === 'udp') {
      const answer = await askUdp(context, host, port, request);
      if (answer.error === '') responses.push(answer.text);
      else errors.push(answer.error);
      continue;
    }
    const url = `http://${host}:${port}/${request}`;
    const answer = await http(context, { url, maxTimeMs: DIAL_TIMEOUT_MS }, serve);
    if (answer.outcome === 'answered') responses.push(answer.body);
    else if (answer.outcome === 'refused')
      errors.push(`Get "${url}": dial tcp ${host}:${port}: connect: connection refused`);
    else if (answer.outcome === 'unresolved') errors.push(`Get "${url}": dial tcp: lookup ${host}: no such host`);
    else errors.push(`Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`);
  }
  return JSON.stringify({ ...(errors.length > 0 ? { errors } : {}), ...(responses.length > 0 ? { responses } : {}) });
}

/** netexec's UDP server: one word or `echo <text>` in, one datagram out. */
export async function askUdp(
  context: ProgramContext,
  host: string,
  port: number,
  request: string,
  timeoutMs = DIAL_TIMEOUT_MS,
): Promise<{ text: string; error: string }> {
  const { dataPath, clock, pod, store } = context;
  const { addresses } = await lookUp(context, host, timeoutMs);
  const [to] = addresses;
  if (to === undefined) return { text: '', error: `lookup ${host}: no such host` };
  const delivery = dataPath.send({
    from: podKey(pod),
    to,
    port,
    protocol: 'udp',
    bytes: 28 + Math.max(request.length, 64),
  });
  const [namespace, name = ''] = delivery.answeredBy.split('/');
  const server = delivery.delivered
    ? (store.get('pods', namespace, name) ?? hostPod(context, delivery.answeredBy, delivery.port))
    : undefined;
  const isRefused = delivery.delivered || delivery.reason.includes('connection refused');
  if (server === undefined || !netexecPorts(server).udp.includes(delivery.port)) {
    if (!isRefused) await clock.sleep(timeoutMs);
    return { text: '', error: `read udp ${to}:${port}: ${isRefused ? 'connection refused' : 'i/o timeout'}` };
  }
  const [word = '', ...rest] = splitWords(decodeURIComponent(request).replace(/^\/?echo\?msg=/, 'echo '));
  if (word === 'echo') return { text: rest.join(' '), error: '' };
  if (word.replace('/', '') === 'clientip') return { text: `${delivery.source}:${ephemeralPort(context)}`, error: '' };
  return { text: hostnameOf(server), error: '' };
}

function hostPod({ store }: ProgramContext, answeredBy: string, port: number): KubernetesObject | undefined {
  if (!answeredBy.startsWith('node:')) return undefined;
  return store
    .list('pods', { fieldSelector: `spec.nodeName=${answeredBy.slice('node:'.length)}` })
    .find((pod) => pod['spec'].hostNetwork === true && netexecPorts(pod).udp.includes(port));
}
