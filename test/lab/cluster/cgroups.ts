import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroup } from '../settings.ts';

/** Hierarchies that a node joins. Version 1, because kubelet's and systemd's trees stay apart there. */
export const hierarchies = [
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'systemd',
  'unified',
];

const folderOf = (hierarchy: string, group = ''): string => join('/sys/fs/cgroup', hierarchy, cgroup, group);

/**
 * Control groups of the lab, which all weigh the same: one for each node, `control` for the control plane, `tools` for what
 * migrates, `probe` for what measures from outside of the nodes. The kernel lets a group wait for about a slice (3 ms) times
 * the weight of all over its own, and what is busy in it comes first or second: a canary among the tools waited 90 ms.
 */
export async function makeGroup(group: string): Promise<void> {
  for (const hierarchy of hierarchies) await mkdir(folderOf(hierarchy, group), { recursive: true });
  // A group without processors or memory nodes takes no process (cpuset.c: ENOSPC).
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const all = await readFile(join('/sys/fs/cgroup/cpuset', file), 'utf8');
    await writeFile(join(folderOf('cpuset'), file), all);
    await writeFile(join(folderOf('cpuset', group), file), all);
  }
  // Else every process outside of any group weighs as much as the whole lab, and starved probes lose packets.
  await writeFile(join(folderOf('cpu'), 'cpu.shares'), '100000');
}

/** Shell words that move the shell into a group and go on as the command. */
export const inGroup = (group: string, command: readonly string[]): [string, string[]] => [
  'sh',
  [
    '-c',
    `${hierarchies.map((hierarchy) => `echo $$ >${folderOf(hierarchy, group)}/cgroup.procs`).join(' && ')} && exec "$@"`,
    group,
    ...command,
  ],
];

/** Every process in a group or below it. Whatever the lab started is there, and nothing else. */
export async function processesIn(group = ''): Promise<number[]> {
  const found = new Set<number>();
  for (const hierarchy of hierarchies) {
    for (const folder of await treeOf(folderOf(hierarchy, group))) {
      const text = await readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => '');
      for (const pid of text.split('\n').filter((line) => line !== '' && line !== '0')) found.add(Number(pid));
    }
  }
  return [...found];
}

/** Removes the groups below a group, and it itself. Processes must be gone. @returns how many folders stay */
export async function removeGroup(group = ''): Promise<number> {
  let left = 0;
  for (const hierarchy of hierarchies) {
    const folder = folderOf(hierarchy, group);
    for (const each of (await treeOf(folder)).toReversed())
      await rmdir(each).catch(() => {
        left++;
      });
  }
  return left;
}

/** A folder and those below it, parents first. */
async function treeOf(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const below = (await readdir(folder, { withFileTypes: true }).catch(() => [])).filter((entry) => entry.isDirectory());
  const trees = await Promise.all(below.map((entry) => treeOf(join(folder, entry.name))));
  return [folder, ...trees.flat()];
}

export async function killAll(group = '', timeoutMs = 10_000): Promise<void> {
  for (const until = Date.now() + timeoutMs; ;) {
    const pids = (await processesIn(group)).filter((pid) => pid !== process.pid);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
    }
    if (Date.now() > until) throw new Error(`processes ${pids.join(', ')} of the lab do not end`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
