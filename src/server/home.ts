import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { CutoverError } from '../errors.ts';
import { keepFolderPrivate } from '../store/private-files.ts';
import type { Say } from '../store/private-files.ts';

/** Where everything of one installation lives. Absolute paths; nothing is made by asking for them. */
export interface Home {
  directory: string;
  /** Bearer token of the API, mode 0600. */
  token: string;
  /** Says where the server listens, for the CLI: `{ url, pid }`. */
  serverFile: string;
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

/** The token from CUTOVER_TOKEN or from the file; `` when there is none. */
export function readToken(home: Home, env: NodeJS.ProcessEnv = process.env): string {
  if (env['CUTOVER_TOKEN']) return env['CUTOVER_TOKEN'];
  try {
    return readFileSync(home.token, 'utf8').trim();
  } catch {
    return '';
  }
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
  pid: number;
}

export const writeServerFile = (home: Home, server: ServerFile): void =>
  writeFileSync(home.serverFile, `${JSON.stringify(server)}\n`, { mode: 0o600 });

export function readServerFile(home: Home): ServerFile | undefined {
  try {
    const { url, pid } = JSON.parse(readFileSync(home.serverFile, 'utf8')) as Partial<ServerFile>;
    return typeof url === 'string' && typeof pid === 'number' ? { url, pid } : undefined;
  } catch {
    return undefined;
  }
}
