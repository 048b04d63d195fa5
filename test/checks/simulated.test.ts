import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { cases, hostCases } from './cases.ts';
import { simulatedTarget, type SimulatedTarget } from './simulated-target.ts';
import { runCase, type CheckRow } from './target.ts';

/** Where the verdicts go as JSON, with times as a real cluster has them: `npm run lab -- fidelity` sets both side by side. */
const file = process.env['CUTOVER_CHECK_ROWS'];
const rows: CheckRow[] = [];
let target: SimulatedTarget;
beforeAll(async () => {
  target = await simulatedTarget(file ? 1 : undefined);
}, 120_000);
afterAll(async () => {
  if (file) writeFileSync(file, JSON.stringify(rows));
  await target.stop();
});

describe('against a simulated cluster', () => {
  it.each(cases)('$name', (one) => runCase(target, one, (found) => rows.push(...found)));

  it.each(hostCases)('$name', async (one) => {
    const mend = target.setHost(one);
    try {
      await runCase(target, one, () => {});
    } finally {
      await mend();
    }
  });
});
