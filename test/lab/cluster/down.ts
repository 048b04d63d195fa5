import { rm } from 'node:fs/promises';
import { running } from '../settings.ts';
import { awaitThat } from '../run.ts';
import { killAll, removeGroup } from './cgroups.ts';
import { removeFabric } from './fabric.ts';
import { leftovers } from './status.ts';
import { restoreSysctls } from './sysctls.ts';

/**
 * Removes every process, mount, namespace, link and control group of the lab, also of one that died half way: all that
 * the lab starts is in its control groups, and every mount and link is in a namespace that ends with its processes.
 *
 * @throws Error naming what stays
 */
export async function down(): Promise<void> {
  await killAll();
  await removeFabric();
  // The kernel empties a namespace a moment after its last process.
  await awaitThat('the control groups of the lab can be removed', 20_000, async () => (await removeGroup()) === 0);
  await restoreSysctls();
  await rm(running.folder, { recursive: true, force: true });
  const left = await leftovers();
  if (left.length > 0) throw new Error(`the lab is not gone: ${left.join(', ')}`);
}
