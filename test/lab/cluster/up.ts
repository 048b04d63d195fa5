import { rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from '../build/build.ts';
import { awaitThat } from '../run.ts';
import { extraImages, nodes, running, source } from '../settings.ts';
import { killAll, makeGroup } from './cgroups.ts';
import { kubectl, startControlPlane } from './control-plane.ts';
import { down } from './down.ts';
import { startFabric } from './fabric.ts';
import { makeKeys } from './keys.ts';
import { bootNode, cutPower, importImage, inNode } from './node.ts';
import { isRunning } from './status.ts';
import { raiseSysctls } from './sysctls.ts';

/** From nothing to a Ready Flannel cluster with a workload. Up already: says so and changes nothing. */
export async function up(say: (line: string) => void): Promise<void> {
  if (await isRunning()) {
    say('the lab is up');
    return;
  }
  // What is left of one that died half way would be in the way, and what the kernel's settings were would be forgotten.
  await down();
  await build(say);
  const tell = stopwatch(say);
  await raiseSysctls();
  await makeKeys();
  await makeGroup('tools');
  await makeGroup('probe');
  await startFabric();
  await startCluster(tell);
}

/** A new cluster on the fabric that is there: what a fresh start has, without leaving the fabric. */
export async function reset(say: (line: string) => void): Promise<void> {
  await Promise.all(nodes.map(cutPower));
  await killAll('control');
  await rm(running.nodes, { recursive: true, force: true });
  await rm(running.controlPlane, { recursive: true, force: true });
  await startCluster(stopwatch(say));
}

async function startCluster(tell: (what: string) => void): Promise<void> {
  await rm(running.whole, { force: true });
  await startControlPlane();
  tell('the control plane answers');
  // Before the nodes: the objects wait for them, and no pod for an object.
  await kubectl(['apply', '-f', join(source.manifests, 'system')]);
  await Promise.all(nodes.map(bootNode));
  tell('the nodes boot');
  await importExtraImages(tell);
  await awaitThat('every node is registered', 60_000, async () => {
    const names = await kubectl(['get', 'nodes', '-o', 'name']);
    return names.split('\n').filter(Boolean).length === nodes.length;
  });
  await kubectl(['wait', '--for=condition=Ready', 'node', '--all', '--timeout=120s']);
  tell('every node is Ready');
  // After the nodes: the first ones to be Ready would attract all pods.
  await kubectl(['apply', '-f', join(source.manifests, 'workload')]);
  await awaitThat('every pod is Ready', 240_000, everyPodReady, 500);
  await writeFile(running.whole, '');
  tell('every pod is Ready');
}

function stopwatch(say: (line: string) => void): (what: string) => void {
  const started = Date.now();
  return (what) => say(`${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s  ${what}`);
}

async function everyPodReady(): Promise<boolean> {
  const { items } = JSON.parse(await kubectl(['get', 'pods', '-A', '-o', 'json'])) as { items: Pod[] };
  return (
    items.length > 0 &&
    items.every(({ status }) => status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'))
  );
}

interface Pod {
  status: { conditions?: { type: string; status: string }[] };
}

/** Imports the archives of `LAB_IMAGES` on every node. */
async function importExtraImages(tell: (what: string) => void): Promise<void> {
  for (const archive of extraImages()) {
    for (const node of nodes) {
      await inNode(node, ['sh', '-c', 'until ctr version >/dev/null 2>&1; do sleep 0.1; done']);
      await importImage(node, archive);
    }
    tell(`imported ${basename(archive)} on every node`);
  }
}
