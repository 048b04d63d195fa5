import { scatter } from './statistics.ts';
import { captureMetrics, capturePaths, metricTable, pathTitles } from './types.ts';
import type { Capture, CaptureMetric, CapturePath, Encapsulation, Measurement, Spread } from './types.ts';

/** A change of less is what machines do by themselves (§3 of the migration facts: more than 10 % and twice the spread). */
const leastChange = 0.1;
const timesSpread = 2;
/** The host's own 99th percentile above this: the machine starves what runs on it (lab facts, §4: discard the run). */
const starvedUs = 50_000;

export type ChangeVerdict = 'gain' | 'regression' | 'no-change';

export type Comparison = {
  metric: CaptureMetric;
  path: Exclude<CapturePath, 'host'>;
  unit: Measurement['unit'];
  before: Spread;
  after: Spread;
  /** Medians as a share of the host's own in the same capture; null when the control was not measured. */
  ofHost: { before: number; after: number } | null;
  /** Greater than 0 is better, whatever the figure: 0.17 is 17 % better. */
  change: number;
  /** The greater scatter of both captures, as a share of the median. */
  spread: number;
  verdict: ChangeVerdict;
  /** The host's own figure moved by more than its spread as well. */
  doubtful: boolean;
  sentence: string;
};

export type CaptureJudgement = {
  verdict: ChangeVerdict | 'no-baseline' | 'not-taken';
  /** One sentence. */
  sentence: string;
  comparisons: Comparison[];
  /** Bytes of each packet on the wire beyond its own frame. */
  encapsulation: { before: Encapsulation; after: Encapsulation; savedBytes: number; sentence: string } | null;
  /** Why the figures have to be read with care, one sentence each: the control moved, the machine starved. */
  cautions: string[];
};

/** Compares two captures of the same pair. Pure. */
export function judgeCaptures(before: Capture | undefined, after: Capture | undefined): CaptureJudgement {
  const nothing = { comparisons: [], encapsulation: null, cautions: [] };
  if (after === undefined && before === undefined)
    return { verdict: 'not-taken', sentence: 'nothing was measured: the plan or a person skipped it', ...nothing };
  if (before === undefined)
    return {
      verdict: 'no-baseline',
      sentence: 'there is no capture from before the change: what was measured now has nothing to be compared with',
      ...nothing,
    };
  if (after === undefined)
    return {
      verdict: 'not-taken',
      sentence: 'the network was measured before the change, and not yet after it',
      ...nothing,
    };

  const cautions = cautionsOf(before, after);
  const comparisons = captureMetrics.flatMap((metric) =>
    capturePaths.flatMap((path) => (path === 'host' ? [] : (compare(before, after, metric, path) ?? []))),
  );
  const worse = comparisons.filter(({ verdict }) => verdict === 'regression');
  const better = comparisons.filter(({ verdict }) => verdict === 'gain');
  const encapsulation = encapsulationOf(before, after);
  const verdict = worse.length > 0 ? 'regression' : better.length > 0 ? 'gain' : 'no-change';
  return { verdict, sentence: summaryOf(comparisons, worse, better), comparisons, encapsulation, cautions };
}

function summaryOf(all: Comparison[], worse: Comparison[], better: Comparison[]): string {
  if (all.length === 0) return 'no figure was measured both before and after';
  const list = (of: Comparison[]): string => of.map(({ sentence }) => sentence).join('; ');
  if (worse.length > 0)
    return `${worse.length} of ${all.length} figures got worse: ${list(worse)}${better.length > 0 ? `; better: ${list(better)}` : ''}`;
  if (better.length > 0) return `${better.length} of ${all.length} figures got better, none worse: ${list(better)}`;
  return `no change beyond noise in ${all.length} figures`;
}

