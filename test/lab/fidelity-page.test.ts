import { expect, it } from 'vitest';
import type { CheckRow } from '../checks/target.ts';
import { fidelityPage } from './fidelity-page.ts';

const row = (check: string, verdict: CheckRow['verdict']): CheckRow => ({
  scenario: 'all is well',
  check,
  verdict,
  message: '',
  ms: 12,
});
const step = (node: string, seconds: number) => ({ node, step: 'Drain', direction: 'forward', seconds });

it('sets both verdicts side by side, marks the one that differs, and counts', () => {
  const page = fidelityPage({
    simulator: { scenario: 'simulator', checks: [row('dns', 'pass'), row('path-mtu', 'pass'), row('egress', 'pass')] },
    checks: {
      scenario: 'checks',
      at: '2026-11-25T18:50:37.895Z',
      notes: ['quiet'],
      checks: [row('dns', 'pass'), row('path-mtu', 'block')],
    },
    migration: undefined,
  });

  expect(page).toContain('2 verdicts of both: 1 alike, 1 different.');
  expect(page).toContain('| all is well | `dns` | pass (12) | pass (12) |  |');
  expect(page).toContain('|  | `path-mtu` | pass (12) | block (12) | **differs** |');
  expect(page).toContain('|  | `egress` | pass (12) | – |  |');
  expect(page).toContain('- lab, checks: run on 2026-11-25 18:50; quiet');
  expect(page).toContain('- lab, migration: not run yet');
});

it('takes the mean of the workers, with all tries of a step', () => {
  const steps = [step('worker-1', 2), step('worker-2', 1), step('worker-2', 3), step('control-plane-1', 90)];

  const page = fidelityPage({ simulator: { scenario: 'simulator', steps }, checks: undefined, migration: undefined });

  expect(page).toContain('| Drain | 3.0 | – |');
  expect(page).toContain('| all steps of a node | 3.0 | – |');
});

it('says what each flip cost, and what else was measured', () => {
  const flip = { name: 'never forward', seconds: 4.2, pairs: [], lost: 91, blackoutMs: 812, breaks: 0, canaryLost: 0 };

  const page = fidelityPage({
    simulator: undefined,
    checks: undefined,
    migration: undefined,
    flips: [{ scenario: 'bgp: to Never and back', flips: [flip] }],
    more: [{ scenario: 'evidence', at: '2026-11-25T22:58:50.000Z', notes: ['report: 0.3 s'] }],
  });

  expect(page).toContain('| to Never and back | never forward | 4.2 | 91 | 812 | 0 | 0 |');
  expect(page).toContain('## The scenario `evidence` on the lab');
  expect(page).toContain('report: 0.3 s');
});
