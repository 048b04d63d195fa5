import { number } from '../probe/capture/judge.ts';
import { metricTable, pathTitles } from '../probe/capture/types.ts';
import type { CaptureMetric, CapturePath, Spread } from '../probe/capture/types.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';
import type { Report, ReportNode, ReportStage } from './types.ts';
import { span, when } from './words.ts';

/**
 * Plots as inline SVG, made here: bars, whiskers and a time line need no library, and a page that is kept for years must not
 * need one either. Colours are classes of the page's own style, so that they follow light, dark and print.
 */

export interface BarRow {
  label: string;
  before: Spread | undefined;
  after: Spread | undefined;
  /** Said at the end of the row. */
  note: string;
  tone: 'gain' | 'regression' | 'no-change' | 'control';
}

const width = 720;
const labelWidth = 190;
const noteWidth = 120;
const barHeight = 13;
const rowHeight = 44;

/** For each path two bars, before and after, from 0 to the median, with a whisker from the least run to the greatest. */
export function beforeAfter(metric: CaptureMetric, rows: readonly BarRow[]): Markup {
  const { title, unit, moreIsBetter } = metricTable[metric];
  const most = Math.max(1, ...rows.flatMap(({ before, after }) => [before?.max ?? 0, after?.max ?? 0]));
  const plotWidth = width - labelWidth - noteWidth - 70;
  const x = (value: number): number => labelWidth + (value / most) * plotWidth;
  const height = rows.length * rowHeight + 4;
  const bar = (spread: Spread | undefined, y: number, kind: string): Markup | undefined => {
    if (spread === undefined) return undefined;
    const middle = y + barHeight / 2;
    const shown = `${number(spread.median)} ${unit}`;
    return html`<rect
        class="bar ${kind}"
        x="${labelWidth}"
        y="${y}"
        width="${px(Math.max(1, x(spread.median) - labelWidth))}"
        height="${barHeight}"
        rx="2"
      />
      <path
        class="whisker"
        d="M${px(x(spread.min))} ${middle}H${px(x(spread.max))}M${px(x(spread.min))} ${middle - 3}v6M${px(x(spread.max))} ${middle - 3}v6"
      />
      <text class="value" x="${px(x(spread.max) + 7)}" y="${middle + 4}">${shown}</text>`;
  };
  return html`<figure>
    <figcaption>${title} <span class="hint">${unit}, ${moreIsBetter ? 'more' : 'less'} is better</span></figcaption>
    <svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}, before and after, by path">
      ${rows.map(({ label, before, after, note, tone }, index) => {
        const y = index * rowHeight + 6;
        return html`<text class="label" x="${labelWidth - 10}" y="${y + barHeight + 5}">${label}</text>
          ${bar(before, y, 'before')}${bar(after, y + barHeight + 3, 'after')}
          <text class="note ${tone}" x="${width}" y="${y + barHeight + 5}">${note}</text>`;
      })}
    </svg>
  </figure>`;
}

/** Bytes of one packet: its own frame, and what the encapsulation puts around it. */
export function packetBytes(frame: number, rows: readonly { label: string; overhead: number }[]): Markup {
  const most = Math.max(1, ...rows.map(({ overhead }) => Math.max(0, overhead)));
  // The frame is the same in both: drawn short, so that the difference can be seen.
  const frameWidth = 150;
  const scale = (width - labelWidth - frameWidth - 190) / most;
  return html`<figure>
    <figcaption>
      Bytes of one packet on the wire
      <span class="hint">its own frame of ${frame} bytes (cut short), and what is put around it</span>
    </figcaption>
    <svg
      viewBox="0 0 ${width} ${rows.length * 26 + 4}"
      role="img"
      aria-label="Bytes of one packet on the wire, before and after"
    >
      ${rows.map(({ label, overhead }, index) => {
        const y = index * 26 + 4;
        const extra = Math.max(0, overhead) * scale;
        return html`<text class="label" x="${labelWidth - 10}" y="${y + 13}">${label}</text>
          <rect class="bar frame" x="${labelWidth}" y="${y}" width="${frameWidth}" height="18" rx="2" />
          <rect
            class="bar ${index === 0 ? 'before' : 'after'}"
            x="${labelWidth + frameWidth}"
            y="${y}"
            width="${px(extra)}"
            height="18"
          />
          <text class="value" x="${px(labelWidth + frameWidth + extra + 8)}" y="${y + 13}"
            >+ ${number(Math.abs(overhead) < 0.5 ? 0 : overhead)} bytes of encapsulation</text
          >`;
      })}
    </svg>
  </figure>`;
}

const mostParts = 24;

