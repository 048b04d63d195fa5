import { setTimeout as sleepFor } from 'node:timers/promises';
import { CutoverError } from '../../errors.ts';
import { kinds } from '../../kubernetes/kinds.ts';
import { createdBy } from '../../kubernetes/marks.ts';
import type { KubernetesClient, ObjectRef } from '../../kubernetes/types.ts';
import type { NodeAccess, VerbOutput } from '../../node/types.ts';
import type { PlannedNode } from '../../plan/types.ts';
import { hostProbeName, probeName, probePorts } from '../manifests.ts';
import type { ProbeSettings } from '../manifests.ts';
import { readyProbe } from '../pods.ts';
import type { ProbePod } from '../pods.ts';
import {
  connectCommand,
  datagramCommand,
  frameBytes,
  latencyCommand,
  parseConnect,
  parseDatagrams,
  parseLatency,
  parseThroughput,
  rampUpSeconds,
  startServers,
  stopServers,
  throughputCommand,
} from './commands.ts';
import { deviceRates, sentBetween } from './counters.ts';
import { captureManifests, captureName, capturePorts } from './manifests.ts';
import { round, spreadOf } from './statistics.ts';
import { capturePaths, metricTable, pathTitles } from './types.ts';
import type { Capture, CaptureMetric, CapturePath, Encapsulation, Measurement } from './types.ts';

/** All that taking a capture may use. */
export interface CaptureMeans {
  kubernetes: KubernetesClient;
  nodes: Pick<NodeAccess, 'run'>;
  probe: ProbeSettings;
  settings: { runs: number; seconds: number };
  from: PlannedNode;
  to: PlannedNode;
  /** Of the migration: what is made for the capture carries it. */
  migration: string;
  token(): number;
  signal: AbortSignal;
  progress(message: string): void;
  now(): number;
}

type Counters = VerbOutput<'counters'>;

const serverPodTimeoutMs = 90_000;
const goneTimeoutMs = 20_000;
const settleMs = 250;
/** Tries until kube-proxy has the Service. */
const serviceTries = 20;
/** More than any request may take before curl gives up at the first that fails. */
const curlTimeoutMs = 45_000;

/** Real seconds that a capture takes at most, roughly: for the time-out of its step. */
export const captureSeconds = ({ runs, seconds }: CaptureMeans['settings']): number =>
  240 + runs * (capturePaths.length * (seconds + 10) + seconds);

/**
 * Measures the pair of nodes. What it makes (a pod, a Service, iperf servers that end by themselves) it takes away again, and one
 * that died half way is simply taken anew. What cannot be measured is a sentence in `failures`: a figure that is missing stops
 * nobody's migration. Throws only when `signal` aborts.
 */
export async function takeCapture(means: CaptureMeans, when: Capture['when']): Promise<Capture> {
  const failures: string[] = [];
  let figures: Figures = { measurements: [], encapsulation: null, devices: [] };
  try {
    figures = await measure(means, failures);
  } catch (error) {
    means.signal.throwIfAborted();
    failures.push(sentenceOf(error));
  } finally {
    await cleanUp(means);
  }
  return {
    when,
    at: new Date(means.now()).toISOString(),
    nodes: { from: means.from.name, to: means.to.name },
    settings: { runs: means.settings.runs, seconds: means.settings.seconds },
    ...figures,
    failures: [...new Set(failures)],
  };
}

type Figures = Pick<Capture, 'measurements' | 'encapsulation' | 'devices'>;

async function measure(means: CaptureMeans, failures: string[]): Promise<Figures> {
  const { from, to, settings } = means;
  const samples = new Map<string, number[]>();
  const sites = await prepare(means, failures);
  await startAll(means, sites, failures);

  means.progress('counting what the nodes send by themselves');
  const start = await countersOf(means, failures);
  await pause(means, settings.seconds * 1000);
  const quiet = await countersOf(means, failures);

  await measurePaths(means, sites, samples, failures);
  const loaded = await countersOf(means, failures);

  return {
    measurements: measurementsOf(samples),
    encapsulation: await measureEncapsulation(means, sites, { start, quiet }, failures),
    devices: [from.name, to.name].flatMap((node) =>
      deviceRates(node, start.get(node), quiet.get(node), loaded.get(node)),
    ),
  };
}

/** Who asks whom on one path. */
interface Site {
  client: ProbePod;
  /** Address and ports of the server as the client names them. */
  address: string;
  http: number;
  iperf: number;
}

interface Sites {
  server: ProbePod | undefined;
  host: ProbePod | undefined;
  paths: Map<CapturePath, Site>;
}

