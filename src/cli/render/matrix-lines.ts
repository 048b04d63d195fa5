import type { Continuity } from '../../probe/continuity.ts';
import { matrixColumns, type Matrix, type MatrixColumn } from '../../checks/pod-network/matrix.ts';
import type { CheckResult } from '../../checks/types.ts';
import type { Style } from '../style.ts';
import { table } from '../table.ts';

/** The verdict matrix of the evidence: `ok`, `FAIL 2/6`, or `-` for what was not asked. Nothing when it was not taken. */
export function matrixLines(checks: readonly CheckResult[], style: Style): string[] {
  const evidence = checks.find(({ id }) => id === 'cluster-matrix')?.evidence as { matrix?: Matrix } | null | undefined;
  const matrix = evidence?.matrix;
  if (!matrix) return [];
  const cell = (row: string, column: MatrixColumn): string => {
    const found = matrix[row]?.[column];
    if (!found) return '-';
    return found.failed === 0 ? style.green('ok') : style.red(`FAIL ${found.failed}/${found.asked}`);
  };
  return table(Object.keys(matrix), [
    { header: 'FROM-TO', value: (row) => row },
    ...matrixColumns.map((column) => ({ header: column.toUpperCase(), value: (row: string) => cell(row, column) })),
  ]);
}

/** Shown; the rest is counted. */
const mostRows = 6;

/** What bystanders lost meanwhile, path by path, what hurt most first. Nothing when it was not taken. */
export function continuityLines(checks: readonly CheckResult[]): string[] {
  const found = checks.find(({ id }) => id === 'continuity')?.evidence as Continuity | null | undefined;
  if (!found?.rows) return [];
  const hurt = found.rows.filter((row) => row.lost > 0 || row.brokenConnections > 0);
  const since = `since ${found.since.slice(11, 19)}Z`;
  if (hurt.length === 0) return [`no bystander lost anything ${since}, on ${found.rows.length} kinds of path`];
  return [
    ...table(hurt.slice(0, mostRows), [
      { header: 'SERVICE', value: ({ service }) => service },
      {
        header: 'FROM-TO',
        value: ({ fromZone, toZone }) => (toZone === '' ? fromZone : `${fromZone} -> ${toZone}`),
      },
      { header: 'UNREACHABLE', value: ({ unreachableSeconds }) => `${unreachableSeconds} s` },
      { header: 'LONGEST', value: ({ longestSeconds }) => `${longestSeconds} s` },
      { header: 'LOST', value: ({ lost, sent }) => `${lost} of ${sent}` },
      { header: 'BROKEN', value: ({ brokenConnections }) => String(brokenConnections) },
      { header: 'SINCE', value: (row) => row.since.slice(11, 19) },
      { header: 'NOW', value: ({ down }) => (down.length === 0 ? 'answers' : `DOWN ${down.slice(0, 2).join(', ')}`) },
    ]),
    ...(hurt.length > mostRows ? [`and ${hurt.length - mostRows} more`] : []),
  ];
}
