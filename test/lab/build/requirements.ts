import { existsSync } from 'node:fs';
import { mkdir, readFile, statfs } from 'node:fs/promises';
import { succeeds } from '../run.ts';
import { extraImages, kept } from '../settings.ts';
import { hierarchies } from '../cluster/cgroups.ts';

const diskGiB = 30;

/** @returns one sentence that names what this machine lacks, or nothing. `building` asks for the space that a build takes. */
export async function requirements(building: boolean): Promise<string | undefined> {
  if (process.platform !== 'linux') return `the lab needs Linux; this is ${process.platform}`;
  if (process.arch !== 'x64') return `the lab builds for amd64; this machine is ${process.arch}`;
  if (process.getuid?.() !== 0) return 'the lab needs root: it makes namespaces, mounts and control groups';
  if (!existsSync('/etc/debian_version'))
    return 'the lab needs Debian (or a system with apt): its packages come from there';
  const archive = extraImages().find((each) => !existsSync(each));
  if (archive !== undefined) return `LAB_IMAGES names ${archive}, and there is no such file`;
  const absent = hierarchies.filter((hierarchy) => !existsSync(`/sys/fs/cgroup/${hierarchy}/cgroup.procs`));
  if (absent.length > 0)
    return `the lab needs control groups of version 1 and a unified tree; not mounted: ${absent.map((each) => `/sys/fs/cgroup/${each}`).join(', ')}`;
  const filesystems = await readFile('/proc/filesystems', 'utf8');
  for (const name of ['overlay', 'bpf'])
    if (!new RegExp(`\\b${name}\\b`).test(filesystems)) return `the kernel lacks the filesystem ${name}`;
  if (!(await succeeds('unshare', ['--mount', '--net', '--uts', '--ipc', '--pid', '--cgroup', '--fork', 'true'])))
    return 'this machine does not allow new namespaces (unshare fails), as in a container without privileges';
  if (
    !(await succeeds('unshare', [
      '--net',
      'sh',
      '-c',
      'ip link add lab-vxlan type vxlan id 1 dstport 8472 && ip link add lab-bridge type bridge',
    ]))
  )
    return 'the kernel lacks VXLAN or bridge links (or iproute2 is not installed)';
  if (building && !(await succeeds('sh', ['-c', 'command -v go'])))
    return 'the lab is built with Go 1.25.9 or newer, and there is no go on PATH';
  await mkdir(kept.folder, { recursive: true });
  const { bavail, bsize } = await statfs(kept.folder);
  const free = Math.floor((bavail * bsize) / 2 ** 30);
  if (building && free < diskGiB && !existsSync(kept.images))
    return `building the lab takes ${diskGiB} GiB with Go's caches, and ${kept.folder} has ${free} GiB left`;
  return undefined;
}
