import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { workflowBundle } from '../../src/temporal/workflow-bundle.ts';

const quiet = pino({ level: 'silent' });
const folder = mkdtempSync(join(tmpdir(), 'cutover-bundle-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The one bundle that is kept. */
const kept = (): string => {
  const files = readdirSync(folder).filter((file) => file.includes('workflows-'));
  expect(files).toHaveLength(1);
  return join(folder, files[0]!);
};

describe('the bundle of the workflows', { timeout: 120_000 }, () => {
  let code = '';
  beforeEach(async () => {
    ({ code } = (await workflowBundle(quiet, folder)) as { code: string });
  });

  it('is made once and kept, for its owner only', async () => {
    expect(code).toContain('migrateNode');
    expect(statSync(kept()).mode & 0o777).toBe(0o600);

    // Another code with a digest that fits is taken: so nothing was bundled.
    const other = 'exports = 1;';
    writeFileSync(kept(), `// ${createHash('sha256').update(other).digest('hex')}\n${other}`);
    expect(await workflowBundle(quiet, folder)).toEqual({ code: other });
    rmSync(kept());
  });

  it.each([
    { title: 'was cut off', spoil: (file: string) => truncateSync(file, 10_000) },
    { title: 'is empty', spoil: (file: string) => truncateSync(file, 0) },
    {
      title: 'was changed',
      spoil: (file: string) => writeFileSync(file, readFileSync(file, 'utf8').replace('migrateNode', 'migrateNobody')),
    },
  ])('is made anew when its file $title', async ({ spoil }) => {
    spoil(kept());

    expect(await workflowBundle(quiet, folder)).toEqual({ code });
    expect(readFileSync(kept(), 'utf8').endsWith(code)).toBe(true);
  });

  it('takes the place of the one of an earlier version, and of nothing else', async () => {
    const now = kept();
    writeFileSync(now.replace(/-\w+\.js$/, '-0123456789abcdef.js'), 'earlier');
    writeFileSync(join(folder, 'workflows-other000-1.js'), 'of another checkout');
    rmSync(now);

    await workflowBundle(quiet, folder);

    rmSync(join(folder, 'workflows-other000-1.js'));
    expect(kept()).toBe(now);
  });

  it('may be made by several workers at once', async () => {
    rmSync(kept());

    const both = await Promise.all([workflowBundle(quiet, folder), workflowBundle(quiet, folder)]);

    expect(both).toEqual([{ code }, { code }]);
    expect(readdirSync(folder)).toHaveLength(1);
    expect(await workflowBundle(quiet, folder)).toEqual({ code });
  });

  it('is made all the same where nothing can be kept', async () => {
    expect(await workflowBundle(quiet, join(kept(), 'below-a-file'))).toEqual({ code });
  });
});
