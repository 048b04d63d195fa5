import type { ModelDelivery } from '../network/data-path.ts';
import type { ExecStreams } from '../types.ts';
import { ephemeralPort } from './agnhost.ts';
import { ownAddress, podKey, podMtu, type Program, type ProgramContext } from './context.ts';
import { lookUp } from './resolver.ts';

const HANDSHAKE_BYTES = 60;
const IP_TCP_BYTES = 40;
const IP_UDP_BYTES = 28;
/** Preamble, Ethernet, checksum and gap: what a frame takes of a wire besides its IP packet. */
const WIRE_BYTES = 38;
const CONNECT_TIMEOUT_MS = 10_000;

/** Mbit/s of payload that the model's machines manage; their ratios are what matters, and are those of real ones. */
const wireMbits = 10_000;
const localMbits = 22_000;
/** Building and stripping outer headers costs the CPU; crossing a veth or kube-proxy's rules a little. */
const cost = { encapsulated: 0.82, pod: 0.97, service: 0.99 };
/** Of a run around its middle, both ways together. */
const noise = 0.04;
/** TCP is still finding its window. */
const firstSecond = 0.6;

interface Options {
  server: string;
  port: number;
  seconds: number;
  udp: boolean;
  bytes: number;
  perSecond: number;
  interval: boolean;
}

/** iperf 2, as far as a capture uses it: servers as daemons, and clients that report as CSV. */
export const iperf: Program = async (context, words, io) => {
  if (words.includes('-s')) return serve(context, words, io);
  const options: Options = {
    server: value(words, '-c'),
    port: Number(value(words, '-p') || 5001),
    seconds: Number(value(words, '-t') || 10),
    udp: words.includes('-u'),
    bytes: Number(value(words, '-l') || 1470),
    perSecond: Number(/^(\d+)pps$/.exec(value(words, '-b'))?.[1] ?? 90),
    interval: words.includes('-i'),
  };
  const { addresses } = await lookUp(context, options.server, 5000);
  const [to] = addresses;
  if (to === undefined) {
    io.stderr(`error: Name or service not known\n`);
    return 1;
  }
  return options.udp ? datagrams(context, to, options, io) : stream(context, to, options, io);
};

/** `-D` leaves it running behind the command. */
const serve: Program = ({ daemons, pod }, words, io) => {
  daemons.start({
    pod: pod.metadata.uid!,
    hostOf: pod['spec'].hostNetwork === true ? pod['spec'].nodeName : '',
    program: 'iperf',
    protocol: words.includes('-u') ? 'udp' : 'tcp',
    port: Number(value(words, '-p') || 5001),
    seconds: Number(value(words, '-t') || 86_400),
  });
  io.stderr('Running Iperf Server as a daemon\n');
  return 0;
};

/** `pkill -KILL -x iperf`: 1 when there was none. */
export const pkill: Program = ({ daemons, pod }, words) =>
  daemons.stop(pod.metadata.uid!, words.at(-1) ?? '') > 0 ? 0 : 1;

async function stream(context: ProgramContext, to: string, options: Options, io: ExecStreams): Promise<number> {
  const { dataPath, clock, pod, random } = context;
  const { port, seconds } = options;
  const packet = { from: podKey(pod), to, port, protocol: 'tcp' as const };
  const connected = dataPath.send({ ...packet, bytes: HANDSHAKE_BYTES });
  if (!isAnswered(context, connected, 'tcp')) {
    const refused = connected.delivered || connected.reason.includes('connection refused');
    if (!refused) await clock.sleep(CONNECT_TIMEOUT_MS);
    io.stderr(`tcp connect failed: ${refused ? 'Connection refused' : 'Operation timed out'}\n`);
    return 0;
  }
  // Once for the whole run: what machines do beside it lasts longer than a second.
  const luck = 1 + (random.next() - 0.5) * noise;
  const local = ephemeralPort(context);
  const report = (from: number, until: number, bytes: number) =>
    io.stdout(
      `${stamp(clock.now())},${ownAddress(context)},${local},${options.server},${port},1,${from.toFixed(1)}-${until.toFixed(1)},${bytes},${Math.round((bytes * 8) / (until - from))}\n`,
    );
  let total = 0;
  for (let second = 0; second < seconds; second += 1) {
    const { mbits, mtu } = pathRate(context, packet, to);
    const bytes = Math.round(((mbits * 1e6) / 8) * luck * (second === 0 ? firstSecond : 1));
    const times = Math.max(1, Math.ceil(bytes / (mtu - IP_TCP_BYTES)));
    if (bytes > 0) dataPath.send({ ...packet, bytes: mtu, times });
    await clock.sleep(1000);
    total += bytes;
    if (options.interval) report(second, second + 1, bytes);
  }
  report(0, seconds, total);
  return 0;
}

