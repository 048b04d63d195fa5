#!/usr/bin/env node
/**
 * Finds a kubectl that is new enough to judge an API server by: $KUBECTL, then PATH, then one built by Go from the
 * module k8s.io/kubectl and kept in the user's cache. Run by itself it prints the path.
 */
import { execFile, spawn } from 'node:child_process';
import { access, constants, mkdir, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Older ones lack server-side validation, exec over WebSocket and more (Debian 12 still ships 1.20). */
const OLDEST_MINOR = 28;
const MODULE_VERSION = 'v0.34.2';
const KUBERNETES_VERSION = MODULE_VERSION.replace('v0.', 'v1.');
const PROGRESS_EVERY_MS = 15_000;

const MAIN_GO = `package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
`;

/**
 * @param {{ build?: boolean, log?: (line: string) => void }} [options] `build` allows the Go build (minutes)
 * @returns {Promise<{ path: string, version: string, source: string } | { path: undefined, reason: string }>}
 */
export async function findKubectl({ build = true, log = (line) => process.stderr.write(`${line}\n`) } = {}) {
  const tried = [];
  const given = process.env.KUBECTL;
  if (given) {
    const version = await versionOf(given);
    if (version !== undefined) return { path: given, version, source: 'KUBECTL' };
    tried.push(`KUBECTL=${given} does not run`);
  }
  const onPath = await firstOnPath('kubectl');
  const found = onPath && (await versionOf(onPath));
  if (found && minorOf(found) >= OLDEST_MINOR) return { path: onPath, version: found, source: 'PATH' };
  tried.push(onPath ? `${onPath} is ${found ?? 'unusable'}, older than 1.${OLDEST_MINOR}` : 'none on PATH');
  const cached = join(cacheFolder(), 'kubectl');
  const kept = await versionOf(cached);
  if (kept !== undefined) return { path: cached, version: kept, source: 'cache' };
  if (!build) return { path: undefined, reason: `${tried.join('; ')}; none built in ${cached}` };
  const go =
    (await firstOnPath('go')) ?? ((await isExecutable('/usr/local/go/bin/go')) ? '/usr/local/go/bin/go' : undefined);
  if (go === undefined) return { path: undefined, reason: `${tried.join('; ')}; no Go to build one with` };
  try {
    await buildWith(go, cached, log);
  } catch (error) {
    return { path: undefined, reason: `${tried.join('; ')}; building it failed: ${lastLine(error)}` };
  }
  const built = await versionOf(cached);
  if (built === undefined)
    return { path: undefined, reason: `${tried.join('; ')}; the one built in ${cached} does not run` };
  return { path: cached, version: built, source: 'built' };
}

const cacheFolder = () =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cutover', `kubectl-${KUBERNETES_VERSION}`);

/** @param {string} path */
async function versionOf(path) {
  try {
    const { stdout } = await run(path, ['version', '--client', '-o', 'json'], { timeout: 20_000 });
    return JSON.parse(stdout).clientVersion.gitVersion;
  } catch {
    return undefined;
  }
}

/** @param {string} version */
const minorOf = (version) => Number(/^v1\.(\d+)/.exec(version)?.[1] ?? 0);

/** @param {string} name */
async function firstOnPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder !== '' && (await isExecutable(join(folder, name)))) return join(folder, name);
  }
  return undefined;
}

/** @param {string} path */
const isExecutable = (path) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

/**
 * @param {string} go
 * @param {string} target
 * @param {(line: string) => void} log
 */
async function buildWith(go, target, log) {
  const source = join(cacheFolder(), 'source');
  await mkdir(source, { recursive: true });
  await writeFile(join(source, 'main.go'), MAIN_GO);
  // Go picks the toolchain that the module asks for; 1.24 is what k8s.io/kubectl v0.34 says.
  await writeFile(
    join(source, 'go.mod'),
    `module cutover.dev/kubectl\n\ngo 1.24.0\n\nrequire k8s.io/kubectl ${MODULE_VERSION}\n`,
  );
  log(`kubectl: building ${KUBERNETES_VERSION} with Go into ${cacheFolder()} (once; it takes some minutes)`);
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  const progress = setInterval(() => log(`kubectl: still building, ${seconds()} s`), PROGRESS_EVERY_MS);
  const flags = Object.entries({
    gitVersion: KUBERNETES_VERSION,
    gitMajor: '1',
    gitMinor: KUBERNETES_VERSION.split('.')[1],
  })
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' ');
  try {
    await command(go, ['mod', 'tidy'], source);
    log(`kubectl: modules are there after ${seconds()} s, compiling`);
    await command(
      go,
      ['build', '-trimpath', '-buildvcs=false', '-ldflags', `-s -w ${flags}`, '-o', `${target}.new`, '.'],
      source,
    );
    await rename(`${target}.new`, target);
    log(`kubectl: built in ${seconds()} s`);
  } finally {
    clearInterval(progress);
  }
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {string} cwd
 * @returns {Promise<void>}
 * @throws Error with what the program printed to stderr
 */
function command(program, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, CGO_ENABLED: '0' },
    });
    let printed = '';
    child.stderr.on('data', (chunk) => (printed = `${printed}${chunk}`.slice(-4000)));
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(printed.trim() || `exit code ${code}`))));
  });
}

/** @param {unknown} error */
const lastLine = (error) =>
  String(error instanceof Error ? error.message : error)
    .trim()
    .split('\n')
    .at(-1);

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const found = await findKubectl();
  if (found.path === undefined) {
    process.stderr.write(`kubectl: ${found.reason}\n`);
    process.exitCode = 1;
  } else process.stdout.write(`${found.path}\n`);
}
