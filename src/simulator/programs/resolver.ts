import type { KubernetesObject, ObjectStore } from '../types.ts';
import { isAddress, podKey, type ProgramContext } from './context.ts';

/** The resolver outside of the cluster that CoreDNS and the nodes ask (TEST-NET-3). */
const UPSTREAM = '203.0.113.53';
const DOMAIN = 'cluster.local';
const QUERY_BYTES = 90;

export interface Answer {
  status: 'NOERROR' | 'NXDOMAIN' | 'SERVFAIL' | 'REFUSED' | 'TIMEOUT';
  addresses: string[];
  server: string;
}

export interface Query {
  name: string;
  server?: string;
  /** Simulated ms of one try. */
  timeoutMs: number;
  tries: number;
  tcp?: boolean;
}

/** What /etc/resolv.conf of the pod says. */
export function resolvConf({ store, pod }: ProgramContext): { server: string; search: string[] } {
  const service = store.get('services', 'kube-system', 'kube-dns');
  if (
    service === undefined ||
    (pod['spec'].hostNetwork === true && pod['spec'].dnsPolicy !== 'ClusterFirstWithHostNet')
  ) {
    return { server: UPSTREAM, search: [] };
  }
  const search = [`${pod.metadata.namespace}.svc.${DOMAIN}`, `svc.${DOMAIN}`, DOMAIN];
  return { server: service['spec'].clusterIP, search };
}

/** One question to one server; tries cost their time when nobody answers. */
export async function query(
  context: ProgramContext,
  { name, server, timeoutMs, tries, tcp = false }: Query,
): Promise<Answer> {
  const { dataPath, clock, store, pod } = context;
  const asked = server ?? resolvConf(context).server;
  for (let attempt = 0; attempt < tries; attempt += 1) {
    const delivery = dataPath.send({
      from: podKey(pod),
      to: asked,
      port: 53,
      protocol: tcp ? 'tcp' : 'udp',
      bytes: QUERY_BYTES,
    });
    if (delivery.delivered) {
      if (delivery.answeredBy === 'external') return { ...upstream(name), server: asked };
      const answering = podOf(store, delivery.answeredBy);
      if (answering === undefined || !isDnsServer(answering))
        return { status: 'REFUSED', addresses: [], server: asked };
      return { ...answerOf(context, answering, name), server: asked };
    }
    if (delivery.reason.includes('connection refused')) return { status: 'REFUSED', addresses: [], server: asked };
    await clock.sleep(timeoutMs);
  }
  return { status: 'TIMEOUT', addresses: [], server: asked };
}

/** A name as the C library resolves it: through the search list when it has fewer than five dots. */
export async function lookUp(context: ProgramContext, name: string, timeoutMs: number): Promise<Answer> {
  if (isAddress(name)) return { status: 'NOERROR', addresses: [name], server: '' };
  if (name === 'localhost') return { status: 'NOERROR', addresses: ['127.0.0.1'], server: '' };
  const { search } = resolvConf(context);
  const absolute = name.endsWith('.');
  const bare = name.replace(/\.$/, '');
  const dots = bare.split('.').length - 1;
  const candidates = absolute
    ? [bare]
    : dots >= 5
      ? [bare, ...search.map((each) => `${bare}.${each}`)]
      : [...search.map((each) => `${bare}.${each}`), bare];
  let last: Answer = { status: 'NXDOMAIN', addresses: [], server: '' };
  for (const candidate of candidates) {
    last = await query(context, { name: candidate, timeoutMs, tries: 1 });
    if (last.status === 'TIMEOUT' || (last.status === 'NOERROR' && last.addresses.length > 0)) return last;
  }
  return last;
}

function podOf(store: ObjectStore, key: string): KubernetesObject | undefined {
  const [namespace, name = ''] = key.split('/');
  return store.get('pods', namespace, name);
}

const isDnsServer = ({ metadata, spec }: KubernetesObject) =>
  metadata.labels?.['k8s-app'] === 'kube-dns' ||
  spec.containers.some(({ image = '' }: { image?: string }) => image.includes('coredns'));

type Records = Pick<Answer, 'status' | 'addresses'>;
const found = (...addresses: string[]): Records => ({ status: 'NOERROR', addresses });
const unknown: Records = { status: 'NXDOMAIN', addresses: [] };

/** CoreDNS: the cluster's own names from the API, all others from upstream, when its pod gets there. */
function answerOf({ store, dataPath }: ProgramContext, server: KubernetesObject, name: string): Records {
  const full = name.replace(/\.$/, '').toLowerCase();
  if (!full.endsWith(`.${DOMAIN}`) && full !== DOMAIN) {
    const forwarded = dataPath.send({
      from: podKey(server),
      to: UPSTREAM,
      port: 53,
      protocol: 'udp',
      bytes: QUERY_BYTES,
    });
    return forwarded.delivered ? upstream(full) : { status: 'SERVFAIL', addresses: [] };
  }
  const labels = full.slice(0, -DOMAIN.length - 1).split('.');
  const kind = labels.pop();
  const namespace = labels.pop();
  const first = labels.pop();
  if (kind === 'pod' && first !== undefined) return found(first.replaceAll('-', '.'));
  if (kind !== 'svc' || namespace === undefined || first === undefined) return unknown;
  const service = store.get('services', namespace, first);
  if (service === undefined) return unknown;
  const ip = service['spec'].clusterIP as string | undefined;
  if (ip !== undefined && ip !== 'None') return labels.length === 0 ? found(ip) : unknown;
  const subsets = (store.get('endpoints', namespace, first)?.['subsets'] ?? []) as {
    addresses?: { ip: string; targetRef?: { name: string } }[];
  }[];
  const addresses = subsets.flatMap((each) => each.addresses ?? []);
  const [host] = labels;
  const chosen = host === undefined ? addresses : addresses.filter(({ targetRef }) => targetRef?.name === host);
  return chosen.length === 0 ? unknown : found(...chosen.map((each) => each.ip));
}

/** The world outside has every name but those reserved for having none (RFC 6761). */
function upstream(name: string): Records {
  if (!name.includes('.') || /(^|\.)(invalid|test|local|internal)$/.test(name)) return unknown;
  const sum = Buffer.from(name).reduce((total, byte) => (total * 31 + byte) >>> 0, 7);
  return found(`203.0.113.${(sum % 200) + 1}`);
}
