/** Shortest and longest duration, in simulated ms. */
export type Range = readonly [number, number];

/** Chance that repeats: the same seed gives the same run of numbers. */
export interface Random {
  /** 0 <= n < 1 */
  next(): number;
  /** Between the two ends of a range, whole. */
  between(range: Range): number;
}

/** mulberry32: 32 bits of state are plenty for start-up times. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { next, between: ([least, most]) => Math.round(least + next() * (most - least)) };
}
