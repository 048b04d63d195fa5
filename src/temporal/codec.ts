import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { encode as utf8, decode as text } from '@temporalio/common/lib/encoding.js';
import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import protos from '@temporalio/proto';
import { unreadable } from './unreadable.ts';

/** AES-256-GCM; the first key writes, every one reads. */
export interface PayloadKey {
  id: string;
  /** 32 bytes. */
  secret: Uint8Array;
}

const encoding = 'binary/cutover-aes-256-gcm';
// A CommonJS package: Node finds its names on the default export only.
const { Payload: proto } = protos.temporal.api.common.v1;
const nonceBytes = 12;
const tagBytes = 16;

/**
 * What Temporal is given: encrypted, authenticated, and bound to the workflow that it is for. Whoever reaches Temporal without a
 * key can neither read nor make one, nor move one to another workflow.
 *
 * Decoding never throws, which would stop a workflow at its history for ever: what cannot be read (plain, another key, changed,
 * moved) becomes the marker of unreadable.ts, which interceptors refuse.
 */
export function payloadCodec(keys: readonly PayloadKey[]): PayloadCodec {
  const [newest] = keys;
  if (!newest) throw new Error('a codec needs a key');
  return {
    encode: async (payloads, context) => payloads.map((payload) => encrypt(payload, newest, workflowOf(context))),
    decode: async (payloads, context) =>
      payloads.map((payload) => {
        try {
          return decrypt(payload, keys, workflowOf(context));
        } catch (error) {
          return unreadable(error instanceof Error ? error.message : String(error));
        }
      }),
  };
}

/** `` where the SDK does not tell: then nothing is bound, and nothing is compared. */
const workflowOf = (context: SerializationContext | undefined): string => context?.workflowId ?? '';

/** Authenticated, not encrypted: with which key, and for which workflow. */
const header = (keyId: string, workflow: string): Uint8Array => utf8(JSON.stringify([encoding, keyId, workflow]));

function encrypt(payload: Payload, { id, secret }: PayloadKey, workflow: string): Payload {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', secret, nonce);
  cipher.setAAD(header(id, workflow));
  const sealed = Buffer.concat([cipher.update(proto.encode(payload).finish()), cipher.final()]);
  return {
    metadata: { encoding: utf8(encoding), key: utf8(id), workflow: utf8(workflow) },
    data: Buffer.concat([nonce, cipher.getAuthTag(), sealed]),
  };
}

/** @throws Error in one clause why it cannot be read */
function decrypt({ metadata, data }: Payload, keys: readonly PayloadKey[], workflow: string): Payload {
  const field = (name: string): string => (metadata?.[name] ? text(metadata[name]) : '');
  if (field('encoding') !== encoding) throw new Error('it is not encrypted');
  const key = keys.find(({ id }) => id === field('key'));
  if (!key) throw new Error('it is encrypted with a key that is not known here');
  const meant = field('workflow');
  if (meant !== '' && workflow !== '' && meant !== workflow) throw new Error('it was made for another workflow');
  const bytes = Buffer.from(data ?? new Uint8Array());
  const decipher = createDecipheriv('aes-256-gcm', key.secret, bytes.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(header(key.id, meant));
  decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
  try {
    const plain = Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]);
    return proto.decode(plain);
  } catch {
    throw new Error('it was changed, or made without the key');
  }
}