/** What the path carries now, by what stands between its ends. A hole below the MTU swallows every full segment. */
function pathRate(
  context: ProgramContext,
  packet: { from: string; to: string; port: number; protocol: 'tcp' },
  to: string,
): { mbits: number; mtu: number } {
  const { dataPath, node, pod, faults } = context;
  let mtu = podMtu(node, pod);
  let found = dataPath.send({ ...packet, bytes: mtu });
  if (!found.delivered && found.reason.includes('message too long')) {
    mtu = Number(/MTU (\d+)/.exec(found.reason)?.[1] ?? 1280);
    found = dataPath.send({ ...packet, bytes: mtu });
  }
  if (!found.delivered) return { mbits: 0, mtu };
  const far = nodeOf(context, found);
  const share = (mtu - IP_TCP_BYTES) / (mtu + WIRE_BYTES);
  const isPod = pod['spec'].hostNetwork !== true;
  const isService = isPod && dataPath.addressOfPod(found.answeredBy) !== to;
  const kept = (isPod ? cost.pod : 1) * (isService ? cost.service : 1) * (found.encapsulated ? cost.encapsulated : 1);
  if (far === node.name) return { mbits: localMbits * share * kept, mtu };
  const slow = isPod
    ? [node.name, far].map((each) => faults.peek('pods-slow', each)).find((fault) => fault !== undefined)
    : undefined;
  return { mbits: wireMbits * share * kept * (slow === undefined ? 1 : Number(slow['factor'] ?? 0.5)), mtu };
}

async function datagrams(context: ProgramContext, to: string, options: Options, io: ExecStreams): Promise<number> {
  const { dataPath, clock, pod } = context;
  const { port, seconds, bytes, perSecond } = options;
  const packet = { from: podKey(pod), to, port, protocol: 'udp' as const, bytes: bytes + IP_UDP_BYTES };
  let sent = 0;
  for (let second = 0; second < seconds; second += 1) {
    const delivery = dataPath.send({ ...packet, times: perSecond });
    if (!isAnswered(context, delivery, 'udp') && delivery.delivered) {
      io.stderr('read failed: Connection refused\n');
      return 0;
    }
    sent += perSecond;
    await clock.sleep(1000);
  }
  io.stdout(
    `19700101000000,${ownAddress(context)},${ephemeralPort(context)},${options.server},${port},1,0.0-${seconds.toFixed(1)},${sent * bytes},${Math.round((sent * bytes * 8) / seconds)},0.000,0,-1,-0.000,0\n`,
  );
  return 0;
}

/** Whether an iperf server listens where the packet got to. */
function isAnswered({ store, daemons }: ProgramContext, delivery: ModelDelivery, protocol: 'tcp' | 'udp'): boolean {
  if (!delivery.delivered) return false;
  if (delivery.answeredBy.startsWith('node:'))
    return daemons.onNode(delivery.answeredBy.slice('node:'.length), delivery.port, protocol) !== undefined;
  const [namespace, name = ''] = delivery.answeredBy.split('/');
  const uid = store.get('pods', namespace, name)?.metadata.uid;
  return uid !== undefined && daemons.inPod(uid, delivery.port, protocol) !== undefined;
}

function nodeOf({ store }: ProgramContext, { answeredBy }: ModelDelivery): string {
  if (answeredBy.startsWith('node:')) return answeredBy.slice('node:'.length);
  const [namespace, name = ''] = answeredBy.split('/');
  return store.get('pods', namespace, name)?.['spec'].nodeName ?? '';
}

const value = (words: readonly string[], flag: string): string => words[words.indexOf(flag) + 1 || words.length] ?? '';

/** `20261125210903` */
const stamp = (now: number) => new Date(now).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '');
