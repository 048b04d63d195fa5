import { readFileSync } from 'node:fs';
import { NodeSSH } from 'node-ssh';
import ssh2 from 'ssh2';
import type { AnyAuthMethod } from 'ssh2';
import { CutoverError } from '../errors.ts';
import { fingerprint, hostKeyAlgorithms, keyType, knownHostName, knownKeys, parseKnownHosts } from './known-hosts.ts';
import type { KnownHost } from './known-hosts.ts';
import type { SshHost } from './ssh-hosts.ts';

export interface SshConnection {
  ssh: NodeSSH;
  /** Of the key that the node showed and that was found on file. */
  hostKey: string;
}

const KEEPALIVE_MS = 10_000;
const KEEPALIVES_MISSED = 3;

/**
 * Dials a node. The host key must be on file: nothing is ever accepted because it is new.
 * @throws CutoverError HostKeyMismatch | NodeUnreachable
 */
export async function connect(node: string, host: SshHost, timeoutMs: number): Promise<SshConnection> {
  const name = host.alias || knownHostName(host.host, host.port);
  const known = knownKeys(readKnownHosts(host.knownHostsFiles), name);
  let shown = '';
  let refusal: CutoverError | undefined;
  const ssh = new NodeSSH();
  try {
    const connecting = ssh.connect({
      host: host.host,
      port: host.port,
      username: host.user,
      authHandler: authMethods(node, host),
      readyTimeout: timeoutMs,
      keepaliveInterval: KEEPALIVE_MS,
      keepaliveCountMax: KEEPALIVES_MISSED,
      algorithms: { serverHostKey: hostKeyAlgorithms(known) as ssh2.ServerHostKeyAlgorithm[] },
      hostVerifier: (key: Buffer) => {
        shown = fingerprint(key);
        refusal = judgeHostKey(node, name, host, known, key);
        return refusal === undefined;
      },
    });
    // Small packets to and fro: waiting for full ones costs 40 ms each time.
    ssh.connection?.setNoDelay(true);
    await connecting;
  } catch (cause) {
    ssh.connection?.destroy();
    throw refusal ?? unreachable(node, host, cause);
  }
  // Without a listener a connection that breaks while nobody uses it would end the process.
  ssh.connection?.on('error', () => {});
  return { ssh, hostKey: shown };
}

function judgeHostKey(
  node: string,
  name: string,
  host: SshHost,
  known: KnownHost[],
  key: Buffer,
): CutoverError | undefined {
  const same = known.filter((entry) => entry.key.equals(key));
  const shown = `${keyType(key)} ${fingerprint(key)}`;
  if (same.some(({ revoked }) => revoked)) {
    return new CutoverError('HostKeyMismatch', `${node} shows the host key ${shown}, which is marked as revoked`, {
      details: { node, shown: fingerprint(key) },
    });
  }
  if (same.length > 0) return undefined;
  const onFile = known.filter(({ revoked }) => !revoked);
  if (onFile.length === 0) {
    return new CutoverError(
      'NodeUnreachable',
      `no host key of ${node} is known: ${name} is not in ${host.knownHostsFiles.join(', ')}`,
      {
        remedy: `add it with ssh-keyscan after checking it: the node shows ${shown}`,
        details: { node, shown: fingerprint(key) },
      },
    );
  }
  const expected = onFile.map((entry) => `${entry.type} ${fingerprint(entry.key)}`);
  return new CutoverError(
    'HostKeyMismatch',
    `${node} shows the host key ${shown}, but ${expected.join(' and ')} is on file`,
    {
      details: { node, shown: fingerprint(key), expected: onFile.map((entry) => fingerprint(entry.key)) },
    },
  );
}

function readKnownHosts(files: string[]): KnownHost[] {
  return files.flatMap((file) => {
    try {
      return parseKnownHosts(readFileSync(file, 'utf8'));
    } catch {
      return []; // a missing file knows nobody; the refusal names the files that were looked at
    }
  });
}

/** The agent first, then the key files, as OpenSSH does. Key material stays in here. */
function authMethods(node: string, { user, agent, identityFiles }: SshHost): AnyAuthMethod[] {
  const keys = identityFiles.flatMap((file): AnyAuthMethod[] => {
    const key = readFileSync(file);
    // An encrypted key is the agent's business.
    return ssh2.utils.parseKey(key) instanceof Error ? [] : [{ type: 'publickey', username: user, key }];
  });
  const methods: AnyAuthMethod[] = [
    ...(agent === '' ? [] : [{ type: 'agent', username: user, agent } as const]),
    ...keys,
  ];
  if (methods.length > 0) return methods;
  throw new CutoverError(
    'NodeUnreachable',
    `there is no SSH key to log in to ${node} with (looked at: ${identityFiles.join(', ') || 'no file exists'})`,
    {
      remedy: 'name an IdentityFile without passphrase in the SSH config, or load the key into ssh-agent',
    },
  );
}

function unreachable(node: string, { host, port, user }: SshHost, cause: unknown): CutoverError {
  const problem = cause as Error & { level?: string; code?: string };
  const where = `${user}@${host}:${port}`;
  if (cause instanceof CutoverError) return cause;
  if (problem.level === 'client-authentication') {
    return new CutoverError('NodeUnreachable', `${node} (${where}) refuses to log in: ${problem.message}`, {
      remedy: 'check User and IdentityFile in the SSH config, and authorized_keys on the node',
      cause,
    });
  }
  return new CutoverError('NodeUnreachable', `${node} (${where}) cannot be reached over SSH: ${problem.message}`, {
    details: { node, code: problem.code ?? problem.level },
    cause,
  });
}
