import { execFile, execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { CutoverError } from '../errors.ts';
import { isHeadSealed, parseHead } from './anchor.ts';
import type { RecordKey } from './key.ts';
import type { RecordKind, SealedHead, Store } from './types.ts';

/**
 * An anchor outside: the head of the record, kept where whoever owns the database does not reach. A file that only
 * grows (another host's mount, `chattr +a`), a git repository that is pushed, or a service that takes a POST.
 */
export type OutsideTarget = { kind: 'file' | 'git'; path: string } | { kind: 'webhook'; url: string };

const gitFile = 'cutover-anchor.ndjson';

/** @param setting CUTOVER_ANCHOR: `file:/path`, `git:/path/of/repository` or `https://…`. @throws CutoverError Usage */
export function parseOutside(setting: string | undefined): OutsideTarget | undefined {
  if (!setting) return undefined;
  const [, kind, path = ''] = /^(file|git):(.*)$/s.exec(setting) ?? [];
  if ((kind === 'file' || kind === 'git') && isAbsolute(path)) return { kind, path };
  const url = URL.parse(setting);
  // What is sealed cannot be forged on the way, but who may keep it back should not be anybody on the path.
  if (
    url?.protocol === 'https:' ||
    (url?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname))
  )
    return { kind: 'webhook', url: setting };
  throw new CutoverError('Usage', 'CUTOVER_ANCHOR is neither a file, nor a git repository, nor an https address', {
    remedy: 'write file:/absolute/path, git:/absolute/path/of/repository, or https://…',
  });
}

/** For people; of an address only the host: its path or query may hold a token. */
export const outsideName = (target: OutsideTarget): string =>
  target.kind === 'webhook' ? new URL(target.url).origin : `${target.kind}:${target.path}`;

export interface KeptOutside {
  heads: SealedHead[];
  /** One sentence each. */
  problems: string[];
  /** A webhook cannot be asked what it has kept: compare with `--head`. */
  isReadable: boolean;
}

/** The heads that were kept, oldest first. */
export function readOutside(target: OutsideTarget, key: RecordKey): KeptOutside {
  if (target.kind === 'webhook') return { heads: [], problems: [], isReadable: false };
  const name = outsideName(target);
  const heads: SealedHead[] = [];
  const problems: string[] = [];
  let text: string;
  try {
    text =
      target.kind === 'file'
        ? readFileSync(target.path, 'utf8')
        : execFileSync('git', ['-C', target.path, 'show', `HEAD:${gitFile}`], {
            encoding: 'utf8',
            stdio: ['ignore', 'pipe', 'ignore'],
            maxBuffer: 1 << 30,
          });
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'git cannot show it';
    return { heads, problems: [`${name} cannot be read (${why}): no record is known to be covered`], isReadable: true };
  }
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const head = parseHead(line);
    const before = heads.at(-1);
    if (!head || line !== JSON.stringify(head)) problems.push(`line ${index + 1} of ${name} was changed`);
    else if (!isHeadSealed(key, head))
      problems.push(`line ${index + 1} of ${name} was not written with the key in ${key.file}`);
    else if (before && head.seq < before.seq)
      problems.push(
        `${name} goes back from record ${before.seq} to ${head.seq} at ${head.at}: an older record was put back`,
      );
    else heads.push(head);
  }
  return { heads, problems, isReadable: true };
}

/** Keeps one more head; on the disk, committed, or answered with 2xx afterwards. */
async function writeOutside(target: OutsideTarget, head: SealedHead): Promise<void> {
  const line = JSON.stringify(head);
  if (target.kind === 'webhook') {
    const response = await fetch(target.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: line,
      redirect: 'error',
      signal: AbortSignal.timeout(10_000),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    return;
  }
  const path = target.kind === 'file' ? target.path : join(target.path, gitFile);
  const file = openSync(path, 'a', 0o600);
  try {
    writeSync(file, `${line}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  if (target.kind === 'file') return;
  const git = (...args: string[]) => promisify(execFile)('git', ['-C', target.path, ...args], { timeout: 30_000 });
  await git('add', '--', gitFile);
  await git('commit', '--quiet', '--only', '-m', `Cutover record ${head.seq} sha256:${head.hash}`, '--', gitFile);
}

export interface OutsideState {
  /** The last record that is kept outside; 0 before the first. */
  seq: number;
  /** ISO 8601, `` before the first. */
  at: string;
  failing?: { since: string; message: string };
}

export interface OutsideKeeper {
  state(): OutsideState;
  /** Keeps the last head, once, and ends. */
  stop(): Promise<void>;
}

interface KeepOptions {
  log?: Logger | undefined;
  /** A head is kept after so many ms at the latest while there is news. @default 60,000 */
  everyMs?: number;
  /** … or so many records. @default 50 */
  everyRecords?: number;
}

/** After these a head is kept at once. */
const decisive: RecordKind[] = ['gate.decided', 'migration.ended'];

/**
 * Keeps heads outside while the record grows. What fails is tried again at the next news or after `everyMs`, shown by
 * `state`, and stops no work: the records are there, and are covered as soon as the target answers.
 */
export function keepOutside(
  store: Store,
  target: OutsideTarget,
  { log, everyMs = 60_000, everyRecords = 50 }: KeepOptions = {},
): OutsideKeeper {
  const name = outsideName(target);
  let state: OutsideState = { seq: 0, at: '' };
  let looked = store.head().seq;
  let failedAt = 0;
  let running: Promise<void> | undefined;
  let again = false;

  async function keep(): Promise<void> {
    try {
      const head = store.head();
      if (state.at !== '' && head.seq === state.seq) return;
      await writeOutside(target, head);
      if (state.failing) log?.info({ anchor: name, record: head.seq }, 'the anchor outside is kept again');
      state = { seq: head.seq, at: head.at };
    } catch (error) {
      const message = (error as Error).message.split('\n')[0] ?? '';
      failedAt = Date.now();
      if (!state.failing) log?.warn({ anchor: name, message }, 'the anchor outside cannot be written; trying again');
      state = { ...state, failing: { since: state.failing?.since ?? new Date().toISOString(), message } };
    }
  }
  function run(): Promise<void> {
    // What came while one was under way is not in it.
    again = running !== undefined;
    return (running ??= keep().finally(() => {
      running = undefined;
      if (again && !state.failing) void run();
    }));
  }

  const stopListening = store.subscribe(() => {
    try {
      const { seq } = store.head();
      const isDecisive = store.records({ afterSeq: looked, kind: decisive, limit: 1 }).length > 0;
      looked = seq;
      const mayTry = !state.failing || Date.now() - failedAt >= Math.min(everyMs, 5_000);
      if (mayTry && (isDecisive || seq - state.seq >= everyRecords)) void run();
    } catch {
      // The store cannot be read just now: the timer looks again.
    }
  });
  const timer = setInterval(() => void run(), everyMs);
  void run();

  return {
    state: () => state,
    stop: async () => {
      stopListening();
      clearInterval(timer);
      await running;
      await run();
    },
  };
}
