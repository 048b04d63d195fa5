import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { commandOutput, isFile } from '../run.ts';
import { kept, source } from '../settings.ts';
import { unpackPackages } from './debian.ts';
import { inScratch, writeLayer, writeOciArchive, type ImageRecipe } from './oci-archive.ts';

/** What an image holds above its base: program -> path, and what else has to be laid out. */
interface LabImage extends Omit<ImageRecipe, 'layers'> {
  file: string;
  /** Without it only what is listed is in the image. */
  onDebian: boolean;
  /** Paths in the image by the program or file that stands there. */
  programs?: Record<string, string>;
  extra?(root: string): Promise<void>;
}

/** Named as upstream names them, so that upstream's manifests and Cutover's ready plans run unchanged. */
export const imageNames = {
  pause: 'registry.k8s.io/pause:3.10',
  agnhost: 'registry.k8s.io/e2e-test-images/agnhost:2.53',
  probe: 'cutover.dev/lab/probe:1',
  kubeProxy: 'registry.k8s.io/kube-proxy:v1.34.10',
  coredns: 'registry.k8s.io/coredns/coredns:v1.14.7',
  flannel: 'ghcr.io/flannel-io/flannel:v0.28.9',
  flannelCni: 'ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel1',
  calicoNode: 'docker.io/calico/node:v3.28.5',
  calicoCni: 'docker.io/calico/cni:v3.28.5',
  calicoControllers: 'docker.io/calico/kube-controllers:v3.28.5',
};

const images: readonly LabImage[] = [
  {
    file: 'pause',
    name: imageNames.pause,
    onDebian: false,
    entrypoint: ['/bin/busybox', 'sleep', '2147483647'],
    extra: (root) => copyIn(join(kept.trees, 'image', 'bin/busybox'), join(root, 'bin/busybox')),
  },
  {
    file: 'agnhost',
    name: imageNames.agnhost,
    onDebian: true,
    programs: { '/usr/bin/agnhost': 'agnhost' },
    entrypoint: ['/usr/bin/agnhost'],
    command: ['pause'],
  },
  {
    file: 'probe',
    name: imageNames.probe,
    onDebian: false,
    programs: { '/bin/labprobe': 'labprobe' },
    entrypoint: ['/bin/labprobe'],
    command: ['serve'],
    extra: async (root) => {
      await copyIn(join(kept.trees, 'image', 'bin/busybox'), join(root, 'bin/busybox'));
      for (const name of ['sh', 'sleep', 'ip', 'cat']) await symlink('busybox', join(root, 'bin', name));
    },
  },
  {
    file: 'kube-proxy',
    name: imageNames.kubeProxy,
    onDebian: true,
    programs: { '/usr/local/bin/kube-proxy': 'kubernetes' },
    entrypoint: ['/usr/local/bin/kube-proxy'],
  },
  {
    file: 'coredns',
    name: imageNames.coredns,
    onDebian: false,
    programs: { '/coredns': 'coredns' },
    entrypoint: ['/coredns'],
  },
  {
    file: 'flannel',
    name: imageNames.flannel,
    onDebian: true,
    programs: { '/opt/bin/flanneld': 'flanneld' },
    entrypoint: ['/opt/bin/flanneld'],
  },
  {
    file: 'flannel-cni',
    name: imageNames.flannelCni,
    onDebian: true,
    programs: { '/flannel': 'cni-flannel' },
  },
  {
    file: 'calico-node',
    name: imageNames.calicoNode,
    onDebian: true,
    programs: { '/usr/bin/calico-node': 'calico-node' },
    command: ['start_runit'],
    environment: ['SVDIR=/etc/service/enabled'],
    extra: layOutCalicoNode,
  },
  {
    file: 'calico-cni',
    name: imageNames.calicoCni,
    onDebian: true,
    programs: {
      '/opt/cni/bin/install': 'calico-cni-install',
      '/opt/cni/bin/calico': 'calico-cni',
      '/opt/cni/bin/calico-ipam': 'calico-cni',
      '/opt/cni/bin/bandwidth': 'cni-bandwidth',
      '/opt/cni/bin/host-local': 'cni-host-local',
      '/opt/cni/bin/loopback': 'cni-loopback',
      '/opt/cni/bin/portmap': 'cni-portmap',
      '/opt/cni/bin/tuning': 'cni-tuning',
    },
  },
  {
    // One image for Calico's controllers and for its flannel-migration Job, which drains with a kubectl of its own.
    file: 'calico-kube-controllers',
    name: imageNames.calicoControllers,
    alsoNamed: ['docker.io/calico/flannel-migration-controller:v3.28.5'],
    onDebian: true,
    programs: {
      '/usr/bin/kube-controllers': 'calico-kube-controllers',
      '/usr/bin/check-status': 'calico-check-status',
      '/opt/kubectl/kubectl': 'kubernetes',
    },
    entrypoint: ['/usr/bin/kube-controllers'],
    extra: layOutOldKubectl,
  },
];

