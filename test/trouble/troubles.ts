import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statfsSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Installation } from '../support/cutover.ts';
import type { Simulation } from '../../src/simulator/types.ts';

export type Beset = Installation & { simulation: Simulation };

/** Trouble of Cutover's own, put on for a while. */
export interface Trouble {
  name: string;
  /** Part of what `status` or `why` must say while it lasts; nothing where the trouble may be over before anything meets it. */
  says?: RegExp;
  /** Needs a home of its own on a file system of its own. */
  ownDisk?: 'full' | 'read-only';
  /** @returns the way to end it */
  begin(installation: Beset): Promise<() => Promise<void>> | (() => Promise<void>);
}

const fault =
  (given: { name: string; [parameter: string]: unknown }) =>
  ({ simulation }: Beset): (() => Promise<void>) => {
    simulation.inject(given as Parameters<Simulation['inject']>[0]);
    return async () => simulation.clearFaults();
  };

const signalled = (pid: number, signal: NodeJS.Signals): void => {
  // The server and what keeps it are one process group.
  process.kill(-pid, signal);
};

/** Temporal and the API server cannot tell what they hold up: only what meets them does. */
export const troubles: Trouble[] = [
  {
    name: 'store locked by another process',
    says: /record cannot be written|database is locked/i,
    begin: ({ home }) => {
      const other = new DatabaseSync(join(home, 'cutover.db'));
      other.exec('PRAGMA busy_timeout = 20000; BEGIN IMMEDIATE');
      return async () => {
        other.exec('ROLLBACK');
        other.close();
      };
    },
  },
  {
    name: 'disk full',
    says: /record cannot be written|disk/i,
    ownDisk: 'full',
    begin: ({ home }) => {
      const ballast = join(home, 'ballast');
      const { bavail, bsize } = statfsSync(home);
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, `bs=${bsize}`, `count=${bavail}`], { stdio: 'ignore' });
      return async () => unlinkSync(ballast);
    },
  },
  {
    name: 'store read-only',
    says: /record cannot be written|disk|readonly/i,
    ownDisk: 'read-only',
    begin: ({ home }) => {
      const set = (sign: '+' | '-'): void => {
        for (const file of ['cutover.db', 'cutover.db-wal', 'cutover.db.head'])
          if (existsSync(join(home, file))) spawnSync('chattr', [`${sign}i`, join(home, file)]);
      };
      set('+');
      return async () => set('-');
    },
  },
  {
    name: 'Temporal stopped',
    says: /temporal/i,
    begin: ({ pidOf }) => {
      const pid = pidOf('temporal');
      signalled(pid, 'SIGSTOP');
      return async () => signalled(pid, 'SIGCONT');
    },
  },
  { name: 'API 429', begin: fault({ name: 'api-429' }) },
  { name: 'API 500', begin: fault({ name: 'api-500' }) },
  { name: 'SSH unreachable', begin: fault({ name: 'ssh-refused' }) },
  {
    name: 'worker stopped',
    begin: ({ pidOf }) => {
      const pid = pidOf('worker');
      process.kill(pid, 'SIGSTOP');
      return async () => void process.kill(pid, 'SIGCONT');
    },
  },
];

/** A file system of a few MiB for one installation. @returns undefined where this user may not mount */
export function ownDisk(): { home: string; remove(): void } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'cutover-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=96m,mode=0700', 'tmpfs', folder]);
  if (mounted.status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
  return {
    home: folder,
    remove: () => {
      spawnSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