/** Stages and gates against time; a gate's bar is the time in which people decided. */
export function timeLine(report: Report): Markup | undefined {
  const { migration, stages, gates } = report;
  const rows = stages.flatMap((stage) => [
    ...stage.parts.map((part) => ({ ...part, label: labelOf(part, stage, stages.length), tone: part.kind as string })),
    ...gates
      .filter((gate) => gate.stage === stage.id)
      .map(({ id, openedAt, closedAt }) => ({
        label: `gate ${id}`,
        startedAt: openedAt,
        endedAt: closedAt,
        tone: 'gate',
      })),
  ]);
  const begun = rows
    .filter(({ startedAt }) => startedAt !== '')
    .toSorted((a, b) => a.startedAt.localeCompare(b.startedAt))
    .slice(0, mostParts);
  if (begun.length === 0) return undefined;
  const first = Math.min(...begun.map(({ startedAt }) => Date.parse(startedAt)));
  const ends = begun.map(({ endedAt }) => Date.parse(endedAt || migration.endedAt || report.at));
  const last = Math.max(first + 1, ...ends);
  const plotWidth = width - labelWidth - 80;
  const x = (at: number): number => labelWidth + ((at - first) / (last - first)) * plotWidth;
  return html`<figure>
    <figcaption>
      When
      <span class="hint"
        >UTC, from ${when(new Date(first).toISOString())} to ${when(new Date(last).toISOString())}</span
      >
    </figcaption>
    <svg viewBox="0 0 ${width} ${begun.length * 22 + 4}" role="img" aria-label="Time line of stages, waves and gates">
      ${begun.map(({ label, startedAt, tone }, index) => {
        const from = Date.parse(startedAt);
        const until = Math.max(from, ends[index]!);
        const y = index * 22 + 4;
        return html`<text class="label" x="${labelWidth - 10}" y="${y + 12}">${label}</text>
          <rect
            class="bar ${tone}"
            x="${px(x(from))}"
            y="${y}"
            width="${px(Math.max(2, x(until) - x(from)))}"
            height="15"
            rx="2"
          />
          <text class="value" x="${px(x(until) + 7)}" y="${y + 12}">${span((until - from) / 1000)}</text>`;
      })}
    </svg>
  </figure>`;
}

const labelOf = ({ id, kind, nodes }: ReportStage['parts'][number], stage: ReportStage, stages: number): string => {
  const place = stages > 1 ? `${stage.id.split('-')[0]}: ` : '';
  return kind === 'wave' ? `${place}wave ${id} (${nodes})` : `${place}${id}`;
};

const mostBuckets = 16;

/** How long nodes took, as a histogram: hundreds of rows say less. */
export function nodeSeconds(nodes: readonly ReportNode[]): Markup | undefined {
  const seconds = nodes.flatMap((node) => (node.seconds === null ? [] : [node.seconds]));
  if (seconds.length < 8) return undefined;
  const [least, most] = [Math.min(...seconds), Math.max(...seconds)];
  const count = Math.min(mostBuckets, Math.max(4, Math.ceil(Math.sqrt(seconds.length))));
  const size = (most - least) / count || 1;
  const buckets = Array.from({ length: count }, () => 0);
  for (const value of seconds) buckets[Math.min(count - 1, Math.floor((value - least) / size))]! += 1;
  const tallest = Math.max(...buckets);
  const [height, step] = [120, (width - 20) / count];
  return html`<figure>
    <figcaption>
      Seconds that a node took
      <span class="hint">${seconds.length} nodes, from its first step to its end, with soak</span>
    </figcaption>
    <svg viewBox="0 0 ${width} ${height + 40}" role="img" aria-label="Histogram of the seconds that nodes took">
      ${buckets.map((many, index) => {
        const tall = (many / tallest) * height;
        const x = 10 + index * step;
        return html`<rect
            class="bar after"
            x="${px(x + 1)}"
            y="${px(height + 16 - tall)}"
            width="${px(step - 2)}"
            height="${px(tall)}"
          />
          ${many > 0 && html`<text class="value middle" x="${px(x + step / 2)}" y="${px(height + 12 - tall)}">${many}</text>`}
          ${(index % Math.ceil(count / 8) === 0 || index === count - 1) && html`<text class="value middle" x="${px(x + step / 2)}" y="${height + 32}">${Math.round(least + index * size)} s</text>`}`;
      })}
    </svg>
  </figure>`;
}

/** The rows of one metric: the three paths of pods, then the control. */
export function metricRows(
  metric: CaptureMetric,
  paths: readonly CapturePath[],
  { before, after, judgement }: Report['captures'][number],
): BarRow[] {
  const of = (capture: Report['captures'][number]['before'], path: CapturePath): Spread | undefined =>
    capture?.measurements.find((each) => each.metric === metric && each.path === path);
  return paths.flatMap((path): BarRow[] => {
    const row = { label: pathTitles[path], before: of(before, path), after: of(after, path) };
    if (row.before === undefined && row.after === undefined) return [];
    if (path === 'host') return [{ ...row, note: 'control', tone: 'control' }];
    const found = judgement.comparisons.find((each) => each.metric === metric && each.path === path);
    if (found === undefined) return [{ ...row, note: '', tone: 'no-change' }];
    const change = `${found.change >= 0 ? '+' : '−'}${Math.abs(Math.round(found.change * 100))} %`;
    const word = { gain: `▲ ${change} better`, regression: `▼ ${change} worse`, 'no-change': 'within noise' }[
      found.verdict
    ];
    return [{ ...row, note: word.replace('− ', ''), tone: found.verdict }];
  });
}

const px = (value: number): string => value.toFixed(1);
