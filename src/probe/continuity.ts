import type { StreamKind, StreamOutage, StreamReport } from './stream-report.ts';

/** When a node was on its way from one network to the other, or back: its pods were gone. Seconds since the epoch. */
export interface Motion {
  node: string;
  from: number;
  /** null while it lasts. */
  to: number | null;
}

/** What bystanders saw on one kind of path between two zones; `` as `toZone` of a Service. */
export type PathRow = {
  service: Exclude<StreamKind, 'canary'>;
  fromZone: string;
  toZone: string;
  streams: number;
  sent: number;
  lost: number;
  /** Of the stream that was longest without an answer, all its outages together. */
  unreachableSeconds: number;
  /** The longest outage of one stream. */
  longestSeconds: number;
  brokenConnections: number;
  /** ISO, of the first outage; `` when there was none. */
  since: string;
  /** Streams that get no answer now: `worker-1 -> worker-2`. */
  down: string[];
};

export type Continuity = {
  /** ISO: what the budget is about began then. */
  since: string;
  /** Pods that were asked, those that did not answer, and how many there are. */
  probes: { asked: number; silent: string[]; of: number };
  rows: PathRow[];
  /** The nodes that moved: not bystanders, and counted apart. */
  moving: { nodes: string[]; lost: number; brokenConnections: number };
  /** Lost while the canary lost as well: the prober starved or the underlay was down. Not believed. */
  starved: { nodes: string[]; lost: number };
};

export interface ContinuityInput {
  reports: readonly StreamReport[];
  /** Reports of pods that are gone, from before their node moved. */
  kept: readonly StreamReport[];
  motions: readonly Motion[];
  /** Outages that ended before are of the past. Seconds since the epoch. */
  since: number;
  zoneOf(node: string): string;
}

/** Clocks of nodes and worker may differ a little, and a packet that is lost is noticed a tick later. Seconds. */
const slackSeconds = 3;

/**
 * Who was without the network, and for how long. A packet is sent each second, so packets lost in a row are seconds.
 * Only bystanders count: outages while one of the two nodes moved are the move's, and outages that the canary had as well
 * prove nothing about the network (§0a.17 of the migration facts).
 */
export function continuityOf(
  { reports, kept, motions, since, zoneOf }: ContinuityInput,
  probes: Continuity['probes'],
): Continuity {
  const pods = latest([...kept, ...reports.filter(({ role }) => role === 'pod')]);
  const canaries = new Map(reports.filter(({ role }) => role === 'host').map((report) => [report.node, report]));
  const moving = { nodes: new Set<string>(), lost: 0, brokenConnections: 0 };
  const starved = { nodes: new Set<string>(), lost: 0 };
  const rows = new Map<string, PathRow>();

  for (const report of pods) {
    for (const stream of report.streams) {
      if (stream.kind === 'canary') continue;
      const toZone = stream.peer === '' ? '' : zoneOf(stream.peer);
      const key = JSON.stringify([stream.kind, zoneOf(report.node), toZone]);
      const row = rows.get(key) ?? emptyRow(stream.kind, zoneOf(report.node), toZone);
      rows.set(key, row);
      row.streams += 1;
      row.sent += stream.sent;
      const named = stream.peer === '' ? report.node : `${report.node} -> ${stream.peer}`;
      let unreachable = 0;
      for (const outage of report.outages) {
        if (outage.kind !== stream.kind || outage.peer !== stream.peer || outage.why === 'late') continue;
        const to = outage.to ?? report.now;
        if (to < since) continue;
        const broken = outage.why === 'broken' ? 1 : 0;
        const still =
          outage.why === 'moved' ? 0 : shareOutside(outage.from, to, motionOf(motions, report.node, outage.peer));
        const apart = Math.round(outage.lost * (1 - still));
        const own = outage.lost - apart;
        if (apart > 0 || still < 1) {
          for (const node of movingNodes(motions, report.node, outage)) moving.nodes.add(node);
          moving.lost += apart;
        }
        if (still === 0) {
          moving.brokenConnections += broken;
          continue;
        }
        if (isStarved(report, canaries.get(report.node), outage, to)) {
          starved.nodes.add(report.node);
          starved.lost += own;
          continue;
        }
        if (own === 0 && broken === 0) continue;
        unreachable += own;
        row.lost += own;
        row.brokenConnections += broken;
        row.longestSeconds = Math.max(row.longestSeconds, own);
        const began = new Date(Math.max(outage.from, 0) * 1000).toISOString();
        if (row.since === '' || began < row.since) row.since = began;
        if (outage.to === null) row.down.push(named);
      }
      row.unreachableSeconds = Math.max(row.unreachableSeconds, unreachable);
    }
  }
  return {
    since: new Date(since * 1000).toISOString(),
    probes,
    rows: [...rows.values()].toSorted(
      (a, b) =>
        b.unreachableSeconds - a.unreachableSeconds ||
        b.brokenConnections - a.brokenConnections ||
        `${a.service} ${a.fromZone} ${a.toZone}`.localeCompare(`${b.service} ${b.fromZone} ${b.toZone}`),
    ),
    moving: { ...moving, nodes: [...moving.nodes].toSorted() },
    starved: { ...starved, nodes: [...starved.nodes].toSorted() },
  };
}

