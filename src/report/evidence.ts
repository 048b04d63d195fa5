import type { CheckResult } from '../checks/types.ts';
import type { Continuity, PathRow } from '../probe/continuity.ts';
import type { AuditRecord } from '../store/types.ts';
import type { Bystanders, ChecksOfReport, Finding } from './types.ts';

/** Reasons by check id, or `<check id>/<hazard id>`. */
export type Acknowledged = ReadonlyMap<string, string>;

export const findingOf = (
  { id, verdict, message, node = '', remedy = '' }: CheckResult,
  acknowledged: Acknowledged,
): Finding => ({
  id,
  verdict,
  message,
  node,
  remedy,
  acknowledged: acknowledged.get(id) ?? '',
});

/** Counts what all checks of these records answered. */
export function countChecks(records: readonly AuditRecord[], acknowledged: Acknowledged): ChecksOfReport {
  const counts = { asked: 0, passed: 0, warned: 0, blocked: 0 };
  const findings = new Map<string, ChecksOfReport['findings'][number]>();
  for (const { checks = [], at, node } of records)
    for (const check of checks) {
      counts.asked++;
      if (check.verdict === 'pass') counts.passed++;
      else if (check.verdict === 'warn') counts.warned++;
      else counts.blocked++;
      if (check.verdict === 'pass') continue;
      const of = check.node ?? node ?? '';
      const key = `${check.id} ${of}`;
      const times = (findings.get(key)?.times ?? 0) + 1;
      findings.set(key, { ...findingOf({ ...check, node: of }, acknowledged), at, times });
    }
  const gravity = ({ verdict }: Finding): number => (verdict === 'block' ? 0 : 1);
  return { ...counts, findings: [...findings.values()].toSorted((a, b) => gravity(a) - gravity(b)) };
}

type Row = Bystanders['rows'][number];

/**
 * What the continuous probe saw of pods that stood still. Each gate counts from `since`: of counts that began at the same moment
 * the last one has all of the earlier. A check that could not be asked has no counts.
 */
export function bystandersOf(records: readonly AuditRecord[]): Bystanders | null {
  const bySince = new Map<string, { rows: Row[]; movingLost: number }>();
  for (const { checks = [] } of records)
    for (const { id, evidence } of checks) {
      const seen = id === 'continuity' ? (evidence as Partial<Continuity> | null) : null;
      if (!seen?.rows || !seen.moving) continue;
      bySince.set(seen.since ?? '', { rows: seen.rows.filter(isRow).map(rowOf), movingLost: seen.moving.lost });
    }
  if (bySince.size === 0) return null;
  const parts = [...bySince.values()];
  const rows = [
    ...Map.groupBy(
      parts.flatMap((part) => part.rows),
      ({ service, from, to }) => `${service} ${from} ${to}`,
    ).values(),
  ]
    .map((same): Row => ({
      service: same[0]!.service,
      from: same[0]!.from,
      to: same[0]!.to,
      lost: sum(same.map(({ lost }) => lost)),
      secondsUnreachable: sum(same.map(({ secondsUnreachable }) => secondsUnreachable)),
      brokenConnections: sum(same.map(({ brokenConnections }) => brokenConnections)),
    }))
    .toSorted((a, b) => b.secondsUnreachable - a.secondsUnreachable || b.lost - a.lost);
  return {
    lost: sum(rows.map(({ lost }) => lost)),
    secondsUnreachable: Math.max(0, ...rows.map(({ secondsUnreachable }) => secondsUnreachable)),
    brokenConnections: sum(rows.map(({ brokenConnections }) => brokenConnections)),
    movingLost: sum(parts.map(({ movingLost }) => movingLost)),
    rows,
  };
}

/** A long list of evidence ends with a sentence on what was cut. */
const isRow = (row: PathRow | string): row is PathRow => typeof row === 'object';

const rowOf = ({ service, fromZone, toZone, lost, unreachableSeconds, brokenConnections }: PathRow): Row => ({
  service,
  from: fromZone,
  to: toZone,
  lost,
  secondsUnreachable: unreachableSeconds,
  brokenConnections,
});

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
