import { expect, it } from 'vitest';
import { acknowledge, effectiveVerdict, verdictCounts, worstVerdict } from '../../src/checks/acknowledge.ts';
import type { CheckResult, Verdict } from '../../src/checks/types.ts';

const result = (id: string, verdict: Verdict): CheckResult => ({
  id,
  layer: 'cluster',
  title: id,
  verdict,
  message: `${id} was measured`,
  evidence: null,
});

it('counts a warning as passed when the plan acknowledges it, and keeps its reason', () => {
  const all = [result('versions', 'warn'), result('budgets', 'pass')];

  const [versions, budgets] = acknowledge(all, [
    { id: 'versions', reason: 'known' },
    { id: 'budgets', reason: 'no need' },
  ]);

  expect(versions).toMatchObject({ verdict: 'warn', acknowledged: 'known' });
  expect(budgets).not.toHaveProperty('acknowledged');
  expect(worstVerdict(all)).toBe('warn');
  expect(worstVerdict([versions!, budgets!])).toBe('pass');
  expect(verdictCounts([versions!, budgets!])).toBe('1 pass, 1 acknowledged, 0 warn, 0 block');
});

it('never lets a block through, nor a check by the name of a part of it', () => {
  const reasons = [
    { id: 'versions', reason: 'known' },
    { id: 'budgets/shop', reason: 'known' },
  ];

  const found = acknowledge([result('versions', 'block'), result('budgets', 'warn')], reasons);

  expect(found.map(effectiveVerdict)).toEqual(['block', 'warn']);
});
