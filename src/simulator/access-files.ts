import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';

/** A folder that only its owner can enter; a new one in the temporary folder when none is named. */
export async function privateDirectory(directory?: string): Promise<string> {
  if (directory === undefined) return mkdtemp(join(tmpdir(), 'cutover-simulator-'));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  return directory;
}

/** Writes a kubeconfig for that server. @returns its path */
export async function writeKubeconfig(directory: string, cluster: string, server: string): Promise<string> {
  const path = join(directory, 'kubeconfig');
  const name = `simulated-${cluster}`;
  const content = {
    apiVersion: 'v1',
    kind: 'Config',
    // The server speaks plain HTTP on loopback, which client-node refuses unless it is told not to expect a certificate.
    clusters: [{ name, cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'admin', user: {} }],
    contexts: [{ name, context: { cluster: name, user: 'admin' } }],
    'current-context': name,
  };
  await writeFile(path, stringify(content), { mode: 0o600 });
  return path;
}

export interface SshTarget {
  name: string;
  port: number;
  /** What known_hosts says of it: `ssh-ed25519 AAAA…`. */
  publicKey: string;
}

/** Writes an OpenSSH client config with one Host for each node, and its known_hosts. @returns the path of the config */
export async function writeSshConfig(
  directory: string,
  targets: readonly SshTarget[],
  identityFile: string,
): Promise<string> {
  const knownHosts = join(directory, 'known_hosts');
  const config = join(directory, 'ssh_config');
  const lines = targets.map(({ port, publicKey }) => `[127.0.0.1]:${port} ${publicKey.trim()}\n`);
  await writeFile(knownHosts, lines.join(''), { mode: 0o600 });
  const hosts = targets.map(({ name, port }) => `Host ${name}\n  HostName 127.0.0.1\n  Port ${port}\n`);
  const common = [
    'Host *',
    '  User root',
    `  IdentityFile ${quoted(identityFile)}`,
    '  IdentitiesOnly yes',
    `  UserKnownHostsFile ${quoted(knownHosts)}`,
    '  GlobalKnownHostsFile /dev/null',
    '  StrictHostKeyChecking yes',
    '',
  ];
  await writeFile(config, `${hosts.join('')}${common.join('\n')}`, { mode: 0o600 });
  return config;
}

const quoted = (path: string) => (path.includes(' ') ? `"${path}"` : path);
