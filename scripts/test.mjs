#!/usr/bin/env node
// Everything that has to hold before a change lands: types, lint with the import rules, formatting, then the tests,
// fast ones first. Ends with the line `N passed, N failed` (and `, N skipped`).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mayInstall, missingPackages, skippedByGroup } from './system-tools.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
const scratch = mkdtempSync(join(tmpdir(), 'cutover-test-'));
let passed = 0;
/** @type {{ file: string, group: string }[]} */
const skipped = [];
/** What failed, said once more at the end: the place in a long output where people look. @type {string[]} */
const failures = [];

/** @param {string} title @param {string} program @param {string[]} args */
function run(title, program, args) {
  const started = Date.now();
  console.log(`\n== ${title}`);
  const { status, error } = spawnSync(join(bin, program), args, {
    cwd: root,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error) console.error(`error: ${program} could not be started: ${error.message}`);
  console.log(`== ${title}: ${status === 0 ? 'ok' : 'FAILED'} in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return status === 0;
}

for (const [title, program, args] of /** @type {[string, string, string[]][]} */ ([
  ['types', 'tsc', ['-p', '.']],
  ['lint', 'oxlint', ['--type-aware', '.']],
  ['formatting', 'prettier', ['--check', '--log-level=warn', '.']],
])) {
  if (run(title, program, args)) passed++;
  else failures.push(title);
}

// Pure and small ones first: what they find would only show again, slower and less clearly, in the others.
const only = process.argv.slice(2);
const stages =
  only.length > 0
    ? [['tests', only]]
    : [
        [
          'unit tests',
          [
            'test/plan',
            'test/store',
            'test/policy',
            'test/checks',
            'test/probe',
            'test/kubernetes',
            'test/tooling',
            'test/lab',
          ],
        ],
        ['node verbs, activities, simulator', ['test/verbs', 'test/node', 'test/activities', 'test/simulator']],
        ['API and CLI', ['test/conformance', 'test/server', 'test/temporal', 'test/cli']],
        ['workflows', ['test/workflow']],
        ['whole migrations and crashes', ['test/migration', 'test/trouble']],
      ];
for (const [title, paths] of /** @type {[string, string[]][]} */ (stages)) {
  const report = join(scratch, `${passed}-${failures.length}.json`);
  const ok = run(title, 'vitest', [
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...paths,
  ]);
  try {
    const { numPassedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    passed += numPassedTests;
    const before = failures.length;
    for (const { name, status, message, assertionResults } of testResults) {
      const file = relative(root, name);
      for (const { status: each, ancestorTitles } of assertionResults) {
        if (['pending', 'skipped', 'todo', 'disabled'].includes(each)) {
          skipped.push({ file, group: ancestorTitles.find((/** @type {string} */ title) => title !== '') ?? '' });
        }
      }
      const tests = assertionResults.filter((/** @type {{ status: string }} */ each) => each.status === 'failed');
      for (const { fullName, failureMessages } of tests) failures.push(`${file}: ${fullName}\n${failureMessages[0]}`);
      // A file that cannot even be loaded has no test that failed.
      if (status === 'failed' && tests.length === 0) failures.push(`${file}\n${message}`);
    }
    if (!ok && failures.length === before) failures.push(`${title}: an error outside of any test`);
  } catch {
    failures.push(`${title}: no report`);
  }
}

rmSync(scratch, { recursive: true, force: true });

const missing = missingPackages();
const unseen = skipped.filter(({ file }) => file.startsWith('test/verbs/')).length;
// A kernel that refuses namespaces is named below; a program that could have been installed is a fault of the machine.
if (process.env['CI'] === 'true' && mayInstall() && missing.length > 0 && unseen > 0) {
  failures.push(`${unseen} cases of the real node programs were skipped in CI: not installed: ${missing.join(', ')}`);
}
if (failures.length > 0) console.log(`\n== failed\n${failures.map((each) => `- ${each}`).join('\n')}`);
if (skipped.length > 0) {
  const why =
    missing.length > 0
      ? ` (not installed: ${missing.join(', ')}; ${mayInstall() ? 'npm test' : 'root on a system with apt'} installs them)`
      : '';
  console.log(
    `\n== skipped${why}\n${skippedByGroup(skipped)
      .map((each) => `- ${each}`)
      .join('\n')}`,
  );
}
console.log(`\n${passed} passed, ${failures.length} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`);
process.exit(failures.length > 0 ? 1 : 0);
