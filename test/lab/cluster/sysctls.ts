import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { running } from '../settings.ts';

/** Settings of the one kernel that the lab needs: kubelets and watchers of all nodes share them. */
const wanted = { 'fs/inotify/max_user_instances': '2048', 'net/core/rmem_max': '8388608' };
const file = join(running.folder, 'sysctls.json');

/** Raises what is too low, and keeps how it was. */
export async function raiseSysctls(): Promise<void> {
  await mkdir(running.folder, { recursive: true });
  const before: Record<string, string> = {};
  for (const [key, value] of Object.entries(wanted)) {
    const now = (await readFile(`/proc/sys/${key}`, 'utf8')).trim();
    if (Number(now) < Number(value)) before[key] = now;
  }
  await writeFile(file, JSON.stringify(before));
  for (const key of Object.keys(before)) await writeFile(`/proc/sys/${key}`, wanted[key as keyof typeof wanted]);
}

export async function restoreSysctls(): Promise<void> {
  if (!existsSync(file)) return;
  const before = JSON.parse(await readFile(file, 'utf8')) as Record<string, string>;
  for (const [key, value] of Object.entries(before)) await writeFile(`/proc/sys/${key}`, value);
}
