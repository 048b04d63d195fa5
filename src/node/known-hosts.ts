import { createHash, createHmac } from 'node:crypto';

/** One line of known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  hosts: string[];
  /** `ssh-ed25519`, `ssh-rsa`, … */
  type: string;
  /** The public key blob. */
  key: Buffer;
  revoked: boolean;
}

/** Reads known_hosts: plain, `[host]:port`, wildcard, negated and hashed entries. Certificate authorities are left out. */
export function parseKnownHosts(text: string): KnownHost[] {
  return text.split('\n').flatMap((line) => {
    const words = line.trim().split(/\s+/);
    if (words[0] === undefined || words[0] === '' || words[0].startsWith('#')) return [];
    const marker = words[0].startsWith('@') ? words.shift() : undefined;
    const [hosts, type, key] = words;
    if (hosts === undefined || type === undefined || key === undefined || marker === '@cert-authority') return [];
    return [{ hosts: hosts.split(','), type, key: Buffer.from(key, 'base64'), revoked: marker === '@revoked' }];
  });
}

/** What known_hosts calls a host: `name`, or `[name]:port` when the port is not 22. */
export const knownHostName = (host: string, port: number) => (port === 22 ? host : `[${host}]:${port}`);

export function knownKeys(entries: readonly KnownHost[], name: string): KnownHost[] {
  const lower = name.toLowerCase();
  return entries.filter(({ hosts }) => {
    if (hosts.some((pattern) => pattern.startsWith('!') && matches(pattern.slice(1), lower))) return false;
    return hosts.some((pattern) => matches(pattern, lower));
  });
}

function matches(pattern: string, name: string): boolean {
  // |1|salt|hash: HMAC-SHA1 of the name, keyed with the salt.
  if (pattern.startsWith('|1|')) {
    const [, , salt = '', hash = ''] = pattern.split('|');
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
  }
  const lower = pattern.toLowerCase();
  if (!/[*?]/.test(lower)) return lower === name;
  const expression = lower
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`).test(name);
}

/** `SHA256:…`, as `ssh-keygen -l` prints it. */
export const fingerprint = (key: Buffer) =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;

/** The type that a key blob says it has: its first field. */
export function keyType(key: Buffer): string {
  const length = key.length >= 4 ? key.readUInt32BE(0) : 0;
  return key.subarray(4, 4 + length).toString('latin1');
}

const rsa = ['rsa-sha2-512', 'rsa-sha2-256'];
const all = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', ...rsa];

/** Host key algorithms in the order to ask for: types on file first, so that the server shows a key that can be checked. */
export function hostKeyAlgorithms(known: readonly KnownHost[]): string[] {
  const onFile = known.filter(({ revoked }) => !revoked).flatMap(({ type }) => (type === 'ssh-rsa' ? rsa : [type]));
  const first = all.filter((algorithm) => onFile.includes(algorithm));
  return [...first, ...all.filter((algorithm) => !first.includes(algorithm))];
}
