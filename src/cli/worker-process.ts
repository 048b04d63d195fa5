import { fork, type ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface WorkerProcess {
  /** Resolves when the first worker takes work. */
  ready: Promise<void>;
  /** Of the process that runs now, undefined between two. */
  readonly pid: number | undefined;
  /** Lets steps in flight end; a second call kills. */
  stop(): Promise<void>;
}

export interface WorkerProcessOptions {
  env: NodeJS.ProcessEnv;
  /** Called with one sentence when it died and is started again. */
  onDeath(sentence: string): void;
  /** Log lines of the worker go into this file instead of stderr. */
  logFile?: string;
  /** What is run; tests give their own program. */
  program?: string;
}

const firstBackOffMs = 1_000;
const longestBackOffMs = 30_000;
/** A worker that lived this long was well: the next one is started soon again. */
const wellMs = 60_000;

const main = fileURLToPath(new URL('main.ts', import.meta.url));

/**
 * A worker as a child process, started again with back-off when it dies. It is in a process group of its own, so that
 * ^C reaches only this process, which then ends things in the right order; it ends by itself when this process is gone.
 */
export function startWorkerProcess({ env, onDeath, logFile, program = main }: WorkerProcessOptions): WorkerProcess {
  const ready = Promise.withResolvers<void>();
  let child: ChildProcess | undefined;
  let stopping = false;
  let backOff = firstBackOffMs;
  let timer: NodeJS.Timeout | undefined;
  const errors = logFile === undefined ? 'inherit' : openSync(logFile, 'a', 0o600);

  const start = (): void => {
    const startedAt = Date.now();
    child = fork(program, ['worker'], {
      env,
      // As in bin/cutover.
      execArgv: ['--max-semi-space-size=8', '--heap-growing-percent=100'],
      detached: true,
      stdio: ['ignore', 'ignore', errors, 'ipc'],
    });
    child.on('message', (message) => message === 'ready' && ready.resolve());
    child.once('exit', (code, signal) => {
      child = undefined;
      if (stopping) return;
      if (Date.now() - startedAt > wellMs) backOff = firstBackOffMs;
      onDeath(
        `the worker ended (${signal ?? `exit code ${code}`}); starting it again in ${backOff / 1000} s, nothing is lost`,
      );
      timer = setTimeout(start, backOff);
      backOff = Math.min(backOff * 2, longestBackOffMs);
    });
  };
  start();

  return {
    ready: ready.promise,
    get pid() {
      return child?.pid;
    },
    stop: async () => {
      const force = stopping;
      stopping = true;
      clearTimeout(timer);
      if (!child) return;
      const exited = new Promise((resolve) => child!.once('exit', resolve));
      child.kill(force ? 'SIGKILL' : 'SIGTERM');
      await exited;
    },
  };
}
