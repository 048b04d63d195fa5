import { describe, expect, it } from 'vitest';
import { judge } from '../lab/traffic/judge.ts';
import type { Measured, Path, Stream } from '../lab/traffic/types.ts';

const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, 0) + second * 1000).toISOString();

const stream = (overrides: Partial<Stream>): Stream => ({
  name: 'stream',
  kind: 'udp',
  to: '10.244.1.2:9000',
  startedAt: at(0),
  sent: 1000,
  ok: 1000,
  lost: 0,
  wrong: 0,
  maxMs: 1,
  p50Ms: 0.2,
  p99Ms: 0.9,
  worstSendDelayMs: 0,
  lastError: '',
  answers: {},
  gaps: [],
  breaks: 0,
  stalls: 0,
  ...overrides,
});

const pair = (from: string, to: string, overrides: Partial<Stream>, generations = [1, 1]): Measured => ({
  what: 'pair',
  from,
  to,
  fromGeneration: generations[0]!,
  toGeneration: generations[1]!,
  stream: stream(overrides),
});

const outside = (what: Path['what'], to: string, overrides: Partial<Stream>): Measured => ({
  what,
  from: '',
  fromGeneration: 0,
  to,
  toGeneration: 0,
  stream: stream({ kind: 'http', ...overrides }),
});

const gap = (from: number, to: number, lost: number) => ({ from: at(from), to: at(to), lost, error: 'no echo' });

describe('what the traffic of the lab lost', () => {
  it('counts against bystanders only what was lost before one of the two pods was taken away', () => {
    const measured = [pair('a', 'b', { lost: 110, gaps: [gap(10, 10.1, 10), gap(21, 22, 100)] })];

    const { bystanders } = judge(measured, [{ node: 'b', at: at(20) }]);

    expect(bystanders).toMatchObject({ sent: 1000, lost: 10 });
  });

  it('counts pods that were made anew apart, from their own start on', () => {
    const fresh = { startedAt: at(40), gaps: [gap(45, 45.1, 3)], lost: 3 };
    const measured = [pair('a', 'b', {}), pair('a', 'b', fresh, [1, 2])];

    const { bystanders, moved } = judge(measured, [{ node: 'b', at: at(20) }]);

    expect([bystanders.lost, moved.lost]).toEqual([0, 3]);
  });

  it('takes the longest gap as the dark window, gaps within a second as one, and the rest as failures later', () => {
    const gaps = [gap(5, 5.1, 1), gap(20, 22, 40), gap(22.5, 24, 30), gap(60, 61, 20)];
    const measured = [outside('node-port', 'a', { lost: 91, gaps })];

    const { nodes } = judge(measured, []);

    expect(nodes).toEqual([
      expect.objectContaining({ node: 'a', nodePortDarkSeconds: 4, nodePortLost: 91, nodePortLostLater: 20 }),
    ]);
  });

  it('does not call a hostPort working that is answered by nobody at the end', () => {
    const measured = [
      outside('node-port', 'a', {}),
      outside('host-port', 'a', { wrong: 2, lost: 9, gaps: [{ ...gap(20, 30, 9), open: true }] }),
    ];

    expect(judge(measured, []).nodes[0]).toMatchObject({ hostPortWorks: false, hostPortWrong: 2 });
  });

  it('says how slow the slowest pair of bystanders was, beside the canary', () => {
    const measured = [
      outside('canary', '', { p99Ms: 12 }),
      pair('a', 'b', { p99Ms: 20 }),
      pair('b', 'a', { p99Ms: 15 }),
      pair('a', 'c', { p99Ms: 300 }, [1, 2]),
    ];

    expect(judge(measured, [])).toMatchObject({ canary: { p99Ms: 12 }, bystandersP99Ms: 20 });
  });

  it.each([
    ['lost packets beside the overlay', { lost: 1, gaps: [gap(1, 1.1, 1)] }, true],
    ['was slow beside the overlay', { p99Ms: 51 }, true],
    ['did neither', {}, false],
  ])('calls a machine starved that %s: %s', (_title, overrides, starved) => {
    expect(judge([outside('canary', '', overrides)], []).starved).toBe(starved);
  });
});
