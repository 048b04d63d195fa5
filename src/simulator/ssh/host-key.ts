import { createHash } from 'node:crypto';
import ssh2 from 'ssh2';

/** A key pair: the private half in OpenSSH format, the public half as one line of known_hosts or authorized_keys. */
export interface KeyPair {
  privateKey: string;
  /** `ssh-ed25519 AAAA…` */
  publicKey: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  fingerprint: string;
}

/** A new Ed25519 key: a fraction of a millisecond, so that 5,000 nodes can have one each. */
export function generateHostKey(): KeyPair {
  const pair = ssh2.utils.generateKeyPairSync('ed25519');
  return { privateKey: pair.private, publicKey: pair.public, fingerprint: fingerprintOf(pair.public) };
}

/** `SHA256:…` of a public key line: base64 without padding over the key blob (RFC 4253 §6.6, OpenSSH's notation). */
export function fingerprintOf(publicKey: string): string {
  const blob = Buffer.from(publicKey.split(/\s+/)[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
