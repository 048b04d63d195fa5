import { streamContainer, streamReportFile, streamsName, probeName } from '../../probe/manifests.ts';
import { streamProgram } from '../../probe/stream-peers.ts';
import { writeStreamReport, type StreamKind, type StreamOutage } from '../../probe/stream-report.ts';
import type { RunningClock } from '../clock.ts';
import type { ModelDataPath } from '../network/data-path.ts';
import type { NodeControl } from '../node/sim-node.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { KubernetesObject, ObjectStore, SimClock, SimSandbox } from '../types.ts';
import { podKey } from './context.ts';
import { netexecPorts } from './listening.ts';

/**
 * The model of src/probe/stream.sh: what that program would have written in each pod that runs it. Its packets go through
 * the data path, one a simulated second; looks decide what becomes of them until the next look. Packets in a row are simulated
 * seconds, while times are real ones, as everywhere in objects and records.
 */
export interface StreamPrograms {
  /** A file of the program in that pod; undefined when it is not the program's, or the program does not run. */
  file(pod: KubernetesObject, container: string, path: string): string | undefined;
  stop(): void;
}

interface Options {
  store: ObjectStore;
  clock: SimClock;
  dataPath: ModelDataPath;
  faults: FaultRegistry;
  nodes(): Iterable<NodeControl>;
}

interface Peer {
  node: string;
  ip: string;
  address: string;
}

interface Stream {
  kind: StreamKind;
  peer: Peer | undefined;
  sent: number;
  lost: number;
  broken: number;
  longest: number;
  failing: boolean;
  /** Real seconds since the epoch; 0 when there is no outage. */
  since: number;
  missed: number;
  /** Sandbox of the peer that a TCP connection was made to. */
  connectedTo: string;
  /** Tick of the last NodePort connection: an unanswered one stays in conntrack, so there must not be more than real ones. */
  knockedAt: number;
}

interface Program {
  pod: KubernetesObject;
  sandbox: SimSandbox;
  role: 'pod' | 'host';
  node: NodeControl;
  since: number;
  /** Simulated ms. */
  startedAt: number;
  ticks: number;
  peers: Peer[];
  streams: Stream[];
  outages: StreamOutage[];
  dropped: number;
  ports: { [name: string]: number };
}

const TICK_MS = 1000;
const GIVE_UP_AFTER = 30;
const MOST_OUTAGES = 200;
/** Looks take at most a tenth of the time; and never come closer than this, real ms. */
const SHORTEST_PAUSE_MS = 5;
const SHARE = 10;
const LONGEST_PAUSE_MS = 500;
/** Programs of one look. */
const MOST_AT_ONCE = 300;

