import { duration } from '../server/duration.ts';

export { duration };

/** For steps: below ten seconds with one decimal. */
export const precise = (ms: number): string => (ms < 10_000 ? `${(ms / 1000).toFixed(1)}s` : duration(ms));

/** From an ISO time until `now`, `` when there is no time. */
export const age = (at: string, now: number): string => (at === '' ? '' : duration(now - Date.parse(at)));

/** `14:05:09Z`: UTC, as records have it. */
export const clock = (at: string): string => (at === '' ? '' : `${at.slice(11, 19)}Z`);

/** `2026-03-01 14:05:09Z` */
export const stamp = (at: string): string => (at === '' ? '' : `${at.slice(0, 10)} ${clock(at)}`);
