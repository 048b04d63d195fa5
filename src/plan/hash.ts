import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';

/**
 * The canonical JSON of a value (RFC 8785): keys sorted by UTF-16 code unit, no white space, `undefined` left out.
 * The same value gives the same bytes on every machine.
 *
 * @throws Error for NaN, Infinity, a cycle or a lone surrogate: these have no JSON
 */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new Error('a value without JSON cannot be hashed');
  return text;
}

/** SHA-256 as 64 hex digits, without a prefix. */
export const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** SHA-256 hex of the canonical JSON of a value: what names compiled plans, documents, evidence and records. */
export const hashOf = (value: unknown): string => sha256(canonicalJson(value));

/** For people: `sha256:4f1c2a…`, whole unless `digits` says how many. */
export const displayHash = (hex: string, digits = 64): string => `sha256:${hex.slice(0, digits)}`;

/** What a person wrote, `sha256:4F1C…` or bare, as bare lower-case hex. */
export const bareHash = (written: string): string => written.replace(/^sha256:/, '').toLowerCase();