const emptyRow = (service: PathRow['service'], fromZone: string, toZone: string): PathRow => ({
  service,
  fromZone,
  toZone,
  streams: 0,
  sent: 0,
  lost: 0,
  unreachableSeconds: 0,
  longestSeconds: 0,
  brokenConnections: 0,
  since: '',
  down: [],
});

/** A pod that was kept and lives on has both reports; the later one has all that the earlier one had. */
function latest(reports: readonly StreamReport[]): StreamReport[] {
  const byPod = new Map<string, StreamReport>();
  for (const report of reports) {
    const key = `${report.node} ${report.since}`;
    if ((byPod.get(key)?.now ?? -1) < report.now) byPod.set(key, report);
  }
  return [...byPod.values()];
}

const motionOf = (motions: readonly Motion[], ...nodes: string[]): Motion[] =>
  motions.filter(({ node }) => nodes.includes(node));

const movingNodes = (motions: readonly Motion[], node: string, { peer, why }: StreamOutage): string[] =>
  why === 'moved' ? [peer] : [...new Set(motionOf(motions, node, peer).map((motion) => motion.node))];

/** The part of from..to in which none of the motions was under way, 0 to 1. */
function shareOutside(from: number, to: number, motions: readonly Motion[]): number {
  const inside = motions
    .map((motion) => [motion.from - slackSeconds, (motion.to ?? Infinity) + slackSeconds] as const)
    .filter(([begins, ends]) => begins <= to && ends >= from)
    .toSorted(([a], [b]) => a - b);
  if (to <= from) return inside.length === 0 ? 1 : 0;
  let covered = 0;
  let upTo = from;
  for (const [begins, ends] of inside) {
    const begin = Math.max(begins, upTo);
    const end = Math.min(ends, to);
    if (end <= begin) continue;
    covered += end - begin;
    upTo = end;
  }
  return Math.max(0, 1 - covered / (to - from));
}

/** Whether the node's canary lost on the same way at the same time, or the probe itself did not run. */
function isStarved(
  report: StreamReport,
  canary: StreamReport | undefined,
  { from, peer }: StreamOutage,
  to: number,
): boolean {
  const meets = (other: StreamOutage, now: number): boolean =>
    other.from <= to + slackSeconds && (other.to ?? now) >= from - slackSeconds;
  const late = report.outages.some((other) => other.why === 'late' && meets(other, report.now));
  return (
    late ||
    (canary?.outages.some(
      (other) => (other.why === 'late' || peer === '' || other.peer === peer) && meets(other, canary.now),
    ) ??
      false)
  );
}
