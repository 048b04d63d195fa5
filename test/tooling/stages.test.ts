import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A folder that no stage names is never run, and nobody notices. */
it('runs every folder of tests in one of the stages of npm test', () => {
  const runner = readFileSync(join(root, 'scripts/test.mjs'), 'utf8');
  const folders = new Set(
    readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => `test/${dirname(file).split('/')[0]}`),
  );

  expect(folders.size).toBeGreaterThan(10);
  expect([...folders].filter((folder) => !runner.includes(`'${folder}'`))).toEqual([]);
});
