import { expect, it } from 'vitest';
import type { Bundle } from '../../src/checks/gate-bundle.ts';
import { exposureText, rollbackText } from '../../src/checks/gate-bundle.ts';
import type { CheckResult } from '../../src/checks/types.ts';
import { evidenceChanges } from '../../src/store/evidence-changes.ts';
import type { GateView } from '../../src/store/views.ts';

const check = (id: string, verdict: CheckResult['verdict'], message: string): CheckResult => ({
  id,
  layer: 'cluster',
  title: id,
  verdict,
  message,
  evidence: null,
});
const bundle = (migrated: string[]): Bundle => ({
  nodes: { of: 4, migrated },
  exposure: {
    policies: 3,
    enforcing: migrated.length,
    ignoring: 4 - migrated.length,
    since: '2026-11-20T10:00:00.000Z',
    seconds: 720,
  },
  rollback: {
    nodes: migrated.length,
    pods: 7,
    minutes: 2,
    measured: true,
    pointOfNoReturn: 'Remove the old agents',
    passed: false,
  },
});
const seen = (checks: CheckResult[], migrated: string[]): GateView['evidence'] => ({
  digest: '',
  verdict: 'pass',
  at: '',
  expiresAt: '',
  checks,
  bundle: bundle(migrated),
});

it('says what changed between two pieces of evidence, and nothing else', () => {
  const before = seen([check('dns', 'pass', 'fine'), check('a', 'pass', '1'), check('gone', 'warn', 'x')], ['w1']);
  const after = seen(
    [check('dns', 'block', 'no answer'), check('a', 'pass', '1'), check('new', 'pass', 'y')],
    ['w1', 'w2'],
  );

  expect(evidenceChanges(before, after)).toEqual([
    'dns was pass, is block: no answer',
    'new was not asked before: pass: y',
    'gone is not asked any more; it was warn',
    'on the new network since then: w2',
  ]);
  expect(evidenceChanges(after, after)).toEqual([]);
});

it('moves no pod back where the whole cluster was flipped', () => {
  const { rollback } = bundle(['w1', 'w2']);

  expect(rollbackText({ ...rollback, nodes: 0, pods: 0, clusterWide: true })).toBe(
    'the flips of the whole cluster are taken back, no pod has to move; possible until "Remove the old agents"',
  );
});

it('says who enforces policies and for how long, and what going back would cost', () => {
  expect(exposureText(bundle(['w1', 'w2']).exposure)).toBe(
    '2 of 4 nodes enforce the 3 policies, the others ignore them; so for 12 min',
  );
  expect(exposureText({ ...bundle([]).exposure, policies: 0 })).toBe('there is no NetworkPolicy');
  expect(rollbackText(bundle(['w1', 'w2']).rollback)).toBe(
    '2 nodes back, 7 pods to move, about 2 min as nodes took so far; possible until "Remove the old agents"',
  );
});
