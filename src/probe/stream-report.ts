/** What the continuous probe of one pod has seen (src/probe/stream.sh writes it). Times in seconds since the epoch. */
export interface StreamReport {
  role: 'pod' | 'host';
  node: string;
  /** When this pod began, and when it wrote the report. */
  since: number;
  now: number;
  ticks: number;
  streams: StreamCount[];
  outages: StreamOutage[];
  /** Outages that were written over: the list of a pod is bounded. */
  dropped: number;
}

export const streamKinds = ['udp', 'tcp', 'node-port', 'cluster-ip', 'dns', 'canary'] as const;
export type StreamKind = (typeof streamKinds)[number];

export interface StreamCount {
  kind: StreamKind;
  /** The node at the other end; `` for a Service. */
  peer: string;
  /** Of the peer's probe pod, as last found; `` when it never was. */
  address: string;
  sent: number;
  lost: number;
  /** TCP connections that ended although nobody closed them. */
  broken: number;
  longestSeconds: number;
}

export interface StreamOutage {
  kind: StreamKind | 'late';
  peer: string;
  from: number;
  /** null while it lasts. */
  to: number | null;
  lost: number;
  /** moved: the peer's pod has another address now; late: the probe itself did not run. */
  why: 'lost' | 'broken' | 'moved' | 'late';
}

/** Reads a report; undefined when it is not whole: it is written anew every second, and may be read in between. */
export function parseStreamReport(text: string): StreamReport | undefined {
  const lines = text.split('\n').map((line) => line.split(' '));
  const head = lines[0];
  if (head?.[0] !== 'head' || !lines.some(([word]) => word === 'end')) return undefined;
  const name = (word: string | undefined): string => (word === undefined || word === '-' ? '' : word);
  return {
    role: head[1] === 'host' ? 'host' : 'pod',
    node: name(head[2]),
    since: Number(head[3]),
    now: Number(head[4]),
    ticks: Number(head[5]),
    dropped: Number(head[6]),
    streams: lines
      .filter(([word]) => word === 'stream')
      .map(([, kind, peer, address, sent, lost, broken, longest]) => ({
        kind: kind as StreamKind,
        peer: name(peer),
        address: name(address),
        sent: Number(sent),
        lost: Number(lost),
        broken: Number(broken),
        longestSeconds: Number(longest),
      })),
    outages: lines
      .filter(([word]) => word === 'outage')
      .map(([, kind, peer, from, to, lost, why]) => ({
        kind: kind as StreamOutage['kind'],
        peer: name(peer),
        from: Number(from),
        to: to === '0' ? null : Number(to),
        lost: Number(lost),
        why: why as StreamOutage['why'],
      })),
  };
}

/** The same, written as the program writes it. */
export function writeStreamReport({ role, node, since, now, ticks, dropped, streams, outages }: StreamReport): string {
  const name = (word: string): string => word || '-';
  return [
    ['head', role, node, since, now, ticks, dropped],
    ...streams.map(({ kind, peer, address, sent, lost, broken, longestSeconds }) => [
      'stream',
      kind,
      name(peer),
      name(address),
      sent,
      lost,
      broken,
      longestSeconds,
    ]),
    ...outages.map(({ kind, peer, from, to, lost, why }) => ['outage', kind, name(peer), from, to ?? 0, lost, why]),
    ['end'],
  ]
    .map((words) => `${words.join(' ')}\n`)
    .join('');
}