export function createStreamPrograms({ store, clock, dataPath, faults, nodes }: Options): StreamPrograms {
  const programs = new Map<string, Program>();
  const elapsed = (): number => (clock as Partial<RunningClock>).elapsed?.() ?? Date.now();
  const realSeconds = (): number => clock.now() / 1000;
  let timer: NodeJS.Timeout | undefined;
  let lookTook = 0;
  let lastLook = 0;
  let stopped = false;
  let turn = 0;

  const stops = [
    store.watch('pods', ({ object }) => {
      if (programs.size > 0 || isProbe(object)) lookSoon();
    }),
  ];
  const watched = new Map<NodeControl, () => void>();

  const isProbe = (pod: KubernetesObject): boolean =>
    (pod['spec'].containers as { name: string; command?: string[] }[]).some(
      ({ name, command = [] }) => name === streamContainer && command.at(-1) === '/etc/cutover/stream.sh',
    );

  /** The programs that run: a container lives as long as its sandbox does, with or without kubelet. */
  function findPrograms(): void {
    const running = new Set<string>();
    const found = new Map<string, KubernetesObject>();
    for (const namespace of probeNamespaces())
      for (const pod of store.list('pods', { namespace })) if (isProbe(pod)) found.set(pod.metadata.uid!, pod);
    for (const node of found.size > 0 ? nodes() : []) {
      if (!watched.has(node))
        watched.set(
          node,
          node.onChange(() => programs.size > 0 && lookSoon()),
        );
      if (!node.powered) continue;
      for (const sandbox of node.sandboxes.values()) {
        const pod = found.get(sandbox.pod.uid);
        if (pod === undefined || !sandbox.running) continue;
        const known = programs.get(sandbox.id);
        if (known !== undefined) {
          known.pod = pod;
          running.add(sandbox.id);
          continue;
        }
        const statuses: { name: string; state?: { running?: unknown } }[] = pod['status']?.containerStatuses ?? [];
        if (!statuses.some(({ name, state }) => name === streamContainer && state?.running)) continue;
        const program = start(node, pod, sandbox);
        if (program === undefined) continue;
        programs.set(sandbox.id, program);
        running.add(sandbox.id);
      }
    }
    for (const id of programs.keys()) if (!running.has(id)) programs.delete(id);
  }

  /** Namespaces that have the program in a ConfigMap: listing the pods of all others would cost too much. */
  const probeNamespaces = (): string[] =>
    store
      .list('configmaps', { fieldSelector: `metadata.name=${streamsName}` })
      .map(({ metadata }) => metadata.namespace ?? '');

  function start(node: NodeControl, pod: KubernetesObject, sandbox: SimSandbox): Program | undefined {
    const { namespace } = pod.metadata;
    const data = store.get('configmaps', namespace, streamsName)?.['data'] as { [file: string]: string } | undefined;
    // A model of another program than the one that is there would prove nothing.
    if (data?.['stream.sh'] !== streamProgram()) return undefined;
    const container = (pod['spec'].containers as { name: string; env: { name: string; value?: string }[] }[]).find(
      ({ name }) => name === streamContainer,
    )!;
    const setting = (name: string): string => container.env.find((each) => each.name === name)?.value ?? '';
    const role = setting('ROLE') === 'host' ? 'host' : 'pod';
    const peers = (data['peers'] ?? '')
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([from]) => from === node.name)
      .map(([, name = '', ip = '']): Peer => ({ node: name, ip, address: '' }));
    const kinds: [StreamKind, Peer | undefined][] = peers.flatMap((peer): [StreamKind, Peer][] =>
      role === 'host'
        ? [['canary', peer]]
        : [
            ['udp', peer],
            ['tcp', peer],
            ['node-port', peer],
          ],
    );
    if (role === 'pod' && peers.length > 0) kinds.push(['cluster-ip', undefined], ['dns', undefined]);
    return {
      pod,
      sandbox,
      role,
      node,
      since: realSeconds(),
      startedAt: elapsed(),
      ticks: 0,
      peers,
      streams: kinds.map(([kind, peer]) => ({
        kind,
        peer,
        sent: 0,
        lost: 0,
        broken: 0,
        longest: 0,
        failing: false,
        since: 0,
        missed: 0,
        connectedTo: '',
        knockedAt: -1,
      })),
      outages: [],
      dropped: 0,
      ports: Object.fromEntries(
        ['HTTP_PORT', 'UDP_PORT', 'HOST_PORT', 'HOST_HTTP_PORT', 'NODE_PORT'].map((name) => [
          name,
          Number(setting(name)),
        ]),
      ),
    };
  }

  /** Looks at the programs in turn: on a large cluster a part of them, so that nothing else has to wait for long. */
  function look(): void {
    findPrograms();
    const all = [...programs.values()];
    for (let index = 0; index < Math.min(all.length, MOST_AT_ONCE); index++) lookAt(all[(turn + index) % all.length]!);
    turn = all.length > MOST_AT_ONCE ? (turn + MOST_AT_ONCE) % all.length : 0;
  }

  function lookAt(program: Program): void {
    countUntilNow(program);
    const starves = faults.has('prober-starved', program.node.name);
    for (const peer of program.peers) if (needsAddress(program, peer)) takeAddress(program, peer);
    for (const stream of program.streams) {
      if (stream.kind === 'node-port') {
        if (stream.knockedAt === program.ticks) continue;
        stream.knockedAt = program.ticks;
      }
      const answered = !starves && isAnswered(program, stream);
      if (answered) endOutage(program, stream, 'lost');
      else if (isAsked(stream) && stream.since === 0) stream.since = realSeconds();
      stream.failing = !answered;
      if (stream.kind === 'tcp') followConnection(program, stream, answered);
    }
  }

  /** What was true at the last look was true until now. */
  function countUntilNow(program: Program): void {
    const ticks = Math.floor((elapsed() - program.startedAt) / TICK_MS) - program.ticks;
    if (ticks <= 0) return;
    program.ticks += ticks;
    for (const stream of program.streams) {
      if (!isAsked(stream)) continue;
      stream.sent += ticks;
      if (!stream.failing) continue;
      stream.lost += ticks;
      stream.missed += ticks;
      stream.longest = Math.max(stream.longest, stream.missed);
    }
  }

  const isAsked = ({ kind, peer }: Stream): boolean => (kind !== 'udp' && kind !== 'tcp') || peer!.address !== '';

  function endOutage(program: Program, stream: Stream, why: StreamOutage['why']): void {
    const { since, missed } = stream;
    const wasThere = stream.sent > stream.lost || missed > GIVE_UP_AFTER;
    if (!wasThere) Object.assign(stream, { sent: 0, lost: 0, longest: 0 });
    else if (since > 0 && (missed > 0 || why === 'broken')) write(program, stream, since, why);
    Object.assign(stream, { since: 0, missed: 0 });
  }

  function write(program: Program, { kind, peer, missed }: Stream, from: number, why: StreamOutage['why']): void {
    program.outages.push({ kind, peer: peer?.node ?? '', from, to: realSeconds(), lost: missed, why });
    if (program.outages.length <= MOST_OUTAGES) return;
    program.outages.shift();
    program.dropped += 1;
  }

  function needsAddress({ streams }: Program, peer: Peer): boolean {
    return peer.address === '' || streams.some((each) => each.peer === peer && each.kind === 'udp' && each.missed >= 2);
  }

  /** Whoever answers at the peer's hostPort says which node and pod it is. */
  function takeAddress(program: Program, peer: Peer): void {
    const { answeredBy, delivered } = dataPath.send({
      from: podKey(program.pod),
      to: peer.ip,
      port: program.ports['HOST_PORT']!,
      protocol: 'tcp',
      bytes: 60,
    });
    const found = delivered ? podOf(answeredBy) : undefined;
    const address = found?.['spec'].nodeName === peer.node ? dataPath.addressOfPod(answeredBy) : undefined;
    if (address === undefined || address === peer.address) return;
    if (peer.address !== '')
      for (const stream of program.streams)
        if (stream.peer === peer && (stream.kind === 'udp' || stream.kind === 'tcp')) {
          endOutage(program, stream, 'moved');
          stream.connectedTo = '';
        }
    peer.address = address;
  }

  function followConnection(program: Program, stream: Stream, answered: boolean): void {
    const to = answered ? stream.peer!.address : stream.connectedTo;
    if (stream.connectedTo !== '' && stream.missed >= GIVE_UP_AFTER) {
      stream.broken += 1;
      write(program, stream, stream.since, 'broken');
      Object.assign(stream, { since: 0, missed: 0, connectedTo: '' });
      return;
    }
    stream.connectedTo = to;
  }

  function podOf(key: string): KubernetesObject | undefined {
    const [namespace, name = ''] = key.split('/');
    return store.get('pods', namespace, name);
  }

  function isAnswered({ pod, ports }: Program, { kind, peer }: Stream): boolean {
    const from = podKey(pod);
    const { namespace = '' } = pod.metadata;
    const tcp = (to: string, port: number) => dataPath.send({ from, to, port, protocol: 'tcp', bytes: 60 });
    switch (kind) {
      case 'udp':
      case 'tcp': {
        if (peer!.address === '') return false;
        const port = ports[kind === 'udp' ? 'UDP_PORT' : 'HTTP_PORT']!;
        const { delivered, answeredBy } =
          kind === 'tcp'
            ? tcp(peer!.address, port)
            : dataPath.send({ from, to: peer!.address, port, protocol: 'udp', bytes: 34 });
        const server = delivered ? podOf(answeredBy) : undefined;
        return server !== undefined && netexecPorts(server)[kind].includes(port);
      }
      case 'node-port':
        return tcp(peer!.ip, ports['NODE_PORT']!).delivered;
      case 'canary':
        return tcp(peer!.ip, ports['HOST_HTTP_PORT']!).delivered;
      case 'cluster-ip': {
        const address = store.get('services', namespace, probeName)?.['spec'].clusterIP as string | undefined;
        return address !== undefined && tcp(address, ports['HTTP_PORT']!).delivered;
      }
      default: {
        const address = store.get('services', 'kube-system', 'kube-dns')?.['spec'].clusterIP as string | undefined;
        return (
          address !== undefined && dataPath.send({ from, to: address, port: 53, protocol: 'udp', bytes: 90 }).delivered
        );
      }
    }
  }

  function lookNow(): void {
    timer = undefined;
    if (stopped) return;
    const began = performance.now();
    look();
    lookTook = performance.now() - began;
    lastLook = performance.now();
    if (programs.size > 0) later(LONGEST_PAUSE_MS);
  }

  function later(ms: number): void {
    timer = setTimeout(lookNow, Math.max(ms, lookTook * SHARE));
    timer.unref();
  }

  let due = Infinity;
  function lookSoon(): void {
    if (stopped) return;
    const at = Math.max(performance.now() + SHORTEST_PAUSE_MS, lastLook + lookTook * SHARE);
    if (timer !== undefined && due <= at) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(() => {
      due = Infinity;
      lookNow();
    }, at - performance.now());
    timer.unref();
  }

  return {
    file(pod, container, path) {
      if (container !== streamContainer || path !== streamReportFile) return undefined;
      const ofPod = () => [...programs.values()].find((each) => each.pod.metadata.uid === pod.metadata.uid);
      if (ofPod() === undefined) findPrograms();
      const program = ofPod();
      if (program === undefined) return undefined;
      lookAt(program);
      const lasting = program.streams
        .filter(({ since, missed }) => since > 0 && missed > 0)
        .map(({ kind, peer, since, missed }): StreamOutage => ({
          kind,
          peer: peer?.node ?? '',
          from: since,
          to: null,
          lost: missed,
          why: 'lost',
        }));
      return writeStreamReport({
        role: program.role,
        node: program.node.name,
        since: program.since,
        now: realSeconds(),
        ticks: program.ticks,
        dropped: program.dropped,
        streams: program.streams.map(({ kind, peer, sent, lost, broken, longest }) => ({
          kind,
          peer: peer?.node ?? '',
          address: peer?.address ?? '',
          sent,
          lost,
          broken,
          longestSeconds: longest,
        })),
        outages: [...lasting, ...program.outages],
      });
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      stops.forEach((stop) => stop());
      watched.forEach((stop) => stop());
    },
  };
}
