import { expect, it } from 'vitest';
import { nodeHistory } from '../../src/store/node-views.ts';
import type { AuditRecord, RecordInput } from '../../src/store/types.ts';

const at = (ms: number): string => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();

/** A step of one node: when it began, how long it took, and what of that it waited for. */
const step = (id: string, from: number, durationMs: number, waitsMs: RecordInput['waitsMs'], attempt = 1) => {
  const place = { node: 'worker-1', step: id, direction: 'forward' as const, attempt: 1, nodeAttempt: attempt };
  return [
    { kind: 'step.began', at: at(from), ...place },
    {
      kind: 'step.ended',
      at: at(from + durationMs),
      ...place,
      outcome: 'ok',
      durationMs,
      ...(waitsMs ? { waitsMs } : {}),
    },
  ] as AuditRecord[];
};
const end = (state: string) =>
  ({ kind: 'node.ended', at: at(60_000), node: 'worker-1', outcome: state }) as AuditRecord;

it('says what the time of the last try went to; the parts add up to the whole', () => {
  const records = [
    ...step('evict', 0, 90_000, undefined),
    ...step('evict', 100_000, 10_000, { pods: 9_500 }, 2),
    ...step('swap', 110_200, 6_000, { agent: 5_000, checks: 400 }, 2),
    ...step('settle', 116_300, 4_000, { runtime: 300, pods: 3_000 }, 2),
    end('migrated'),
  ];

  const { timeWentTo } = nodeHistory(records, 'worker-1');

  expect(timeWentTo.map(({ what, ms }) => [what.split(':')[0], ms])).toEqual([
    ['pods', 12_500],
    ['agents', 5_000],
    ["Cutover's own work in the steps", 1_800],
    ['checks', 400],
    ['the container runtime', 300],
    ['between the steps', 300],
  ]);
  expect(timeWentTo.reduce((sum, { ms }) => sum + ms, 0)).toBe(120_300 - 100_000);
});

it('leaves out the soak that the plan asks for, and says nothing of a node that is not done', () => {
  const records = [...step('probe', 0, 1_000, undefined), ...step('soak', 61_100, 500, undefined)];
  const steps = [{ id: 'soak', title: 'Watch', verb: 'node.check', waitSeconds: 60 }];

  expect(nodeHistory([...records, end('held')], 'worker-1', steps).timeWentTo).toEqual([]);
  expect(nodeHistory([...records, end('migrated')], 'worker-1', steps).timeWentTo.slice(0, 2)).toEqual([
    { what: 'soak: the time that the plan asks for', ms: 60_000 },
    { what: "Cutover's own work in the steps", ms: 1_500 },
  ]);
});

it('counts of steps that run alongside each other what the longest took', () => {
  const short = step('leave', 0, 200, undefined);
  const long = step('evict', 5, 6_000, { pods: 5_800 });
  // As they were recorded: both begin before one of them ends.
  const records = [
    short[0]!,
    long[0]!,
    short[1]!,
    long[1]!,
    ...step('dead-man', 6_105, 400, undefined),
    end('migrated'),
  ];

  const { timeWentTo } = nodeHistory(records, 'worker-1');

  expect(timeWentTo.map(({ what, ms }) => [what.split(':')[0], ms])).toEqual([
    ['pods', 5_800],
    ["Cutover's own work in the steps", 600],
    ['between the steps', 105],
  ]);
});
