import {
  chmodSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname } from 'node:path';
import { CutoverError } from '../errors.ts';

/** Called with one sentence for what a person should know. */
export type Say = (sentence: string) => void;

/**
 * Narrows a file to its owner (0600), as SQLite then does with the -wal and -shm files that it makes beside it.
 *
 * @throws CutoverError StoreUnusable when another user owns it
 */
export function keepPrivate(path: string, say?: Say): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return;
  refuseForeign(path, found);
  if (found.isFile()) narrow(path, found, { mode: 0o600, say });
}

/**
 * The same for a folder (0700).
 *
 * @throws CutoverError StoreUnusable when another user owns it, or everybody puts files there, as into /tmp
 */
export function keepFolderPrivate(path: string, say?: Say): void {
  const found = statSync(path);
  if ((found.mode & 0o1002) === 0o1002)
    throw new CutoverError('StoreUnusable', `${path} is shared by all users of this machine`, {
      remedy: 'name a folder of its own, below it',
    });
  refuseForeign(path, found);
  narrow(path, found, { mode: 0o700, say });
}

function refuseForeign(path: string, { uid }: Stats): void {
  const me = process.geteuid?.();
  if (me !== undefined && uid !== me)
    throw new CutoverError(
      'StoreUnusable',
      `${path} belongs to another user (uid ${uid}; this process runs as ${me})`,
      {
        remedy: 'run Cutover as the user who owns its files',
      },
    );
}

function narrow(path: string, found: Stats, { mode, say }: { mode: number; say: Say | undefined }): void {
  const now = found.mode & 0o777;
  if (now === mode) return;
  chmodSync(path, mode);
  if ((now & 0o077) !== 0)
    say?.(`${path} was open to other users (mode ${now.toString(8)}); its mode is ${mode.toString(8)} now`);
}

/**
 * Makes a file of a secret, and the folder that it is in, when there is none: of two processes that begin at once one makes it.
 *
 * @param what for messages: `the key of the record`
 * @throws CutoverError StoreUnusable
 */
export function makeSecret(path: string, text: string, what: string): void {
  if (existsSync(path)) return;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeWhole(path, text, { exclusive: true });
  } catch (cause) {
    // Another process was first.
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw new CutoverError('StoreUnusable', `${what} cannot be written to ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/**
 * Writes a whole file of mode 0600, whatever the umask, that is on the disk before it has its name: a power cut leaves
 * all of it or nothing. `exclusive`: an existing file stays, and EEXIST is thrown.
 */
export function writeWhole(path: string, text: string, { exclusive = false } = {}): void {
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      fchmodSync(file, 0o600);
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (exclusive) linkSync(temporary, path);
    else renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}
