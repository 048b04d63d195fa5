import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';

/** A key pair: the private half in OpenSSH format, the public half as one line of known_hosts or authorized_keys. */
export interface KeyPair {
  privateKey: string;
  /** `ssh-ed25519 AAAA…` */
  publicKey: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  fingerprint: string;
}

const type = 'ssh-ed25519';

/**
 * A new Ed25519 key: a fraction of a millisecond, so that 5,000 nodes can have one each. Written here and not by ssh2's
 * own generator: one in four hundred keys of that (1.17.0) cannot be read again, not even by ssh2.
 */
export function generateHostKey(): KeyPair {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const publicHalf = Buffer.from(x, 'base64url');
  const blob = Buffer.concat([field(type), field(publicHalf)]);
  const publicKey = `${type} ${blob.toString('base64')}`;
  return {
    privateKey: privateFile(Buffer.from(d, 'base64url'), publicHalf, blob),
    publicKey,
    fingerprint: fingerprintOf(publicKey),
  };
}

/** `SHA256:…` of a public key line: base64 without padding over the key blob (RFC 4253 §6.6, OpenSSH's notation). */
export function fingerprintOf(publicKey: string): string {
  const blob = Buffer.from(publicKey.split(/\s+/)[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/** OpenSSH's format of an unencrypted private key (openssh-portable: PROTOCOL.key). */
function privateFile(seed: Buffer, publicHalf: Buffer, blob: Buffer): string {
  const check = randomBytes(4);
  const secret = Buffer.concat([
    check,
    check,
    field(type),
    field(publicHalf),
    field(Buffer.concat([seed, publicHalf])),
    field(''),
  ]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1));
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    field('none'),
    field('none'),
    field(''),
    uint32(1),
    field(blob),
    field(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString('base64').match(/.{1,70}/g)!;
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A string of the SSH protocol: its length, then its bytes. */
function field(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
}