function compare(
  before: Capture,
  after: Capture,
  metric: CaptureMetric,
  path: Exclude<CapturePath, 'host'>,
): Comparison | undefined {
  const [old, now] = [find(before, metric, path), find(after, metric, path)];
  if (old === undefined || now === undefined || old.median === 0) return undefined;
  const [oldHost, nowHost] = [find(before, metric, 'host'), find(after, metric, 'host')];
  const hosts = oldHost && nowHost && oldHost.median > 0 && nowHost.median > 0;
  const ofHost = hosts ? { before: old.median / oldHost.median, after: now.median / nowHost.median } : null;
  const ratio = ofHost ? ofHost.after / ofHost.before : now.median / old.median;
  const { moreIsBetter } = metricTable[metric];
  const change = moreIsBetter ? ratio - 1 : 1 - ratio;
  const spread = Math.max(scatter(old), scatter(now));
  const counts = Math.abs(change) > leastChange && Math.abs(change) > timesSpread * spread;
  const verdict: ChangeVerdict = !counts ? 'no-change' : change > 0 ? 'gain' : 'regression';
  return {
    metric,
    path,
    unit: old.unit,
    before: spreadPart(old),
    after: spreadPart(now),
    ofHost,
    change,
    spread,
    verdict,
    doubtful: hosts ? moved(oldHost, nowHost) : false,
    sentence: sentenceOf(metric, path, { old, now, ofHost, change, spread }),
  };
}

function sentenceOf(
  metric: CaptureMetric,
  path: CapturePath,
  {
    old,
    now,
    ofHost,
    change,
    spread,
  }: Pick<Comparison, 'ofHost' | 'change' | 'spread'> & { old: Measurement; now: Measurement },
): string {
  const share = ofHost ? ` (${percent(ofHost.before)} -> ${percent(ofHost.after)} of the host's own)` : '';
  const way = change >= 0 ? 'better' : 'worse';
  return `${metricTable[metric].title}, ${pathTitles[path]}: ${number(old.median)} -> ${number(now.median)} ${old.unit}${share}, ${percent(Math.abs(change))} ${way} with a spread of ${percent(spread)}`;
}

function cautionsOf(before: Capture, after: Capture): string[] {
  const cautions: string[] = [];
  if (before.nodes.from !== after.nodes.from || before.nodes.to !== after.nodes.to)
    cautions.push(
      `before, ${before.nodes.from} and ${before.nodes.to} were measured; after, ${after.nodes.from} and ${after.nodes.to}`,
    );
  for (const metric of captureMetrics) {
    const [old, now] = [find(before, metric, 'host'), find(after, metric, 'host')];
    if (old && now && moved(old, now))
      cautions.push(
        `the control moved: ${metricTable[metric].title}, host to host, was ${number(old.median)} and is ${number(now.median)} ${old.unit} (spread ${percent(Math.max(scatter(old), scatter(now)))}), so the machines themselves did not do the same both times`,
      );
  }
  for (const capture of [before, after]) {
    const host = find(capture, 'latency-p99', 'host');
    if (host && host.median > starvedUs)
      cautions.push(
        `the machines starved ${capture.when === 'before' ? 'before' : 'after'} the change: even host to host one request in a hundred took ${number(host.median / 1000)} ms`,
      );
  }
  return cautions;
}

/** By more than its own runs scatter. */
const moved = (old: Spread, now: Spread): boolean =>
  old.median > 0 && Math.abs(now.median / old.median - 1) > Math.max(scatter(old), scatter(now));

function encapsulationOf(before: Capture, after: Capture): CaptureJudgement['encapsulation'] {
  const [old, now] = [before.encapsulation, after.encapsulation];
  if (!old || !now) return null;
  const noise = Math.max(old.max - old.min, now.max - now.min);
  const difference = old.median - now.median;
  // A header has a whole number of bytes, 20 for IP in IP at the least: less is the noise of other traffic.
  const savedBytes = Math.abs(difference) >= 1 && Math.abs(difference) > noise ? Math.round(difference) : 0;
  const say =
    savedBytes === 0 ? 'as before' : `${Math.abs(savedBytes)} ${savedBytes > 0 ? 'less' : 'more'} in each packet`;
  return {
    before: old,
    after: now,
    savedBytes,
    sentence: `encapsulation took ${number(old.median)} bytes of each packet before and takes ${number(now.median)} now: ${say}`,
  };
}

const find = (capture: Capture, metric: CaptureMetric, path: CapturePath): Measurement | undefined =>
  capture.measurements.find((each) => each.metric === metric && each.path === path);

const spreadPart = ({ runs, min, median, max }: Spread): Spread => ({ runs, min, median, max });
export const percent = (share: number): string => `${Math.round(share * 100)} %`;
/** `8,890`, `0.4`. */
export const number = (value: number): string =>
  value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) < 100 ? 1 : 0 });
