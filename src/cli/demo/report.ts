import type { AuditRecord, VerifyReport } from '../../store/types.ts';
import type { MigrationView, NodeHistory } from '../../store/views.ts';
import type { TrafficReport } from '../../simulator/types.ts';
import type { Api } from '../client.ts';
import { path } from '../migration-option.ts';
import { verdictCounts } from '../../checks/acknowledge.ts';
import { evidenceLines } from '../render/evidence-lines.ts';
import { historyLines } from '../render/history-lines.ts';
import { trafficLines } from './traffic-lines.ts';
import type { Style } from '../style.ts';
import { duration } from '../time.ts';

export interface DemoReport {
  lines: string[];
  /** Why the demo has failed, one sentence; `` when it has not. */
  failure: string;
}

/** Counted at the gate before the flip, and at the end. */
export interface DemoTraffic {
  beforeFlip: TrafficReport | undefined;
  end: TrafficReport;
}

/** Of each stream between pods that stayed: a route gap is at most 28 ms (§0a.9 of the migration facts), and streams send 100 a second or less. */
const mostLostByFlip = 5;

/** The end of the demo: verdicts, packets, the record, the story of the node that failed. */
export async function demoReport(
  api: Api,
  view: MigrationView,
  traffic: DemoTraffic,
  style: Style,
): Promise<DemoReport> {
  const [{ items: ended }, verify] = await Promise.all([
    api.get<{ items: AuditRecord[] }>('/v1/audit', { query: { migration: view.id, kind: 'step.ended' } }),
    api.get<VerifyReport>('/v1/audit/verify'),
  ]);
  const checks = ended.flatMap((record) => record.checks ?? []);
  const last = ended.findLast((record) => record.node === undefined && (record.checks?.length ?? 0) > 0)?.checks ?? [];
  const nodes = view.stages.flatMap(({ waves }) => waves.flatMap((wave) => wave.nodes));
  const failedOnce = nodes.filter(({ rollbacks }) => rollbacks > 0);
  const histories = await Promise.all(
    failedOnce.map(({ name }) => api.get<NodeHistory>(path('migrations', view.id, 'nodes', name, 'history'))),
  );

  const lines = [
    style.bold('Verdicts'),
    `${view.counts.migrated} of ${view.counts.nodes} nodes on ${view.to}, ${view.failures} failed attempt${view.failures === 1 ? '' : 's'}, in ${duration((view.elapsed.workSeconds + view.elapsed.waitingSeconds) * 1000)}`,
    `${checks.length} checks were asked on the way: ${verdictCounts(checks)}`,
    ...(last.length > 0 ? ['The last look at the whole cluster:', ...evidenceLines(last, style, true)] : []),
    '',
    style.bold('Packets'),
    ...trafficLines(traffic.end, style, 6),
    ...(traffic.beforeFlip === undefined ? [] : [flipSentence(traffic.beforeFlip, traffic.end)]),
    '',
    style.bold('The record'),
    verify.ok
      ? `${verify.records} records, every one chained to the one before: whole`
      : `broken: ${verify.problems.join('; ')}`,
    ...histories.flatMap((history) => [
      '',
      style.bold(`cutover history ${history.node}`),
      ...historyLines(history, style),
    ]),
  ];
  return { lines, failure: failureOf(view, traffic, verify, failedOnce.length) };
}

const flipSentence = (before: TrafficReport, end: TrafficReport): string =>
  `node by node: ${before.bystanders.lost} of ${before.bystanders.sent} packets of pods that stayed lost; from the flip to the end: ${end.bystanders.lost - before.bystanders.lost} of ${end.bystanders.sent - before.bystanders.sent}`;

type Counted = Pick<TrafficReport, 'bystanders' | 'streams'>;
type Ended = Pick<MigrationView, 'state' | 'message' | 'counts' | 'to'>;

/** What the demo promises; anything else is a failure of Cutover and must not look like a success. */
export function failureOf(
  view: Ended,
  { beforeFlip, end }: { beforeFlip: Pick<TrafficReport, 'bystanders'> | undefined; end: Counted },
  verify: Pick<VerifyReport, 'ok'>,
  failedOnce: number,
): string {
  if (view.state !== 'completed') return `the migration ended as ${view.state}: ${view.message}`;
  if (view.counts.migrated !== view.counts.nodes)
    return `only ${view.counts.migrated} of ${view.counts.nodes} nodes are on ${view.to}`;
  const { bystanders } = beforeFlip ?? end;
  if (bystanders.sent === 0) return 'no traffic was measured between pods that stayed';
  if (bystanders.lost > 0)
    return `${bystanders.lost} of ${bystanders.sent} packets between pods that did not move were lost; it must be none`;
  const byFlip = end.bystanders.lost - bystanders.lost;
  const most = end.streams.length * mostLostByFlip;
  if (byFlip > most)
    return `the flip lost ${byFlip} packets between pods that did not move; gaps of 28 ms would be ${most} at most`;
  if (!verify.ok) return 'the audit record is not whole';
  return failedOnce === 0 ? 'no node failed its checks, although one was made to' : '';
}
