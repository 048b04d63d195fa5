import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders of this checkout. */
export const source = {
  lab: fileURLToPath(new URL('.', import.meta.url)),
  modules: fileURLToPath(new URL('modules/', import.meta.url)),
  manifests: fileURLToPath(new URL('manifests/', import.meta.url)),
  node: fileURLToPath(new URL('node/', import.meta.url)),
  repository: fileURLToPath(new URL('../../', import.meta.url)),
};

const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cutover', 'lab');

/** What is built once and kept, outside of the repository. */
export const kept = {
  folder: cache,
  programs: join(cache, 'programs'),
  images: join(cache, 'images'),
  /** Debian trees: what images are based on, and what a node runs on. */
  trees: join(cache, 'trees'),
  packages: join(cache, 'packages'),
};

/** What one running lab has; `lab:down` removes it. */
export const running = {
  folder: join(cache, 'run'),
  keys: join(cache, 'run', 'keys'),
  logs: join(cache, 'run', 'logs'),
  controlPlane: join(cache, 'run', 'control-plane'),
  nodes: join(cache, 'run', 'nodes'),
  kubeconfig: join(cache, 'run', 'kubeconfig'),
  sshConfig: join(cache, 'run', 'ssh_config'),
  knownHosts: join(cache, 'run', 'known_hosts'),
  /** There once every pod was Ready: a start that died half way has none. */
  whole: join(cache, 'run', 'whole'),
};

/** Addresses and names. The fabric is a bridge in a network namespace of its own: it has no way out. */
export const net = {
  fabric: 'cutover-fabric',
  controlPlane: 'cutover-control',
  bridge: 'lab0',
  prefix: 24,
  fabricAddress: '10.99.0.254',
  controlPlaneAddress: '10.99.0.10',
  pods: '10.244.0.0/16',
  services: '10.96.0.0/16',
  dns: '10.96.0.10',
};

/** Root of the lab's control groups, below each hierarchy of version 1. */
export const cgroup = 'cutover-lab';

export const kubernetesVersion = 'v1.34.10';

export interface LabNode {
  name: string;
  address: string;
  folder: string;
}

export const nodes: readonly LabNode[] = [1, 2, 3].map((number) => ({
  name: `worker-${number}`,
  address: `10.99.0.${number}`,
  folder: join(running.nodes, `worker-${number}`),
}));

/** @throws Error naming the nodes there are */
export function nodeNamed(name: string): LabNode {
  const node = nodes.find((each) => each.name === name);
  if (!node) throw new Error(`the lab has no node ${name}; it has ${nodes.map((each) => each.name).join(', ')}`);
  return node;
}

/** `LAB_IMAGES`: archives, separated by colons, that are imported on every node beside the lab's own. */
export const extraImages = (): string[] => (process.env['LAB_IMAGES'] ?? '').split(':').filter((path) => path !== '');
