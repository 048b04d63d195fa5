import { number, percent } from '../../probe/capture/judge.ts';
import { captureMetrics, capturePaths, metricTable, pathTitles } from '../../probe/capture/types.ts';
import type { Capture, CaptureMetric, CapturePath, Spread } from '../../probe/capture/types.ts';
import type { CaptureReport } from '../../report/types.ts';
import type { Style } from '../style.ts';
import { table, type Column } from '../table.ts';
import { stamp } from '../time.ts';

interface Row {
  metric: CaptureMetric;
  path: CapturePath;
  before: Spread | undefined;
  after: Spread | undefined;
}

/** One stage: what was measured before and after, and what that says. `wide` adds every run and the devices. */
export function captureLines(
  { stage, title, before, after, judgement }: CaptureReport,
  style: Style,
  wide: boolean,
): string[] {
  const one = after ?? before;
  const head = [
    style.bold(`${stage}: ${title}`),
    ...(one
      ? [
          `${one.nodes.from} -> ${one.nodes.to}, ${one.settings.runs} runs of ${one.settings.seconds} s${at('before', before)}${at('after', after)}`,
        ]
      : []),
  ];
  const rows = captureMetrics.flatMap((metric) =>
    capturePaths.flatMap((path): Row[] => {
      const row = { metric, path, before: spreadOf(before, metric, path), after: spreadOf(after, metric, path) };
      return row.before || row.after ? [row] : [];
    }),
  );
  const failures = [...new Set([...(before?.failures ?? []), ...(after?.failures ?? [])])];
  return [
    ...head,
    ...(rows.length > 0 ? ['', ...table(rows, columns(judgement, style), wide), ''] : []),
    ...(judgement.encapsulation ? [judgement.encapsulation.sentence] : []),
    ...(wide ? deviceLines(before, after) : []),
    ...failures.map((failure) => style.yellow(`not measured: ${failure}`)),
    ...judgement.cautions.map((caution) => style.yellow(`! ${caution}`)),
    paint(style, judgement.verdict)(judgement.sentence),
  ];
}

const at = (moment: string, capture: Capture | null): string => (capture ? `, ${moment} ${stamp(capture.at)}` : '');

const columns = (judgement: CaptureReport['judgement'], style: Style): Column<Row>[] => {
  const found = ({ metric, path }: Row) =>
    judgement.comparisons.find((each) => each.metric === metric && each.path === path);
  return [
    { header: 'FIGURE', value: ({ metric }) => metricTable[metric].title },
    { header: 'PATH', value: ({ path }) => pathTitles[path] },
    { header: 'BEFORE', value: ({ before, metric }) => shown(before, metric) },
    { header: 'AFTER', value: ({ after, metric }) => shown(after, metric) },
    {
      header: 'OF-HOST',
      value: (row) => {
        const share = found(row)?.ofHost;
        return share ? `${percent(share.before)} -> ${percent(share.after)}` : '';
      },
    },
    {
      header: 'CHANGE',
      value: (row) => {
        const one = found(row);
        return one
          ? `${percent(Math.abs(one.change))} ${one.change >= 0 ? 'better' : 'worse'} (spread ${percent(one.spread)})`
          : '';
      },
    },
    {
      header: 'VERDICT',
      value: (row) => {
        const one = found(row);
        if (row.path === 'host') return style.dim('control');
        return one ? paint(style, one.verdict)(`${one.verdict}${one.doubtful ? ', doubtful' : ''}`) : '';
      },
    },
    { header: 'RUNS-BEFORE', value: ({ before }) => (before?.runs ?? []).map(number).join(' '), wide: true },
    { header: 'RUNS-AFTER', value: ({ after }) => (after?.runs ?? []).map(number).join(' '), wide: true },
  ];
};

function deviceLines(before: Capture | null, after: Capture | null): string[] {
  const rows = [
    ...(before?.devices ?? []).map((device) => ({ moment: 'before', ...device })),
    ...(after?.devices ?? []).map((device) => ({ moment: 'after', ...device })),
  ];
  if (rows.length === 0) return [];
  const figures = (moment: 'quiet' | 'loaded') =>
    (['rxpck', 'txpck', 'rxkB', 'txkB'] as const).map((field): Column<(typeof rows)[number]> => ({
      header: `${moment === 'quiet' ? 'QUIET-' : 'LOADED-'}${field}/s`,
      value: (row) => number(row[moment][field]),
    }));
  return [
    '',
    ...table(rows, [
      { header: 'WHEN', value: ({ moment }) => moment },
      { header: 'NODE', value: ({ node }) => node },
      { header: 'DEVICE', value: ({ device }) => device },
      ...figures('quiet'),
      ...figures('loaded'),
    ]),
    '',
  ];
}

const spreadOf = (capture: Capture | null, metric: CaptureMetric, path: CapturePath): Spread | undefined =>
  capture?.measurements.find((each) => each.metric === metric && each.path === path);

/** `7,610 Mbit/s (7,480 to 7,720)`. */
const shown = (spread: Spread | undefined, metric: CaptureMetric): string =>
  spread ? `${number(spread.median)} ${metricTable[metric].unit} (${number(spread.min)} to ${number(spread.max)})` : '';

const paint = (style: Style, verdict: string): ((text: string) => string) =>
  verdict === 'gain' ? style.green : verdict === 'regression' ? style.red : (text) => text;
