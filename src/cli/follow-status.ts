import { setTimeout as sleep } from 'node:timers/promises';
import { CutoverError } from '../errors.ts';
import type { MigrationView } from '../store/views.ts';
import type { Cli } from './cli.ts';
import { exitCodes } from './exit-codes.ts';
import { appendScreen, terminalScreen } from './live.ts';
import { path } from './migration-option.ts';
import { statusLines, type Line } from './render/status-lines.ts';
import { clip } from './style.ts';
import { visibleJson } from './visible.ts';

export interface FollowOptions {
  /** 0 or absent: no limit. */
  timeoutSeconds?: number;
  detailedExitcode?: boolean;
  /** Ends the following; the migration goes on. */
  signal?: AbortSignal;
  /** Lines above the tree. */
  above?(): readonly Line[];
  /** What a pipe was shown already, when one following comes after another. */
  shown?: Map<string, string>;
  /** Called with every new view. */
  onView?(view: MigrationView): void;
}

/** Between two fetches of the view, so that a storm of records does not become a storm of requests. */
const fetchIntervalMs = 200;
const reconnectMs = 1_000;

/**
 * Shows a migration until it ends, the time is over, or ^C: the migration goes on either way. News come as
 * server-sent events; a server that goes away is waited for.
 */
export async function followStatus(cli: Cli, id: string, options: FollowOptions = {}): Promise<MigrationView> {
  const { timeoutSeconds = 0, detailedExitcode = false } = options;
  const api = cli.api();
  const json = cli.options.output === 'json' || cli.options.output === 'yaml';
  let view = await api.get<MigrationView>(path('migrations', id));
  const screen = createScreen(cli, () => view, options);

  const end = new AbortController();
  const ended = aborted(end.signal);
  const interrupt = (): void => end.abort('interrupted');
  process.once('SIGINT', interrupt);
  options.signal?.addEventListener('abort', interrupt, { once: true });
  const limit = timeoutSeconds > 0 ? setTimeout(() => end.abort('timeout'), timeoutSeconds * 1000) : undefined;
  // Ages and times to go change without news.
  const ticker = cli.stdout.isTTY ? setInterval(() => screen.refresh(), 1_000) : undefined;

  const take = async (): Promise<void> => {
    options.onView?.(view);
    if (json) await printEach(cli, view);
    else screen.refresh();
    if (view.endedAt !== '') end.abort('ended');
  };
  const refresh = async (): Promise<void> => {
    view = await api.get<MigrationView>(path('migrations', view.id), { signal: end.signal });
    await take();
  };

  let dirty = Promise.withResolvers<void>();
  const listen = async (): Promise<void> => {
    while (!end.signal.aborted) {
      try {
        await api.events(
          `${path('migrations', view.id)}/events?after=${view.lastSeq}`,
          () => dirty.resolve(),
          end.signal,
        );
      } catch (error) {
        if (end.signal.aborted) return;
        if (!(error instanceof CutoverError && error.type === 'ServerUnreachable') && !isBrokenStream(error))
          throw error;
        cli.say(`the server at ${api.url} does not answer; trying again, the migration does not depend on it`);
      }
      await sleep(reconnectMs, undefined, { signal: end.signal }).catch(() => undefined);
      dirty.resolve();
    }
  };
  const listening = listen().catch((error: unknown) => end.abort(error));

  try {
    await take();
    while (!end.signal.aborted) {
      await Promise.race([dirty.promise, ended]);
      if (end.signal.aborted) break;
      dirty = Promise.withResolvers();
      await refresh().catch((error: unknown) => {
        if (!end.signal.aborted && !(error instanceof CutoverError && error.type === 'ServerUnreachable')) throw error;
      });
      await sleep(fetchIntervalMs, undefined, { signal: end.signal }).catch(() => undefined);
    }
  } finally {
    clearInterval(ticker);
    clearTimeout(limit);
    process.off('SIGINT', interrupt);
    options.signal?.removeEventListener('abort', interrupt);
    end.abort('ended');
    await listening;
    screen.end();
  }
  const { reason } = end.signal as { reason: unknown };
  if (reason instanceof Error) throw reason;
  if (reason === 'timeout') cli.exitCode = detailedExitcode ? exitCodes.timeout : exitCodes.error;
  else if (detailedExitcode) cli.exitCode = statusExitCode(view);
  if (reason === 'interrupted' && options.signal?.aborted !== true)
    cli.say(`detached: ${view.id} goes on; come back with: cutover status -w ${view.id}`);
  if (reason === 'timeout') cli.say(`${view.id} has not ended within ${timeoutSeconds} s; it goes on`);
  return view;
}

/** What `--detailed-exitcode` says about where a migration stands. */
export function statusExitCode(view: MigrationView): number {
  const rejected = view.stages.some(({ waves }) => waves.some(({ gate }) => gate?.state === 'rejected'));
  if (view.state === 'rolled-back') return exitCodes.rolledBack;
  if (view.gate !== '') return exitCodes.waitingAtGate;
  if (rejected && view.state !== 'completed') return exitCodes.rejected;
  return view.state === 'aborted' ? exitCodes.error : exitCodes.ok;
}

/** How a migration is drawn while it is followed: in place on a terminal, appended elsewhere. */
export function createScreen(
  cli: Cli,
  view: () => MigrationView,
  { above = () => [], shown }: Pick<FollowOptions, 'above' | 'shown'> = {},
): { refresh(): void; end(): void } {
  const { stdout, style } = cli;
  const terminal = stdout.isTTY === true && cli.env['TERM'] !== 'dumb';
  const screen = terminal ? terminalScreen(stdout) : appendScreen((text) => stdout.write(text), shown);
  const lines = (): readonly Line[] => {
    const width = terminal ? (stdout.columns ?? 80) : Infinity;
    const tree = statusLines(view(), {
      now: Date.now(),
      width,
      style,
      times: terminal,
      nodesShown: terminal ? roomForNodes(stdout.rows) : 12,
    });
    return [...above().map(({ key, text }) => ({ key, text: clip(text, width) })), ...tree];
  };
  return { refresh: () => screen.show(lines), end: () => screen.end() };
}

const roomForNodes = (rows = 24): number => Math.max(4, Math.floor((rows - 12) / 2));

const isBrokenStream = (error: unknown): boolean =>
  error instanceof TypeError || (error instanceof Error && error.message.includes('terminated'));

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** With -o json: one line for each state, so that a script can read them as they come. */
async function printEach(cli: Cli, view: MigrationView): Promise<void> {
  if (cli.options.output === 'json') return cli.print(visibleJson(JSON.stringify(view)));
  const { stringify } = await import('yaml');
  cli.print(`---\n${stringify(view, { lineWidth: 0 }).trimEnd()}`);
}
