import { createHash } from 'node:crypto';

/** Names and addresses that programs derive from other names: the same input gives the same one in every run. */
const hex = (text: string) => createHash('sha256').update(text).digest('hex');

/** A locally administered unicast MAC. */
export const macOf = (text: string) => ['0a', ...hex(text).slice(0, 10).match(/../g)!].join(':');

/** 64 hex digits, as container runtimes name sandboxes. */
export const sandboxId = (text: string) => hex(text);

/** Upper-case base32, as portmap and Felix name their chains. */
export function chainHash(text: string, length: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return [...createHash('sha256').update(text).digest()]
    .map((byte) => alphabet[byte % 32])
    .join('')
    .slice(0, length);
}

/** Felix and the CNI plugins name a pod's host interface after the pod: prefix and hex digits, 15 characters at most. */
export const vethName = (prefix: string, text: string) => prefix + hex(text).slice(0, 15 - prefix.length);

/** Felix marks its rules with a comment of this shape. */
export const ruleHash = (text: string) => createHash('sha256').update(text).digest('base64url').slice(0, 16);
