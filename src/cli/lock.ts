import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { CutoverError } from '../errors.ts';
import { makeHome, readServerFile, type Home } from '../server/home.ts';

/**
 * Takes a home for this process. A lock whose process is gone is taken over.
 * @returns the way to give it back
 * @throws CutoverError Usage when another `cutover up` has it
 */
export function takeHome(home: Home, say?: (sentence: string) => void): () => void {
  makeHome(home, say);
  for (let tries = 0; tries < 3; tries++) {
    try {
      writeFileSync(home.lock, `${process.pid}\n`, { flag: 'wx', mode: 0o600 });
      return () => rmSync(home.lock, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
        throw new CutoverError('StoreUnusable', `the lock ${home.lock} cannot be written`, { cause: error });
    }
    const owner = Number(readLock(home));
    if (isAlive(owner)) {
      const url = readServerFile(home)?.url;
      throw new CutoverError(
        'Usage',
        `\`cutover up\` is running already in ${home.directory} (pid ${owner}${url ? `, ${url}` : ''})`,
        {
          remedy: 'use that one, or set CUTOVER_HOME to another folder',
        },
      );
    }
    rmSync(home.lock, { force: true });
  }
  throw new CutoverError('StoreUnusable', `the lock ${home.lock} is taken again and again`);
}

function readLock(home: Home): string {
  try {
    return readFileSync(home.lock, 'utf8').trim();
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return isCutover(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** After a restart of the machine the number may be somebody else's. Only Linux tells; elsewhere it is believed. */
function isCutover(pid: number): boolean {
  try {
    return /cutover|main\.ts/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  } catch {
    return true;
  }
}
