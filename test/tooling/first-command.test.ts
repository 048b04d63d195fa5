import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';

let clone: string;
afterEach(() => rmSync(clone, { recursive: true, force: true }));

/** A Node that is too old for TypeScript, as `node` on PATH; everything else it does. */
const tooOld = `#!/bin/sh
case $1 in *.ts) echo 'Unknown file extension ".ts"' >&2; exit 1 ;; esac
exec '${process.execPath}' "$@"
`;
const setUp = `import { mkdirSync, symlinkSync } from 'node:fs';
mkdirSync('node_modules/.bin', { recursive: true });
symlinkSync('${process.execPath}', 'node_modules/.bin/node');
`;

// A shell remembers where it found `node`: after the set-up it would still start the machine's own.
it.each([
  ['lab', 'test/lab/lab.ts'],
  ['bench', 'bench/bench.ts'],
])('runs `npm run %s` as the first command in a clone, whatever Node the machine has', (script, file) => {
  clone = mkdtempSync(join(tmpdir(), 'cutover-clone-'));
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(clone, path)), { recursive: true });
    writeFileSync(join(clone, path), text);
  };
  copyFileSync(fileURLToPath(new URL('../../package.json', import.meta.url)), join(clone, 'package.json'));
  write('scripts/setup.mjs', setUp);
  write(file, `const said: string = 'started'; console.log(said, ...process.argv.slice(2));`);
  write('machine/node', tooOld);
  chmodSync(join(clone, 'machine/node'), 0o755);
  // Not the pinned Node of the checkout that this test runs in.
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));

  const { stdout, stderr, status } = spawnSync('npm', ['run', '--silent', script, '--', 'status'], {
    cwd: clone,
    env: { ...process.env, PATH: [join(clone, 'machine'), ...path].join(delimiter) },
    encoding: 'utf8',
  });

  expect(stdout, stderr).toBe('started status\n');
  expect(status).toBe(0);
});
