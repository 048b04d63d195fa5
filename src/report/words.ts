import { duration } from '../server/duration.ts';

/** `4m51s`. */
export const span = (seconds: number): string => duration(seconds * 1000);

/** `1 node`, `3 nodes`. */
export const times = (many: number, one: string, more = `${one}s`): string =>
  `${many.toLocaleString('en-US')} ${many === 1 ? one : more}`;

/** `2026-03-01 14:05:09`, UTC; `` when there is no time. */
export const when = (at: string): string => at.slice(0, 19).replace('T', ' ');

/** `sha256:4f1c2a…`: enough to compare by eye. */
export const short = (hex: string): string => (hex === '' ? '' : `sha256:${hex.slice(0, 12)}`);