async function prepare(means: CaptureMeans, failures: string[]): Promise<Sites> {
  const { kubernetes, probe, from, to, signal } = means;
  const { namespace } = probe;
  means.progress(`starting the pod that answers, on ${to.name}`);
  for (const manifest of captureManifests(probe, to.name)) {
    const annotations = { [createdBy]: means.migration };
    await kubernetes.apply({ ...manifest, metadata: { ...manifest.metadata, annotations } }, { force: true });
  }
  const server = await kubernetes.waitFor(
    kinds.pod,
    { namespace, labelSelector: `app=${captureName}`, timeoutMs: serverPodTimeoutMs, signal },
    (pods) => {
      // After one that died, the pod may stand on the node of another plan for a moment.
      const found = readyProbe(pods.filter(({ spec }) => spec?.nodeName === to.name));
      return typeof found === 'string' ? undefined : found;
    },
  );
  const pods = await kubernetes.list(kinds.pod, {
    namespace,
    labelSelector: `app in (${probeName},${hostProbeName})`,
  });
  const podOn = (node: string, app: string): ProbePod | undefined => {
    const found = readyProbe(
      pods.filter(({ metadata, spec }) => spec?.nodeName === node && metadata.labels?.['app'] === app),
    );
    if (typeof found !== 'string') return found;
    failures.push(`${app} on ${node} cannot be asked: ${found}`);
    return undefined;
  };
  const [near, far] = [podOn(to.name, probeName), podOn(from.name, probeName)];
  const [hostClient, host] = [podOn(from.name, hostProbeName), podOn(to.name, hostProbeName)];
  const service = await kubernetes.get({ ...kinds.service, namespace, name: captureName });
  const clusterIp = String(service?.['spec']?.clusterIP ?? '');

  const ports = capturePorts(probe);
  const ownPorts = { http: ports.http, iperf: ports.iperf };
  const paths = new Map<CapturePath, Site>();
  if (server === undefined) failures.push(`${captureName} on ${to.name} does not become Ready: no pod was measured`);
  else {
    if (near) paths.set('same-node', { client: near, address: server.ip, ...ownPorts });
    if (far) paths.set('across-nodes', { client: far, address: server.ip, ...ownPorts });
    if (far && clusterIp !== '') paths.set('cluster-ip', { client: far, address: clusterIp, ...ownPorts });
  }
  if (hostClient && host)
    paths.set('host', {
      client: hostClient,
      address: to.fingerprint.internalIP || host.hostIP,
      http: probePorts(probe).hostHttp,
      iperf: ports.hostIperf,
    });
  return { server, host, paths };
}

async function startAll(means: CaptureMeans, { server, host, paths }: Sites, failures: string[]): Promise<void> {
  const ports = capturePorts(means.probe);
  const started = await Promise.all([
    server && startOn(means, server, ports.iperf),
    host && startOn(means, host, ports.hostIperf),
  ]);
  failures.push(...started.filter((each) => each !== undefined));
  const site = paths.get('cluster-ip');
  if (site === undefined) return;
  for (let tried = 0; tried < serviceTries; tried++) {
    const { exitCode } = await run(means, site.client, [
      'curl',
      '-s',
      '-o',
      '/dev/null',
      '--max-time',
      '2',
      urlOf(site),
    ]);
    if (exitCode === 0) return;
    await pause(means, settleMs);
  }
}

/** @returns why the servers cannot be started */
async function startOn(means: CaptureMeans, pod: ProbePod, port: number): Promise<string | undefined> {
  const { exitCode, stderr } = await run(means, pod, startServers(port, captureSeconds(means.settings)));
  if (exitCode !== 0) return `iperf cannot be started in ${pod.name}: ${stderr.trim().slice(0, 200)}`;
  await pause(means, settleMs);
  return undefined;
}

/** Round by round, so that whatever the machines do beside it meets all paths alike. */
async function measurePaths(
  means: CaptureMeans,
  { paths }: Sites,
  samples: Map<string, number[]>,
  failures: string[],
): Promise<void> {
  const { runs, seconds } = means.settings;
  for (let turn = 1; turn <= runs; turn++)
    for (const [path, site] of paths) {
      means.progress(`run ${turn} of ${runs}: ${pathTitles[path]}`);
      const keep = (metric: CaptureMetric, value: number | string): void => {
        if (typeof value === 'number') {
          const key = `${metric} ${path}`;
          samples.set(key, [...(samples.get(key) ?? []), value]);
        } else failures.push(`${metricTable[metric].title}, ${pathTitles[path]}: ${value}`);
      };
      const ask = (command: string[], timeoutMs: number) => run(means, site.client, command, timeoutMs);
      const iperf = throughputCommand(site.address, site.iperf, seconds);
      keep('throughput', parseThroughput(await ask(iperf, (seconds + rampUpSeconds + 15) * 1000), seconds));
      const latency = parseLatency(await ask(latencyCommand(baseOf(site)), curlTimeoutMs));
      keep('latency-p50', typeof latency === 'string' ? latency : latency.p50);
      if (typeof latency !== 'string') keep('latency-p99', latency.p99);
      keep('connect-p50', parseConnect(await ask(connectCommand(baseOf(site)), curlTimeoutMs)));
    }
}

