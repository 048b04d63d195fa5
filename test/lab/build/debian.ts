import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commandOutput, isFile, runLogged, succeeds } from '../run.ts';
import { kept, running } from '../settings.ts';

const suite = 'bookworm';

/** What the machine itself needs, by the program that shows it is there. */
const hostPackages: Record<string, string> = {
  debootstrap: 'debootstrap',
  ip: 'iproute2',
  nsenter: 'util-linux',
  openssl: 'openssl',
  ssh: 'openssh-client',
  curl: 'curl',
  gcc: 'gcc libc6-dev',
  tar: 'tar',
};

/** Debian trees by name. Images are based on `image`; `node` is what a machine would have installed. */
const trees: Record<string, string[]> = {
  // dig, curl and iperf are what Kubernetes' own agnhost has beside its program.
  image: [
    'iptables',
    'iproute2',
    'ipset',
    'conntrack',
    'procps',
    'kmod',
    'runit',
    'curl',
    'bind9-dnsutils',
    'iperf',
    'busybox-static',
  ],
  node: [
    'systemd',
    'systemd-sysv',
    'openssh-server',
    'runc',
    'iptables',
    'nftables',
    'iproute2',
    'ipset',
    'conntrack',
    'procps',
    'kmod',
    'curl',
    'tcpdump',
    'iputils-ping',
    'jq',
    'ethtool',
    'socat',
    'util-linux',
    'psmisc',
    'less',
  ],
};

/** Packages that are only unpacked: Calico's image carries BIRD. */
const unpacked = ['bird', 'libreadline8'];

const noFrontend = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };

/** Installs what the machine lacks. @throws Error that names the packages */
export async function installHostPackages(say: (line: string) => void): Promise<void> {
  const missing: string[] = [];
  for (const [program, packages] of Object.entries(hostPackages)) {
    if (!(await succeeds('sh', ['-c', `command -v ${program}`]))) missing.push(...packages.split(' '));
  }
  if (missing.length === 0) return;
  say(`installing ${missing.join(', ')}`);
  const log = join(running.logs, 'apt.log');
  await runLogged('apt-get', ['update', '-q'], { env: noFrontend, log, title: 'apt-get update', say });
  await runLogged('apt-get', ['install', '-y', '--no-install-recommends', ...missing], {
    env: noFrontend,
    log,
    title: `apt-get install ${missing.join(' ')}`,
    say,
  });
}

/** Builds each Debian tree once; a tree is there whole or not at all. */
export async function buildTrees(say: (line: string) => void): Promise<void> {
  await mkdir(kept.trees, { recursive: true });
  const mirror = await mirrorAddress();
  for (const [name, packages] of Object.entries(trees)) {
    const target = join(kept.trees, name);
    const stamp = join(kept.trees, `.${name}.stamp`);
    const wanted = [suite, ...packages].join(' ');
    if ((await isFile(stamp)) && (await readFile(stamp, 'utf8')) === wanted) continue;
    await rm(target, { recursive: true, force: true });
    await rm(`${target}.new`, { recursive: true, force: true });
    await runLogged(
      'debootstrap',
      ['--variant=minbase', `--include=${packages.join(',')}`, suite, `${target}.new`, mirror],
      { env: noFrontend, log: join(running.logs, `tree-${name}.log`), title: `Debian tree "${name}"`, say },
    );
    for (const path of [
      'var/cache/apt/archives',
      'var/lib/apt/lists',
      'usr/share/doc',
      'usr/share/man',
      'usr/share/locale',
    ])
      await rm(join(`${target}.new`, path), { recursive: true, force: true });
    await rename(`${target}.new`, target);
    await writeFile(stamp, wanted);
    say(`Debian tree "${name}" is there`);
  }
}

/** Downloads and unpacks single packages. @returns the folder */
export async function unpackPackages(): Promise<string> {
  const folder = join(kept.packages, 'unpacked');
  if (await isFile(join(kept.packages, '.stamp'))) return folder;
  await mkdir(folder, { recursive: true });
  await commandOutput('sh', [
    '-ec',
    `cd "$1" && apt-get update -q >/dev/null && apt-get download -q ${unpacked.join(' ')} && for package in *.deb; do dpkg -x "$package" unpacked; done`,
    'unpack',
    kept.packages,
  ]);
  await writeFile(join(kept.packages, '.stamp'), '');
  return folder;
}

/** Where this machine's own packages come from. */
async function mirrorAddress(): Promise<string> {
  const lines = await commandOutput('sh', [
    '-c',
    `apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 2>/dev/null || true`,
  ]);
  const fitting = lines.split('\n').find((line) => line.endsWith(` ${suite}`));
  if (fitting === undefined) throw new Error(`apt knows no source of Debian ${suite}: see /etc/apt/sources.list`);
  return fitting.split(' ')[0]!;
}
