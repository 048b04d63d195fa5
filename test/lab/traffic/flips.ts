import type { AuditRecord } from '../../../src/store/types.ts';
import type { Measured } from './types.ts';

/** A cluster-wide change under traffic, from the beginning of its step to the end. */
export interface Window {
  /** `cross-subnet forward`. */
  name: string;
  from: number;
  to: number;
}

/** What UDP between pods on different nodes lost in one window. */
export interface FlipLoss {
  name: string;
  /** Of the step, seconds. */
  seconds: number;
  /** Of each pair and direction, `worker-1 -> worker-2`. */
  pairs: { pair: string; lost: number; blackoutMs: number }[];
  lost: number;
  /** Longest time in which a pair lost everything, ms. */
  blackoutMs: number;
  /** Long TCP connections that broke. */
  breaks: number;
  /** Lost beside the overlay: that much the machine lost, and not the network. */
  canaryLost: number;
}

/** Gaps that follow each other within so many ms are one blackout. */
const oneGapMs = 50;

/** The windows of these steps, in both directions, in order. */
export function windowsOf(records: readonly AuditRecord[], steps: readonly string[]): Window[] {
  const open = new Map<string, number>();
  const windows: Window[] = [];
  for (const { kind, step = '', direction = '', at, node } of records) {
    if (node !== undefined || !steps.includes(step)) continue;
    const name = `${step} ${direction}`;
    if (kind === 'step.began' && !open.has(name)) open.set(name, Date.parse(at));
    if (kind !== 'step.ended' || !open.has(name)) continue;
    windows.push({ name, from: open.get(name)!, to: Date.parse(at) });
    open.delete(name);
  }
  return windows;
}

export function flipLoss(measured: readonly Measured[], { name, from, to }: Window): FlipLoss {
  const inWindow = ({ stream }: Measured) =>
    stream.gaps.filter((gap) => Date.parse(gap.from) >= from - 500 && Date.parse(gap.from) <= to + 500);
  const within = measured.filter(({ what }) => what === 'pair').map((each) => ({ ...each, gaps: inWindow(each) }));
  const pairs = within
    .filter(({ stream, gaps }) => stream.kind === 'udp' && gaps.length > 0)
    .map((each) => ({
      pair: `${each.from} -> ${each.to}`,
      lost: each.gaps.reduce((sum, { lost }) => sum + lost, 0),
      blackoutMs: longest(each.gaps),
    }));
  return {
    name,
    seconds: Math.round((to - from) / 100) / 10,
    pairs,
    lost: pairs.reduce((sum, { lost }) => sum + lost, 0),
    blackoutMs: Math.max(0, ...pairs.map(({ blackoutMs }) => blackoutMs)),
    breaks: within
      .filter(({ stream }) => stream.kind === 'connection')
      .reduce((sum, { gaps }) => sum + gaps.filter(({ error }) => /reset|refused|EOF|broken/i.test(error)).length, 0),
    canaryLost: measured
      .filter(({ what }) => what === 'canary')
      .flatMap(inWindow)
      .reduce((sum, { lost }) => sum + lost, 0),
  };
}

function longest(gaps: readonly { from: string; to: string }[]): number {
  const spans: { from: number; to: number }[] = [];
  for (const gap of gaps) {
    const span = { from: Date.parse(gap.from), to: Date.parse(gap.to) };
    const last = spans.at(-1);
    if (last && span.from - last.to <= oneGapMs) last.to = span.to;
    else spans.push(span);
  }
  return Math.round(Math.max(0, ...spans.map((span) => span.to - span.from)));
}

/** `cross-subnet forward: 34 lost in all, at most 0.1 s dark, of pairs 0 to 12`. */
export const flipLine = ({ name, seconds, pairs, lost, blackoutMs, breaks, canaryLost }: FlipLoss): string =>
  `${name}: ${lost} packets lost by ${pairs.length} of the pairs (most of one: ${Math.max(0, ...pairs.map((each) => each.lost))}), blackout at most ${blackoutMs} ms, ${breaks} connections broken, ${canaryLost} lost by the canary; the step took ${seconds} s`;
