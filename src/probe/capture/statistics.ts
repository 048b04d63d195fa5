import type { Spread } from './types.ts';

/** Nearest rank, of values in any order; 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** @param runs at least one */
export function spreadOf(runs: readonly number[]): Spread {
  const sorted = runs.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { runs: [...runs], min: sorted[0]!, median, max: sorted.at(-1)! };
}

/** What runs scatter by, as a share of their median. */
export const scatter = ({ min, median, max }: Spread): number => (median === 0 ? 0 : (max - min) / Math.abs(median));

export const round = (value: number, digits = 0): number => Number(value.toFixed(digits));
