import { percentile, round } from './statistics.ts';

/**
 * What a capture runs in probe pods, and how it reads what they print. Kubernetes' agnhost brings iperf 2 and curl (its
 * Dockerfile installs both); formats and habits below are those of iperf 2.1 and 2.2 and of curl since 7.52.
 */

/** Seconds that are measured and thrown away: TCP is still finding its window. */
export const rampUpSeconds = 1;
export const datagramBytes = 1_000;
/** Slow enough to disturb nobody (40 Mbit/s), many enough to outweigh what else is on the wire. */
export const datagramsPerSecond = 5_000;
export const requestsPerRun = 200;
export const connectionsPerRun = 200;
/** Ethernet, IP and UDP of one datagram that is not fragmented, bytes. */
export const frameBytes = datagramBytes + 14 + 20 + 8;

/**
 * Starts a TCP and an UDP server, in place of any that an earlier capture left; they end by themselves after `seconds`,
 * whatever becomes of Cutover. The servers of one that died would answer for an old one: they are killed first.
 */
export const startServers = (port: number, seconds: number): string[] => [
  'sh',
  '-c',
  `${killServers}; iperf -s -D -t ${seconds} -p ${port}; iperf -s -u -D -t ${seconds} -p ${port}`,
];

const killServers = 'pkill -KILL -x iperf';
/** Exit code 1: there was none. */
export const stopServers: string[] = killServers.split(' ');

export const throughputCommand = (address: string, port: number, seconds: number): string[] => [
  'iperf',
  '-c',
  address,
  '-p',
  String(port),
  '-t',
  String(seconds + rampUpSeconds),
  '-i',
  '1',
  '-y',
  'C',
];

export const datagramCommand = (address: string, port: number, seconds: number): string[] => [
  'iperf',
  '-c',
  address,
  '-p',
  String(port),
  '-u',
  '-l',
  String(datagramBytes),
  '-b',
  `${datagramsPerSecond}pps`,
  '-t',
  String(seconds),
  '-y',
  'C',
];

type Output = { stdout: string; stderr: string };

/**
 * Mbit/s of what iperf measured second by second, without the ramp-up. iperf exits with 0 when nobody answers, and prints
 * nothing then; it also prints a rest after the end, and the sum of all: neither is a second of the measurement.
 *
 * @returns the figure, or why there is none
 */
export function parseThroughput({ stdout, stderr }: Output, seconds: number): number | string {
  const bytes = reportsOf(stdout)
    .filter(({ from, to }) => to - from <= 1.1 && from >= rampUpSeconds - 0.05 && to <= rampUpSeconds + seconds + 0.05)
    .map((report) => report.bytes);
  if (bytes.length === 0) return lastLine(stderr) || 'iperf printed no interval';
  return round((bytes.reduce((sum, each) => sum + each, 0) * 8) / bytes.length / 1e6, 1);
}

/** How many datagrams the client sent, or why none. */
export function parseDatagrams({ stdout, stderr }: Output): number | string {
  const sent = reportsOf(stdout)
    .map(({ bytes }) => Math.round(bytes / datagramBytes))
    .filter((count) => count > 0);
  return sent[0] ?? (lastLine(stderr) || 'iperf printed no report');
}

/** `20261125210903,10.0.0.1,51194,10.0.0.2,5001,1,0.0-1.0,2860122172,22880977376[,…]` */
function reportsOf(stdout: string): { from: number; to: number; bytes: number }[] {
  return stdout.split('\n').flatMap((line) => {
    const fields = line.trim().split(',');
    const [from, to] = (fields[6] ?? '').split('-').map(Number);
    const bytes = Number(fields[7]);
    return from === undefined || to === undefined || !(to > from) || !Number.isFinite(bytes)
      ? []
      : [{ from, to, bytes }];
  });
}

const curlFormat = '%{http_code} %{num_connects} %{time_connect} %{time_total}\\n';

/** curl expands the brackets itself: one short argument, many requests. */
const requests = (base: string, count: number): string => `${base}/hostname?[1-${count}]`;

const curl = (base: string, count: number, ...options: string[]): string[] => [
  'curl',
  '-s',
  '-S',
  '-o',
  '/dev/null',
  '--fail-early',
  '--max-time',
  '2',
  ...options,
  '-w',
  curlFormat,
  requests(base, count),
];

/** Many small requests on one connection. */
export const latencyCommand = (base: string): string[] => curl(base, requestsPerRun);

/** As many connections as requests. */
export const connectCommand = (base: string): string[] => curl(base, connectionsPerRun, '-H', 'Connection: close');

/** Medians and tails in µs of requests on a connection that was there already, or why there are none. */
export function parseLatency(output: Output): { p50: number; p99: number } | string {
  const answered = curlLines(output.stdout);
  const failed = failureOf(answered, output, requestsPerRun);
  if (failed !== undefined) return failed;
  const kept = answered.filter(({ connects }) => connects === 0).map(({ totalUs }) => totalUs);
  if (kept.length < requestsPerRun / 2) return 'the server closes each connection after one answer';
  return { p50: round(percentile(kept, 0.5)), p99: round(percentile(kept, 0.99)) };
}

/** Median in µs of the TCP handshake, or why there is none. */
export function parseConnect(output: Output): number | string {
  const answered = curlLines(output.stdout);
  const failed = failureOf(answered, output, connectionsPerRun);
  if (failed !== undefined) return failed;
  const fresh = answered.filter(({ connects }) => connects > 0).map(({ connectUs }) => connectUs);
  return round(percentile(fresh, 0.5));
}

function failureOf(lines: readonly { ok: boolean }[], { stderr }: Output, expected: number): string | undefined {
  const answered = lines.filter(({ ok }) => ok).length;
  return answered === expected
    ? undefined
    : `${answered} of ${expected} requests were answered${stderr.trim() === '' ? '' : `: ${lastLine(stderr)}`}`;
}

function curlLines(stdout: string): { ok: boolean; connects: number; connectUs: number; totalUs: number }[] {
  return stdout.split('\n').flatMap((line) => {
    const [status, connects, connect, total] = line.trim().split(' ').map(Number);
    if (total === undefined || !Number.isFinite(total)) return [];
    return [{ ok: status === 200, connects: connects ?? 0, connectUs: (connect ?? 0) * 1e6, totalUs: total * 1e6 }];
  });
}

const lastLine = (text: string): string => (text.trim().split('\n').at(-1) ?? '').slice(0, 200);
