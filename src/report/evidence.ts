import type { CheckResult } from '../checks/types.ts';
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
 * the last one has all of the earlier. Evidence of another shape is left out: it is read, not trusted.
 */
export function bystandersOf(records: readonly AuditRecord[]): Bystanders | null {
  const bySince = new Map<string, { rows: Row[]; movingLost: number }>();
  for (const { checks = [] } of records)
    for (const { evidence } of checks) {
      const seen = objectOf(evidence);
      const rows = Array.isArray(seen?.['rows']) ? seen['rows'].map(rowOf).filter((row) => row !== undefined) : [];
      const moving = objectOf(seen?.['moving']);
      if (seen === undefined || moving === undefined || !Array.isArray(seen['rows'])) continue;
      bySince.set(String(seen['since'] ?? ''), { rows, movingLost: numberOf(moving['lost']) });
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

function rowOf(value: unknown): Row | undefined {
  const row = objectOf(value);
  if (row === undefined || typeof row['service'] !== 'string') return undefined;
  return {
    service: row['service'],
    from: String(row['fromZone'] ?? ''),
    to: String(row['toZone'] ?? ''),
    lost: numberOf(row['lost']),
    secondsUnreachable: numberOf(row['unreachableSeconds'] ?? row['secondsUnreachable']),
    brokenConnections: numberOf(row['brokenConnections']),
  };
}

const objectOf = (value: unknown): { [key: string]: unknown } | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as { [key: string]: unknown })
    : undefined;
const numberOf = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