/** A known number of small packets across nodes, and what they came to on the wire beyond the cluster's own traffic. */
async function measureEncapsulation(
  means: CaptureMeans,
  { server, paths }: Sites,
  usual: { start: Map<string, Counters>; quiet: Map<string, Counters> },
  failures: string[],
): Promise<Encapsulation | null> {
  const site = paths.get('across-nodes');
  if (site === undefined || server === undefined) return null;
  const { runs, seconds } = means.settings;
  const own = means.from.name;
  const before = sentBetween(usual.start.get(own), usual.quiet.get(own));
  const perPacket: number[] = [];
  let packets = 0;
  let tunnelPackets = 0;
  for (let turn = 1; turn <= runs; turn++) {
    means.progress(`run ${turn} of ${runs}: bytes of a packet on the wire`);
    const refused = await startOn(means, server, site.iperf);
    const first = await countersOf(means, failures, [means.from]);
    const output = await run(
      means,
      site.client,
      datagramCommand(site.address, site.iperf, seconds),
      (seconds + 20) * 1000,
    );
    const last = await countersOf(means, failures, [means.from]);
    const sent = parseDatagrams(output);
    const moved = sentBetween(first.get(own), last.get(own));
    if (typeof sent === 'string' || moved === undefined) {
      failures.push(`bytes of a packet on the wire: ${refused ?? (typeof sent === 'string' ? sent : 'no counters')}`);
      continue;
    }
    const others = before === undefined ? 0 : (before.underlayBytes / before.seconds) * moved.seconds;
    perPacket.push(round((moved.underlayBytes - others) / sent - frameBytes, 1));
    packets += sent;
    tunnelPackets += moved.tunnelPackets;
  }
  return perPacket.length === 0 ? null : { ...spreadOf(perPacket), frameBytes, packets, tunnelPackets };
}

const measurementsOf = (samples: Map<string, number[]>): Measurement[] =>
  (Object.keys(metricTable) as CaptureMetric[]).flatMap((metric) =>
    capturePaths.flatMap((path) => {
      const runs = samples.get(`${metric} ${path}`);
      return runs === undefined ? [] : [{ metric, path, unit: metricTable[metric].unit, ...spreadOf(runs) }];
    }),
  );

async function countersOf(
  means: CaptureMeans,
  failures: string[],
  nodes: readonly PlannedNode[] = [means.from, means.to],
): Promise<Map<string, Counters>> {
  const found = await Promise.all(
    nodes.map(async ({ name, fingerprint }) => {
      try {
        const options = { token: means.token(), timeoutMs: 30_000, signal: means.signal };
        return [name, await means.nodes.run(name, 'counters', { address: fingerprint.internalIP }, options)] as const;
      } catch (error) {
        means.signal.throwIfAborted();
        failures.push(`the counters of ${name} cannot be read: ${sentenceOf(error)}`);
        return undefined;
      }
    }),
  );
  return new Map(found.filter((each) => each !== undefined));
}

async function run(
  { kubernetes, signal }: CaptureMeans,
  pod: ProbePod,
  command: string[],
  timeoutMs = 30_000,
): Promise<{ stdout: string; stderr: string; exitCode: number }> {
  signal.throwIfAborted();
  try {
    return await kubernetes.exec({ namespace: pod.namespace, name: pod.name, container: 'probe' }, command, {
      timeoutMs,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    return { stdout: '', stderr: sentenceOf(error), exitCode: -1 };
  }
}

/** Also what an aborted capture leaves: by then `signal` has ended, so nothing here listens to it. */
async function cleanUp({ kubernetes, probe, to }: CaptureMeans): Promise<void> {
  const { namespace } = probe;
  const quietly = async (work: Promise<unknown>): Promise<void> => void (await work.catch(() => undefined));
  await quietly(
    kubernetes
      .list(kinds.pod, { namespace, labelSelector: `app=${hostProbeName}`, fieldSelector: `spec.nodeName=${to.name}` })
      .then((pods) => {
        const host = readyProbe(pods);
        return typeof host === 'string'
          ? undefined
          : kubernetes.exec({ namespace, name: host.name, container: 'probe' }, stopServers, { timeoutMs: 10_000 });
      }),
  );
  for (const ref of captureRefs(namespace)) await quietly(kubernetes.delete(ref, { propagation: 'Background' }));
  await quietly(
    kubernetes.waitFor(
      kinds.pod,
      { namespace, labelSelector: `app=${captureName}`, timeoutMs: goneTimeoutMs },
      (pods) => (pods.length === 0 ? true : undefined),
    ),
  );
}

const captureRefs = (namespace: string): ObjectRef[] =>
  [kinds.service, kinds.daemonSet].map((kind) => ({ ...kind, namespace, name: captureName }));

async function pause({ signal }: CaptureMeans, ms: number): Promise<void> {
  signal.throwIfAborted();
  try {
    await sleepFor(ms, undefined, { signal });
  } catch {
    throw signal.reason;
  }
}

const baseOf = ({ address, http }: Site): string => `http://${address}:${http}`;
const urlOf = (site: Site): string => `${baseOf(site)}/hostname`;
const sentenceOf = (error: unknown): string =>
  error instanceof CutoverError || error instanceof Error ? error.message : String(error);
