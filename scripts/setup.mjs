#!/usr/bin/env node
// Makes a fresh clone ready: npm packages (with them the pinned Node), and with --temporal a Temporal server program,
// with --tests the system's programs that tests of the real node programs need (root on a system with apt).
// Plain JavaScript without packages, for whatever Node the system has; a second run takes a fraction of a second.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { missingPackages, mayInstall } from './system-tools.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const stamp = join(root, 'node_modules', '.cutover-installed');
const lock = join(root, '.setup.lock');

/** What the installed packages depend on: the lock file and the Node that npm runs on. */
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');

const installed = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Two installations into one folder destroy each other: the second waits for the first. A dead owner's lock is taken over. */
async function withLock(/** @type {() => void} */ work) {
  for (let waited = 0; ; waited++) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch {
      const owner = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
      if (owner > 0 && !isAlive(owner)) rmSync(lock, { force: true });
      else if (waited % 20 === 0) console.error(`set-up: waiting for another set-up of this checkout (pid ${owner})`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function installPackages() {
  if (installed()) return;
  console.error('set-up: installing npm packages (about a minute the first time)');
  // The system's Node may be older than the packages want; they run on the one that is installed with them.
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (error || status !== 0) {
    console.error(
      `error: npm could not install the packages${error ? `: ${error.message}` : ''}\n  check that npm is on PATH and reaches its registry, then run this again`,
    );
    rmSync(lock, { force: true });
    process.exit(1);
  }
  if (!existsSync(join(root, 'node_modules', '.bin', 'node'))) {
    console.error(
      'error: npm installed the packages but not the pinned Node (package `node`)\n  its install script must be allowed to run: npm install-scripts approve node && npm ci',
    );
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}

/** Never fails the set-up: without these programs their tests are skipped, and the end of `npm test` names them. */
function installSystemTools() {
  const wanted = missingPackages();
  if (wanted.length === 0 || !mayInstall()) return;
  console.error(`set-up: installing ${wanted.join(', ')} with apt-get, for the tests of the real node programs`);
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', ...wanted]]) {
    const { status, stderr, error } = spawnSync(
      'apt-get',
      ['-q', '-o', 'Acquire::Retries=1', '-o', 'Acquire::http::Timeout=20', '-o', 'DPkg::Lock::Timeout=120', ...args],
      {
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
        encoding: 'utf8',
        stdio: ['ignore', 'ignore', 'pipe'],
        timeout: 300_000,
      },
    );
    if (status === 0) continue;
    const why = error?.message ?? stderr.trim().split('\n').pop();
    console.error(`set-up: apt-get ${args[0]} failed: ${why}; tests that need these programs will be skipped`);
    // Lists of an earlier update may still do.
    if (args[0] === 'install') return;
  }
}

if (!installed()) await withLock(installPackages);
if (process.argv.includes('--tests')) installSystemTools();
if (process.argv.includes('--temporal')) {
  const { findTemporal } = await import('./find-temporal.mjs');
  const found = await findTemporal({ say: (line) => console.error(`set-up: ${line}`) });
  if ('problem' in found) {
    console.error(`error: ${found.problem}\n  ${found.remedy}`);
    process.exit(1);
  }
}
