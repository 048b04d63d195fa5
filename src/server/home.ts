import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { CutoverError } from '../errors.ts';
import { keepFolderPrivate } from '../store/private-files.ts';
import type { Say } from '../store/private-files.ts';

/** Where everything of one installation lives. Absolute paths; nothing is made by asking for them. */
export interface Home {
  directory: string;
  /** The token of the API, mode 0600. */
  token: string;
  /** Says where the server listens, for the CLI. */
  serverFile: string;
  /** Unix socket of the server, mode 0600: only its owner can put something there, or talk to it. */
  socket: string;
  /** Pid of the `cutover up` that owns this home. */
  lock: string;
  database: string;
  temporal: string;
}

export function cutoverHome(env: NodeJS.ProcessEnv = process.env): Home {
  const state = env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state');
  return homeAt(env['CUTOVER_HOME'] || join(state, 'cutover'));
}

export function homeAt(path: string): Home {
  const directory = resolve(path);
  return {
    directory,
    token: join(directory, 'token'),
    serverFile: join(directory, 'server.json'),
    socket: join(directory, 'server.sock'),
    lock: join(directory, 'up.pid'),
    database: join(directory, 'cutover.db'),
    temporal: join(directory, 'temporal'),
  };
}

/** Makes the folder, open to its owner only; an older one is narrowed. @throws CutoverError StoreUnusable */
export function makeHome(home: Home, say?: Say): void {
  try {
    mkdirSync(home.directory, { recursive: true, mode: 0o700 });
    keepFolderPrivate(home.directory, say);
  } catch (cause) {
    if (cause instanceof CutoverError) throw cause;
    throw new CutoverError('StoreUnusable', `the folder ${home.directory} cannot be made: ${String(cause)}`, { cause });
  }
}

/**
 * The token from CUTOVER_TOKEN, the file that CUTOVER_TOKEN_FILE names, or the home; `` when there is none.
 * @throws CutoverError Usage when CUTOVER_TOKEN_FILE cannot be read or is empty, or when others may read the file
 */
export function readToken(home: Home, env: NodeJS.ProcessEnv = process.env): string {
  if (env['CUTOVER_TOKEN']) return env['CUTOVER_TOKEN'].trim();
  const named = env['CUTOVER_TOKEN_FILE'];
  const file = named || home.token;
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (cause) {
    if (!named) return '';
    throw new CutoverError('Usage', `the token file ${file} cannot be read: ${(cause as Error).message}`, {
      remedy: 'correct CUTOVER_TOKEN_FILE, or unset it',
      cause,
    });
  }
  if (named && token === '') throw new CutoverError('Usage', `the token file ${file} is empty`);
  refuseOpenFile(file, 'the token');
  return token;
}

/**
 * As ssh does for keys: a file of one's own must be readable by nobody else, one of another owner not by everybody.
 * @throws CutoverError Usage
 */
export function refuseOpenFile(file: string, what: string): void {
  const { mode, uid } = statSync(file);
  if ((mode & (uid === process.getuid?.() ? 0o077 : 0o007)) === 0) return;
  throw new CutoverError(
    'Usage',
    `other users may read ${what} in ${file} (mode 0${(mode & 0o777).toString(8)}), so it is not used`,
    { remedy: `run \`chmod 600 ${file}\`, and replace it if someone may have read it` },
  );
}

/** The token, made on the first start. `wx` decides who makes it when two start at once. */
export function ensureToken(home: Home, env: NodeJS.ProcessEnv = process.env): string {
  const existing = readToken(home, env);
  if (existing !== '') return existing;
  makeHome(home);
  const token = randomBytes(32).toString('base64url');
  try {
    writeFileSync(home.token, `${token}\n`, { mode: 0o600, flag: 'wx' });
    return token;
  } catch (cause) {
    const winner = readToken(home, env);
    if (winner !== '') return winner;
    throw new CutoverError('StoreUnusable', `the token file ${home.token} cannot be written`, { cause });
  }
}

export interface ServerFile {
  url: string;
  /** `` when the server has none. */
  socket: string;
  pid: number;
}

/** Written whole or not at all. */
export function writeServerFile(home: Home, server: ServerFile): void {
  const own = `${home.serverFile}.${process.pid}`;
  writeFileSync(own, `${JSON.stringify({ ...server, started: startOf(server.pid) })}\n`, { mode: 0o600 });
  chmodSync(own, 0o600);
  renameSync(own, home.serverFile);
}

/** Where the server of this home listens; undefined when the process that wrote it is gone: another may have its port. */
export function readServerFile(home: Home): ServerFile | undefined {
  try {
    const { url, socket, pid, started } = JSON.parse(readFileSync(home.serverFile, 'utf8')) as Partial<
      ServerFile & { started: string }
    >;
    if (typeof url !== 'string' || typeof socket !== 'string' || !Number.isInteger(pid)) return undefined;
    return isAlive(pid!) && startOf(pid!) === started ? { url, socket, pid: pid! } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process began, in clock ticks since the start of the machine, with the id of that start: pids are used again. Only Linux tells, `` elsewhere. */
function startOf(pid: number): string {
  try {
    // The name in parentheses may hold blanks. After it: field 3 of proc(5), the state, and field 22, the start.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    const ticks = fields[0] === 'Z' ? 'ended' : fields[19]!;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${ticks}`;
  } catch {
    return '';
  }
}
