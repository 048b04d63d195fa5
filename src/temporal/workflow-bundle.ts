import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { WorkflowBundle } from '@temporalio/worker';
import type { Logger } from 'pino';
import { CutoverError } from '../errors.ts';
import { cacheDirectory } from '../../scripts/find-temporal.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = fileURLToPath(new URL('bundle-workflows.ts', import.meta.url));
const longestBundle = 64 * 1024 * 1024;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** One bundle is kept for each checkout: stack traces name its files. */
const prefix = `workflows-${sha256(root).slice(0, 8)}-`;

/**
 * The workflows as one script, kept in `folder` from one start to the next: webpack takes seconds and some 150 MB, which
 * a worker would never give back, so it runs in a process of its own, and only when something has changed.
 *
 * A kept bundle is named after everything that went into it and begins with its own digest: another version is another
 * file, and half a file is no bundle. Workers that start at once make it twice, and the last rename wins.
 * @throws CutoverError Internal when the workflows cannot be bundled
 */
export async function workflowBundle(log: Logger, folder = cacheDirectory()): Promise<WorkflowBundle> {
  const name = `${prefix}${digestOfSources()}.js`;
  const kept = read(join(folder, name));
  if (kept !== undefined) return { code: kept };
  const code = await build();
  try {
    keep(folder, name, code);
  } catch (error) {
    log.warn(
      { error: String(error) },
      `the bundle of the workflows cannot be kept in ${folder}; it is made at each start`,
    );
  }
  return { code };
}

/**
 * Of all that can be part of the bundle: the workflows, the code that they may import, the packages as npm installed
 * them. Too much rather than too little: a change elsewhere costs one bundling.
 */
function digestOfSources(): string {
  const sources = ['workflows/**/*.ts', 'src/**/*.ts', 'node_modules/.package-lock.json'];
  const digest = createHash('sha256');
  for (const file of globSync(sources, { cwd: root }).toSorted())
    digest.update(`\0${file}\0`).update(readFileSync(join(root, file)));
  return digest.digest('hex').slice(0, 32);
}

async function build(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program], { maxBuffer: longestBundle });
    return stdout;
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    throw new CutoverError('Internal', `the workflows cannot be bundled: ${stderr.trim() || message}`, {
      cause: error,
    });
  }
}

/** @returns undefined when there is none, or none that is whole */
function read(path: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const end = text.indexOf('\n');
  const code = text.slice(end + 1);
  return text.slice(0, end) === `// ${sha256(code)}` ? code : undefined;
}

/** Puts it in place whole, and takes away that of an earlier version. */
function keep(folder: string, name: string, code: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `.${name}.${process.pid}`);
  try {
    writeFileSync(temporary, `// ${sha256(code)}\n${code}`, { mode: 0o600 });
    renameSync(temporary, join(folder, name));
  } finally {
    rmSync(temporary, { force: true });
  }
  for (const other of readdirSync(folder))
    if (other.startsWith(prefix) && other !== name) rmSync(join(folder, other), { force: true });
}
