import { execFile, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);
const maxBuffer = 64 * 1024 * 1024;
const tellEveryMs = 15_000;

/** Runs a program to its end. @returns what it wrote to standard output, trimmed. @throws Error with what it wrote to standard error */
export async function commandOutput(program: string, args: readonly string[], input?: string): Promise<string> {
  const running = exec(program, [...args], { maxBuffer });
  if (input !== undefined) running.child.stdin?.end(input);
  try {
    return (await running).stdout.trim();
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    throw new Error(`${program} ${args.slice(0, 6).join(' ')}: ${lastLines(stderr) || message}`, { cause: error });
  }
}

/** The same, for programs whose failure is an answer. */
export const succeeds = (program: string, args: readonly string[]): Promise<boolean> =>
  exec(program, [...args], { maxBuffer }).then(
    () => true,
    () => false,
  );

/** Runs a long program with its output in a file, and says every 15 s that it still runs. @throws Error with its last lines */
export async function runLogged(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; log: string; title: string; say: (line: string) => void },
): Promise<void> {
  await mkdir(dirname(options.log), { recursive: true });
  const log = createWriteStream(options.log);
  const started = Date.now();
  const timer = setInterval(
    () => options.say(`${options.title}: ${Math.round((Date.now() - started) / 1000)} s`),
    tellEveryMs,
  );
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      const child = spawn(program, args, {
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        env: options.env ?? process.env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child.stdout.pipe(log, { end: false });
      child.stderr.pipe(log, { end: false });
      child.on('error', reject);
      child.on('close', resolve);
    });
    await new Promise((resolve) => log.end(resolve));
    if (code !== 0)
      throw new Error(`${options.title} failed (${options.log}): ${lastLines(await readFile(options.log, 'utf8'))}`);
  } finally {
    clearInterval(timer);
  }
}

const lastLines = (text: string): string => text.trim().split('\n').slice(-4).join('\n');

export const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

/** Asks until the answer is there. @throws Error naming what was awaited */
export async function awaitThat<T>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<T | undefined | false>,
  everyMs = 200,
): Promise<T> {
  for (const until = Date.now() + timeoutMs; ;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > until) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
