#!/usr/bin/env node
// Finds a Temporal server program, or gets one. Plain JavaScript without packages.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

// The newest tag that `go install` accepts: from v1.6.0 on the module carries a replace directive. Needs Go 1.25.
const goPackage = 'github.com/temporalio/cli/cmd/temporal@v1.5.1';
const downloadTimeoutMs = 20_000;

export const cacheDirectory = () => join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cutover');

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} address @returns {Promise<boolean>} whether something listens there */
function listens(address) {
  const at = address.lastIndexOf(':');
  return new Promise((resolve) => {
    const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), timeout: 3_000 });
    const end = (/** @type {boolean} */ answer) => (socket.destroy(), resolve(answer));
    socket
      .once('connect', () => end(true))
      .once('error', () => end(false))
      .once('timeout', () => end(false));
  });
}

/** @param {string} program */
const works = (program) => spawnSync(program, ['--version'], { timeout: 20_000 }).status === 0;

const onPath = () =>
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, 'temporal'))
    .find((path) => isProgram(path));

/**
 * The SDK's own download, in a process of its own so that a closed network costs seconds and not minutes.
 * @param {string} folder
 * @returns {Promise<string | undefined>}
 */
async function download(folder) {
  mkdirSync(folder, { recursive: true });
  const program = `
    const { TestWorkflowEnvironment } = await import('@temporalio/testing');
    const env = await TestWorkflowEnvironment.createLocal({ server: { executable: { type: 'cached-download', downloadDir: process.argv[1] } } });
    await env.teardown();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, folder], {
    stdio: 'ignore',
    cwd: new URL('..', import.meta.url),
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), downloadTimeoutMs);
  const status = await new Promise((resolve) => child.once('exit', resolve).once('error', () => resolve(1)));
  clearTimeout(timer);
  const file = status === 0 ? readdirSync(folder).find((name) => name.startsWith('temporal')) : undefined;
  return file ? join(folder, file) : undefined;
}

/**
 * Builds the program with Go, into a private folder first, so that an interrupted build leaves nothing half made.
 * @param {string} target
 * @param {(line: string) => void} say
 * @returns {Promise<string>} `` when it worked, else why it did not
 */
async function build(target, say) {
  const version = spawnSync('go', ['version'], { encoding: 'utf8' });
  if (version.status !== 0) return 'Go is not on PATH';
  const folder = `${target}.build-${process.pid}`;
  mkdirSync(folder, { recursive: true });
  say(
    `building Temporal's server with ${version.stdout.split(' ')[2]} (5 to 9 minutes on 2 cores, once): go install ${goPackage}`,
  );
  const started = Date.now();
  let packages = 0;
  let tail = '';
  const child = spawn('go', ['install', '-v', goPackage], {
    env: { ...process.env, GOBIN: folder, GOFLAGS: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    tail = (tail + text).slice(-2_000);
    packages += text.split('\n').length - 1;
  });
  const ticker = setInterval(
    () => say(`… ${Math.round((Date.now() - started) / 1000)} s, ${packages} modules and packages done`),
    15_000,
  );
  const status = await new Promise((resolve) => child.once('exit', resolve).once('error', () => resolve(1)));
  clearInterval(ticker);
  const built = join(folder, 'temporal');
  if (status === 0 && existsSync(built)) renameSync(built, target);
  rmSync(folder, { recursive: true, force: true });
  return status === 0 && existsSync(target) ? '' : `\`go install\` failed: ${tail.trim().split('\n').at(-1)}`;
}

/**
 * Looks in this order: a server that runs at TEMPORAL_ADDRESS, TEMPORAL_CLI_PATH, `temporal` on PATH, the user's cache,
 * the SDK's own download, and last a build by Go into the user's cache.
 * @param {{ say: (line: string) => void }} options progress, a line at a time
 * @returns {Promise<{ path: string, running?: undefined } | { running: string, path: '' } | { problem: string, remedy: string }>}
 */
export async function findTemporal({ say }) {
  const tried = [];
  const address = process.env['TEMPORAL_ADDRESS'];
  if (address) {
    if (await listens(address)) return { running: address, path: '' };
    tried.push(`TEMPORAL_ADDRESS=${address} does not answer`);
  }
  const named = process.env['TEMPORAL_CLI_PATH'];
  if (named) {
    if (isProgram(named) && works(named)) return { path: named };
    tried.push(`TEMPORAL_CLI_PATH=${named} is no program that works`);
  }
  const found = onPath();
  if (found && works(found)) return { path: found };
  tried.push(found ? `${found} does not work` : 'no `temporal` on PATH');

  const folder = join(cacheDirectory(), 'bin');
  const cached = join(folder, 'temporal');
  if (isProgram(cached)) return { path: cached };
  tried.push(`none in ${folder}`);
  mkdirSync(folder, { recursive: true });

  say(
    `looking for Temporal's server: ${tried.join('; ')}; asking the SDK to download one (${downloadTimeoutMs / 1000} s at most)`,
  );
  const downloaded = await download(join(cacheDirectory(), 'download'));
  if (downloaded && works(downloaded)) return { path: downloaded };
  tried.push('the SDK could not download one');

  const why = await build(cached, say);
  if (!why) return { path: cached };
  tried.push(why);
  return {
    problem: `no Temporal server can be found or made: ${tried.join('; ')}`,
    remedy:
      'install the Temporal CLI (https://docs.temporal.io/cli) on PATH, or Go 1.25 or newer, or set TEMPORAL_ADDRESS or TEMPORAL_CLI_PATH',
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  console.log(JSON.stringify(await findTemporal({ say: (line) => console.error(line) })));
