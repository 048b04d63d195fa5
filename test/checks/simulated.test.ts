import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { cases } from './cases.ts';
import { simulatedTarget } from './simulated-target.ts';
import { runCase, type CheckRow, type CheckTarget } from './target.ts';

/** Where the verdicts go as JSON: what `npm run lab -- fidelity` sets beside those of the lab. */
const file = process.env['CUTOVER_CHECK_ROWS'];
const rows: CheckRow[] = [];
let target: CheckTarget;
beforeAll(async () => {
  target = await simulatedTarget();
}, 90_000);
afterAll(async () => {
  if (file) writeFileSync(file, JSON.stringify(rows));
  await target.stop();
});

describe('against a simulated cluster', () => {
  it.each(cases)('$name', (one) => runCase(target, one, (found) => rows.push(...found)));
});
