import { expect, it } from 'vitest';
import { tellStory } from '../../activities/story.ts';
import type { CompiledPlan } from '../../src/plan/types.ts';
import type { AuditRecord } from '../../src/store/types.ts';

const plan = {
  stages: [
    {
      id: '1',
      node: [
        { id: 'evict', verb: 'node.drain' },
        { id: 'release', verb: 'node.restoreCordon' },
        { id: 'soak', verb: 'node.check' },
      ],
    },
  ],
} as unknown as CompiledPlan;
const at = (second: number): string => new Date(second * 1000).toISOString();
const record = (second: number, kind: AuditRecord['kind'], more: Partial<AuditRecord> = {}) =>
  ({ at: at(second), kind, stage: '1', ...more }) as AuditRecord;

it('knows when a node moved: until it is only watched, and again while it goes back', () => {
  const seen = { streams: [], node: 'w1' };
  const { motions, kept, since, startedAt } = tellStory(
    [
      record(1, 'migration.started'),
      record(10, 'node.started', { node: 'w1' }),
      record(12, 'step.ended', {
        node: 'w1',
        step: 'evict',
        direction: 'forward',
        outcome: 'ok',
        evidence: { seen } as never,
      }),
      record(40, 'step.ended', { node: 'w1', step: 'release', direction: 'forward', outcome: 'ok' }),
      record(100, 'step.began', { node: 'w1', step: 'release', direction: 'back' }),
      record(140, 'node.ended', { node: 'w1', outcome: 'rolled-back' }),
      record(150, 'gate.closed', { outcome: 'passed' }),
      record(160, 'node.started', { node: 'w2' }),
      record(170, 'node.ended', { node: 'w2', outcome: 'held' }),
    ],
    plan,
  );

  expect(motions).toEqual([
    { node: 'w1', from: 10, to: 40 },
    { node: 'w1', from: 100, to: 140 },
    { node: 'w2', from: 160, to: null },
  ]);
  expect(kept).toEqual([seen]);
  expect([since, startedAt]).toEqual([150, at(1)]);
});

it('begins anew with what a gate is about after a wave was taken back', () => {
  const { since } = tellStory(
    [
      record(1, 'migration.started'),
      record(50, 'wave.ended', { direction: 'back' }),
      record(60, 'gate.closed', { outcome: 'rejected' }),
    ],
    plan,
  );

  expect(since).toBe(50);
});
