import type { Cut, Measured, Stream } from './types.ts';

export interface Loss {
  sent: number;
  lost: number;
  /** Of the path that lost most, for a person. */
  worst: string;
}

export interface Judged {
  /** UDP between pods that did not move, in both directions, until one of them was taken away. */
  bystanders: Loss;
  /** UDP between pods of which at least one was made anew. */
  moved: Loss;
  /** Long TCP connections between bystanders that broke. */
  bystanderBreaks: number;
  /** Calls of the ClusterIP and DNS look-ups from pods. */
  services: Loss;
  dns: Loss;
  canary: { lost: number; p99Ms: number };
  /** Of the slowest pair of bystanders: pods wait longer than the canary, and what they lose by that counts as lost. */
  bystandersP99Ms: number;
  /** A starved machine loses packets that the network never dropped: such a run is repeated, not believed. */
  starved: boolean;
  nodes: NodeDarkness[];
}

/** What a client outside of the cluster saw of one node. */
export interface NodeDarkness {
  node: string;
  /** Longest time without an answer of the NodePort through this node, and what failed outside of that window. */
  nodePortDarkSeconds: number;
  nodePortLost: number;
  nodePortLostLater: number;
  /** The same in words, with how long after the window each was. */
  laterInWords: string[];
  /** The hostPort of the node's own pod: dark while that pod is made anew. */
  hostPortDarkSeconds: number;
  /** Answers of somebody else. */
  hostPortWrong: number;
  /** Whether the last answer was right and nothing failed at the end. */
  hostPortWorks: boolean;
}

const canaryP99Ms = 50;

export function judge(measured: readonly Measured[], cuts: readonly Cut[]): Judged {
  const pairs = measured.filter(({ what, stream }) => what === 'pair' && stream.kind === 'udp');
  const isFirst = ({ fromGeneration, toGeneration }: Measured) => fromGeneration === 1 && toGeneration === 1;
  const canaries = measured.filter(({ what }) => what === 'canary').map(({ stream }) => stream);
  const canary = {
    lost: sum(canaries.map(({ lost }) => lost)),
    p99Ms: Math.max(0, ...canaries.map(({ p99Ms }) => p99Ms)),
  };
  const outside = (what: Measured['what']) => measured.filter((each) => each.what === what);
  return {
    bystanders: lossOf(pairs.filter(isFirst), cuts),
    moved: lossOf(
      pairs.filter((each) => !isFirst(each)),
      cuts,
    ),
    bystanderBreaks: sum(
      measured
        .filter((each) => each.what === 'pair' && each.stream.kind === 'connection' && isFirst(each))
        .map((each) => lostBefore(each, cuts)),
    ),
    services: lossOf(outside('service'), cuts),
    dns: lossOf(outside('dns'), cuts),
    canary,
    bystandersP99Ms: Math.max(0, ...pairs.filter(isFirst).map(({ stream }) => stream.p99Ms)),
    starved: canary.lost > 0 || canary.p99Ms > canaryP99Ms,
    nodes: outside('node-port').map(({ to, stream }) => darkness(to, stream, outside('host-port'))),
  };
}

function lossOf(measured: readonly Measured[], cuts: readonly Cut[]): Loss {
  const losses = measured.map((each) => ({ each, lost: lostBefore(each, cuts) })).toSorted((a, b) => b.lost - a.lost);
  const [worst] = losses;
  return {
    sent: sum(measured.map(({ stream }) => stream.sent)),
    lost: sum(losses.map(({ lost }) => lost)),
    worst: worst && worst.lost > 0 ? `${worst.each.stream.name}: ${worst.lost} (${worst.each.stream.lastError})` : '',
  };
}

/** What a stream lost while both of its pods were there. */
function lostBefore({ from, to, stream }: Measured, cuts: readonly Cut[]): number {
  const ends = cuts
    .filter(({ node, at }) => (node === from || node === to) && at >= stream.startedAt)
    .map(({ at }) => Date.parse(at));
  const end = Math.min(Infinity, ...ends);
  return sum(stream.gaps.filter((gap) => Date.parse(gap.from) < end).map(({ lost }) => lost));
}

function darkness(node: string, nodePort: Stream, hostPorts: readonly Measured[]): NodeDarkness {
  const hostPort = hostPorts.find(({ to }) => to === node)?.stream;
  const longest = longestGap(nodePort);
  const hostDark = hostPort && longestGap(hostPort);
  const later = nodePort.gaps.filter(({ from }) => Date.parse(from) > longest.endsAt);
  return {
    node,
    nodePortDarkSeconds: round(longest.seconds),
    nodePortLost: nodePort.lost,
    nodePortLostLater: sum(later.map(({ lost }) => lost)),
    laterInWords: later.map(
      ({ from, lost, error }) =>
        `${round((Date.parse(from) - longest.endsAt) / 1000)} s later (${from}): ${lost}, ${error}`,
    ),
    hostPortDarkSeconds: round(hostDark?.seconds ?? 0),
    hostPortWrong: hostPort?.wrong ?? 0,
    hostPortWorks: hostPort !== undefined && hostPort.ok > 0 && !hostPort.gaps.some(({ open }) => open),
  };
}

/** Gaps that follow each other within a second are one: an answer in between got through by chance. */
function longestGap({ gaps }: Stream): { seconds: number; endsAt: number } {
  const spans: { from: number; to: number }[] = [];
  for (const gap of gaps) {
    const span = { from: Date.parse(gap.from), to: Date.parse(gap.to) };
    const last = spans.at(-1);
    if (last && span.from - last.to < 1_000) last.to = span.to;
    else spans.push(span);
  }
  const [longest] = spans.toSorted((a, b) => b.to - b.from - (a.to - a.from));
  return { seconds: longest ? (longest.to - longest.from) / 1000 : 0, endsAt: longest?.to ?? 0 };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
const round = (seconds: number): number => Math.round(seconds * 10) / 10;
