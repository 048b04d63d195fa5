import type { CheckResult } from '../../checks/types.ts';
import type { Style } from '../style.ts';
import { table } from '../table.ts';
import { drawn, resultMark } from './glyphs.ts';

/** Checks as a table, what blocks first; what passed is counted unless `all`. Remedies stand under the table. */
export function evidenceLines(checks: readonly CheckResult[], style: Style, all = false): string[] {
  const rank = { block: 0, warn: 1, pass: 2 };
  const shown = checks
    .filter(({ verdict }) => all || verdict !== 'pass')
    .toSorted((a, b) => rank[a.verdict] - rank[b.verdict]);
  const passed = checks.length - shown.length;
  const lines =
    shown.length === 0
      ? []
      : table(shown, [
          { header: 'CHECK', value: ({ id }) => id },
          { header: 'VERDICT', value: (result) => drawn(style, resultMark(result)) },
          { header: 'NODE', value: ({ node }) => node ?? '' },
          { header: 'WHAT-WAS-FOUND', value: found },
        ]);
  const remedies = [
    ...new Set(
      shown.flatMap(({ id, remedy, acknowledged }) =>
        remedy && acknowledged === undefined ? [`  ${id}: ${remedy}`] : [],
      ),
    ),
  ];
  return [
    ...lines,
    ...(passed > 0 ? [`${shown.length > 0 ? 'and ' : ''}${passed} of ${checks.length} checks passed`] : []),
    ...(remedies.length > 0 ? ['What to do:', ...remedies] : []),
  ];
}

const found = ({ message, acknowledged }: CheckResult): string =>
  acknowledged === undefined ? message : `${message} (acknowledged: ${acknowledged})`;
