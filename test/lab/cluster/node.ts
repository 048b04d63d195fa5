import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { openSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { awaitThat, commandOutput, isFile, succeeds } from '../run.ts';
import { cgroup, kept, net, running, source, type LabNode } from '../settings.ts';
import { imageStore } from '../build/image-store.ts';
import { killAll, makeGroup, removeGroup } from './cgroups.ts';
import { plugIn } from './fabric.ts';
import { keyFile } from './keys.ts';

const pidFile = ({ folder }: LabNode): string => join(folder, 'pid');
const cniPlugins = ['bandwidth', 'bridge', 'host-local', 'loopback', 'portmap', 'ptp', 'tuning'];

/** Process 1 of a node. @throws Error when it does not run */
export async function pidOf(node: LabNode): Promise<number> {
  const pid = Number(await readFile(pidFile(node), 'utf8').catch(() => '0'));
  if (pid === 0 || !(await isUp(node, pid))) throw new Error(`node ${node.name} of the lab is down`);
  return pid;
}

const isUp = async (node: LabNode, pid: number): Promise<boolean> =>
  (await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')).includes(`/${cgroup}/${node.name}`);

/** What a machine would have been installed with: the node's own files, above the Debian tree. */
async function install(node: LabNode): Promise<void> {
  const { folder, name, address } = node;
  const upper = join(folder, 'upper');
  for (const each of ['upper', 'work', 'root', 'containerd', 'kubelet', 'pod-logs'])
    await mkdir(join(folder, each), { recursive: true });
  const write = async (path: string, content: string | Buffer, mode = 0o644) => {
    await mkdir(dirname(join(upper, path)), { recursive: true });
    await writeFile(join(upper, path), content, { mode });
  };
  await cp(join(source.node, 'files'), upper, { recursive: true });
  await write('etc/hostname', `${name}\n`);
  await write('etc/hosts', `127.0.0.1 localhost\n${address} ${name}\n`);
  await write(
    'etc/lab-node',
    `NAME=${name}\nADDRESS=${address}\nPREFIX=${net.prefix}\nGATEWAY=${net.fabricAddress}\nZONE=zone-${name.at(-1)}\n`,
  );
  await write('etc/ssh/lab_host_key', await readFile(keyFile(`host-${name}`)), 0o600);
  await write('etc/kubernetes/kubelet.kubeconfig', await readFile(keyFile(`${name}.kubeconfig`)), 0o600);
  await mkdir(join(upper, 'root/.ssh'), { recursive: true, mode: 0o700 });
  await write('root/.ssh/authorized_keys', await readFile(keyFile('ssh.pub')), 0o600);
  await write('etc/machine-id', `${randomUUID().replaceAll('-', '')}\n`);
  await mkdir(join(upper, 'opt/cni/bin'), { recursive: true });
  await mkdir(join(upper, 'etc/cni/net.d'), { recursive: true });
  for (const plugin of cniPlugins) await cp(join(kept.programs, `cni-${plugin}`), join(upper, 'opt/cni/bin', plugin));
  await mkdir(join(upper, 'usr/local/bin'), { recursive: true });
  for (const program of ['crictl', 'ctr'])
    await cp(join(kept.programs, program), join(upper, 'usr/local/bin', program));
  await commandOutput('cp', ['-al', `${await imageStore()}/.`, join(folder, 'containerd')]);
  // Layers never change and are shared by hard links; the databases that name them do change.
  for (const entry of await readdir(join(folder, 'containerd'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/^(meta|metadata)\.db$/.test(entry.name)) continue;
    const file = join(entry.parentPath, entry.name);
    const content = await readFile(file);
    await rm(file);
    await writeFile(file, content, { mode: 0o600 });
  }
  await writeFile(join(folder, 'installed'), '');
}

/** Starts a node, new or after a power cut. Its disk outlives that; nothing else does. */
export async function bootNode(node: LabNode): Promise<void> {
  await mkdir(node.folder, { recursive: true });
  if (!(await isFile(join(node.folder, 'installed')))) await install(node);
  await makeGroup(node.name);
  const log = openSync(join(running.logs, `${node.name}.log`), 'a');
  const child = spawn(
    join(source.node, 'start-node.sh'),
    [`${cgroup}/${node.name}`, node.name, node.folder, join(kept.trees, 'node'), kept.programs],
    { detached: true, stdio: ['ignore', log, log] },
  );
  child.unref();
  const parent = child.pid ?? 0;
  const pid = await awaitThat(`node ${node.name} begins to boot (see ${node.name}.log)`, 20_000, async () => {
    const children = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8').catch(() => '');
    const first = Number(children.split(' ')[0]);
    return (
      first > 0 &&
      (await succeeds('nsenter', ['-t', String(first), '-m', 'test', '-e', '/run/waits-for-network'])) &&
      first
    );
  });
  await writeFile(pidFile(node), String(pid));
  await plugIn(node.name, String(pid));
}

/** Cuts the power: nothing on the node gets to say goodbye. */
export async function cutPower(node: LabNode): Promise<void> {
  await killAll(node.name);
  await rm(pidFile(node), { force: true });
  await removeGroup(node.name);
}

/** In all namespaces and control groups of a node. */
export async function inNode(node: LabNode, command: readonly string[], input?: string): Promise<string> {
  const pid = await pidOf(node);
  return commandOutput(join(source.node, 'in-node.sh'), [`${cgroup}/${node.name}`, String(pid), ...command], input);
}

/** Imports an image archive into the runtime of a node. */
export async function importImage(node: LabNode, archive: string): Promise<void> {
  const importer = ['ctr', '-n', 'k8s.io', 'images', 'import', '-'];
  const args = [`${cgroup}/${node.name}`, String(await pidOf(node)), ...importer];
  await commandOutput('sh', [
    '-c',
    'archive=$1; shift; exec "$@" <"$archive"',
    'import',
    archive,
    join(source.node, 'in-node.sh'),
    ...args,
  ]);
}

/** In the network of a node only, with the machine's own programs. */
export async function inNodeNetwork(node: LabNode, command: readonly string[]): Promise<string> {
  return commandOutput('nsenter', ['--target', String(await pidOf(node)), '--net', ...command]);
}
