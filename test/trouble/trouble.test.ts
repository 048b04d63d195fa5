import { afterAll, describe, expect, it } from 'vitest';
import { moments, survive } from './survive.ts';
import { troubles } from './troubles.ts';

/**
 * Trouble of Cutover's own, at every moment of a migration. `npm run test:trouble` tries every combination; here is a sample, one
 * for each kind of thing that Cutover depends on.
 */
const sample = [
  'store locked by another process x behind the fence',
  'disk full x swap',
  'Temporal stopped x settle',
  'API 500 x rollback',
  'SSH unreachable x evict',
];
const all = troubles.flatMap((trouble) =>
  moments.map((moment) => ({ name: `${trouble.name} x ${moment.name}`, trouble, moment })),
);
const wanted = process.env['TROUBLE'] ?? '';
const chosen = all.filter(({ name }) =>
  wanted === 'all' ? true : wanted === '' ? sample.includes(name) : new RegExp(wanted).test(name),
);

let tried = 0;
let survived = 0;
afterAll(() => console.log(`combinations tried: ${tried}, survived: ${survived}`));

describe('a migration survives', () => {
  it.for(chosen)('$name', { timeout: 600_000 }, async ({ trouble, moment }, { skip }) => {
    const result = await survive(trouble, moment);
    skip(!result, 'this user may not mount a file system');
    tried++;
    if (result?.problems.length === 0) survived++;
    expect(result?.problems, result?.said).toEqual([]);
  });
});
