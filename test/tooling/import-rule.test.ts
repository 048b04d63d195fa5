import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
let folder = '';
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lints one file as if it stood at that path of the project. */
function lint(path: string, code: string): string {
  folder = mkdtempSync(join(tmpdir(), 'cutover-lint-'));
  copyFileSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), code);
  return spawnSync(join(root, 'node_modules/.bin/oxlint'), [path], { cwd: folder, encoding: 'utf8' }).stdout;
}

const use = (from: string): string => `import { thing } from '${from}';\nexport const it = thing;\n`;

describe('the import rule of design §3', () => {
  it.each([
    ['workflows/a.ts', 'node:fs'],
    ['workflows/a.ts', '@temporalio/activity'],
    ['workflows/a.ts', 'zod'],
    ['workflows/a.ts', '../src/store/sqlite.ts'],
    ['workflows/a.ts', '../src/temporal/worker.ts'],
    ['workflows/a.ts', '../activities/node.ts'],
    ['activities/a.ts', '../src/server/app.ts'],
    ['activities/a.ts', '../src/simulator/types.ts'],
    ['src/plan/a.ts', 'node:fs'],
    ['src/routes/a.ts', '../kubernetes/client.ts'],
    ['src/server/a.ts', '../kubernetes/client.ts'],
    ['src/cli/a.ts', '../simulator/simulate.ts'],
    ['src/simulator/a.ts', '../routes/index.ts'],
  ])('refuses that %s imports %s', (path, from) => {
    expect(lint(path, use(from))).toContain('no-restricted-imports');
  });

  it.each([
    ['workflows/a.ts', '@temporalio/workflow'],
    ['workflows/a.ts', '../src/temporal/ids.ts'],
    ['workflows/a.ts', '../activities/types.ts'],
    ['activities/a.ts', '../src/kubernetes/client.ts'],
    ['src/server/a.ts', '../store/sqlite.ts'],
    ['src/cli/commands/simulate.ts', '../../simulator/simulate.ts'],
  ])('allows that %s imports %s', (path, from) => {
    expect(lint(path, use(from))).not.toContain('no-restricted-imports');
  });
});
