import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { cgroup, net, nodes, running } from '../settings.ts';
import { hierarchies, processesIn } from './cgroups.ts';
import { kubectl } from './control-plane.ts';
import { netnsPath } from './fabric.ts';

/** Whether the whole lab runs. */
export async function isRunning(): Promise<boolean> {
  if (!existsSync(running.whole)) return false;
  for (const { name } of nodes) if ((await processesIn(name)).length === 0) return false;
  return (
    (await processesIn('control')).length > 0 &&
    kubectl(['get', '--raw', '/readyz']).then(
      () => true,
      () => false,
    )
  );
}

/** What there is of a lab: lines for a person. */
export async function status(): Promise<string[]> {
  if (!(await isRunning())) {
    const left = await leftovers();
    return left.length === 0 ? ['the lab is down'] : ['the lab is not whole; `npm run lab:down` removes:', ...left];
  }
  return [await kubectl(['get', 'nodes', '-o', 'wide']), '', await kubectl(['get', 'pods', '-A', '-o', 'wide'])];
}

/** Everything of the lab that is on this machine, one line each. */
export async function leftovers(): Promise<string[]> {
  const pids = await processesIn();
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').filter((line) => line.includes(running.folder));
  return [
    ...pids.map((pid) => `process ${pid}`),
    ...mounts.map((line) => `mount ${line.split(' ')[1]}`),
    ...[net.fabric, net.controlPlane]
      .filter((name) => existsSync(netnsPath(name)))
      .map((name) => `network namespace ${name}`),
    ...hierarchies
      .map((hierarchy) => `/sys/fs/cgroup/${hierarchy}/${cgroup}`)
      .filter((folder) => existsSync(folder))
      .map((folder) => `control group ${folder}`),
    ...(existsSync(running.folder) ? [`folder ${running.folder}`] : []),
  ];
}
