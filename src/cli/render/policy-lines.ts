import type { Hazard } from '../../policy/hazards.ts';
import type { MatrixCell } from '../../policy/matrix.ts';
import type { PolicyReport } from '../../policy/report.ts';
import type { Style } from '../style.ts';
import { table } from '../table.ts';
import { drawn, verdictMarks } from './glyphs.ts';
import type { Mark } from './glyphs.ts';

/** What was judged, the hazards, what to write, and the matrix when there is one. */
export function policyLines(report: PolicyReport, style: Style, wide = false): string[] {
  const { hazards, policies, pods, flows, gaps, matrix } = report;
  const blocking = hazards.filter(({ severity }) => severity === 'block').length;
  const known = flows.map(({ source, judged, cut }) => `${judged} ${words[source]}${cut > 0 ? ` (${cut} cut)` : ''}`);
  return [
    `${policies.length} policies, ${pods} pods; flows: ${known.join(', ') || 'none is known'}`,
    ...gaps.map((gap) => `not known: ${gap}`),
    hazards.length === 0
      ? 'no hazard: nothing that is known to work would be cut'
      : `${hazards.length} hazards, ${blocking} of them need an acknowledgement`,
    ...(hazards.length === 0 ? [] : table(hazards, columns(style), wide)),
    ...(hazards.length === 0 ? [] : ['What to do:', ...hazards.map(({ id, remedy }) => `  ${id}: ${remedy}`)]),
    ...(matrix === undefined ? [] : ['', ...matrixLines(matrix, style, wide)]),
  ];
}

const words = { implied: 'implied', annotation: 'by annotation', file: 'from the file', conntrack: 'seen by nodes' };

const columns = (style: Style) => [
  { header: 'ID', value: ({ id }: Hazard) => id },
  { header: 'SEVERITY', value: ({ severity }: Hazard) => drawn(style, verdictMarks[severity]) },
  { header: 'KIND', value: ({ kind }: Hazard) => kind },
  { header: 'KNOWN-FROM', value: ({ sources }: Hazard) => sources.join(','), wide: true },
  { header: 'PODS', value: ({ evidence }: Hazard) => evidence.connections.join(', '), wide: true },
  { header: 'WHAT-WOULD-HAPPEN', value: ({ message }: Hazard) => message },
];

const matrixLines = (matrix: readonly MatrixCell[], style: Style, wide: boolean): string[] =>
  table(
    matrix,
    [
      { header: 'FROM', value: ({ from }) => from },
      { header: 'TO', value: ({ to }) => to },
      { header: 'PORT', value: ({ port }) => port },
      {
        header: 'VERDICT',
        value: ({ verdict }) => drawn(style, marks[verdict]),
      },
      { header: 'WHY', value: ({ why }) => why, wide: true },
    ],
    wide,
  );
const marks: { [V in MatrixCell['verdict']]: Mark } = {
  allowed: { glyph: '✔', word: 'allowed', tone: 'good' },
  some: { glyph: '!', word: 'some', tone: 'waits' },
  cut: { glyph: '✖', word: 'cut', tone: 'bad' },
};