/** Builds the image archives that are missing or whose programs have changed. @returns their paths */
export async function buildImages(say: (line: string) => void): Promise<string[]> {
  await mkdir(kept.images, { recursive: true });
  const base = await baseLayer();
  const archives: string[] = [];
  for (const image of images) {
    const archive = join(kept.images, `${image.file}.tar`);
    const stamp = join(kept.images, `.${image.file}.stamp`);
    const wanted = await recipeOf(image, base);
    archives.push(archive);
    if ((await isFile(archive)) && (await readFile(stamp, 'utf8').catch(() => '')) === wanted) continue;
    await inScratch(async (root) => {
      for (const [path, program] of Object.entries(image.programs ?? {}))
        await copyIn(join(kept.programs, program), join(root, path));
      await image.extra?.(root);
      const layer = join(kept.images, `.${image.file}.layer`);
      await writeLayer(root, layer);
      await writeOciArchive(archive, { ...image, layers: [...(image.onDebian ? [base] : []), layer] });
      await rm(layer);
    });
    await writeFile(stamp, wanted);
    say(`image ${image.name} is there`);
  }
  return archives;
}

async function recipeOf(image: LabImage, base: string): Promise<string> {
  const stamps = await Promise.all(
    Object.values(image.programs ?? {}).map((name) => readFile(join(kept.programs, `.${name}.stamp`), 'utf8')),
  );
  const own = await readFile(join(source.lab, 'build', 'images.ts'), 'utf8');
  const { size, mtimeMs } = await stat(base);
  return createHash('sha256')
    .update(JSON.stringify([image, stamps, own, size, mtimeMs]))
    .digest('hex');
}

/** The Debian tree as the layer that most images share. */
async function baseLayer(): Promise<string> {
  const layer = join(kept.images, '.debian.layer');
  const tree = join(kept.trees, 'image');
  const built = await stat(join(kept.trees, '.image.stamp'));
  const made = await stat(layer).catch(() => undefined);
  if (!made || made.mtimeMs < built.mtimeMs) await writeLayer(tree, layer);
  return layer;
}

/** Calico's module holds what its image has beside the program: service folders for runit and templates of confd. */
async function layOutCalicoNode(root: string): Promise<void> {
  const module = await calicoModule();
  const copy = async (from: string, to: string) => {
    await mkdir(join(root, to), { recursive: true });
    await commandOutput('cp', ['-a', '--no-preserve=ownership', `${join(module, from)}/.`, join(root, to)]);
    await commandOutput('chmod', ['-R', 'u+w', join(root, to)]);
  };
  await copy('node/filesystem/etc', 'etc');
  await copy('node/filesystem/sbin', 'usr/sbin');
  await copy('confd/etc/calico/confd', 'etc/calico/confd');
  await mkdir(join(root, 'etc/calico/confd/config'), { recursive: true });
  // Go's module archives keep no mode bits.
  await commandOutput('sh', [
    '-ec',
    'find "$1/etc/service" -name run -exec chmod 755 {} +; chmod 755 "$1/etc/rc.local" "$1"/usr/sbin/*',
    'modes',
    root,
  ]);
  // Debian's BIRD 1.6.8 refuses `krt_tunnel = ""`, keeps its old configuration, and says so only in its log (§0a.8).
  await commandOutput('sh', [
    '-ec',
    'sed -i "/krt_tunnel = /d" "$1"/etc/calico/confd/templates/bird*_ipam.cfg.template',
    'template',
    root,
  ]);
  const packages = await unpackPackages();
  for (const [name, as] of [
    ['bird', 'bird'],
    ['bird6', 'bird6'],
    ['birdc', 'birdcl'],
  ] as const)
    await copyIn(join(packages, 'usr/sbin', name), join(root, 'usr/bin', as));
  await symlink('birdcl', join(root, 'usr/bin/birdcl6'));
  await mkdir(join(root, 'usr/lib/x86_64-linux-gnu'), { recursive: true });
  await commandOutput('sh', [
    '-ec',
    'find "$1" -name "libreadline.so.8*" -exec cp -a {} "$2" ";"',
    'libraries',
    packages,
    join(root, 'usr/lib/x86_64-linux-gnu'),
  ]);
}

/** The Job of Calico 3.28 calls kubectl with a flag that Kubernetes removed in 1.30. */
async function layOutOldKubectl(root: string): Promise<void> {
  const script = `#!/bin/bash
# Calico 3.28's flannel migration drains with --delete-local-data, which newer kubectl knows by another name.
for argument; do
  shift
  [ "$argument" = --delete-local-data ] && argument=--delete-emptydir-data
  set -- "$@" "$argument"
done
exec /opt/kubectl/kubectl "$@"
`;
  await writeFile(join(root, 'usr/bin/kubectl'), script);
  await chmod(join(root, 'usr/bin/kubectl'), 0o755);
}

/** Where Go keeps Calico's module. */
export async function calicoModule(): Promise<string> {
  return commandOutput('sh', [
    '-ec',
    'cd "$1" && GOFLAGS= GOTOOLCHAIN=local go list -m -f "{{.Dir}}" github.com/projectcalico/calico',
    'module',
    join(source.modules, 'calico'),
  ]);
}

async function copyIn(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to);
  await chmod(to, 0o755);
}
