import type { Json } from '../src/json.ts';

/**
 * Takes secrets out of what leaves an activity: messages, details, evidence, heartbeats. Programs and API servers quote
 * what they were given, so this looks at values, not only at names of fields.
 */
const gone = '[redacted]';

const secrets: [RegExp, string][] = [
  // PEM blocks, also when their line breaks were escaped or cut off at the end.
  [/-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|$)/g, gone],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{6,}/gi, `$1 ${gone}`],
  // JSON Web Tokens: what ServiceAccount tokens are.
  [/\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?/g, gone],
  // Lines of a kubeconfig, as YAML or JSON.
  [
    /(["']?(?:client-key-data|client-certificate-data|certificate-authority-data|id-token|refresh-token|access-token|client-secret|password|passphrase|token)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;}]+)/gi,
    `$1${gone}`,
  ],
  // user:password@host in a URL.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@:]+:[^\s/@]+@/gi, `$1${gone}@`],
];

/** Names of fields whose text is a secret whatever it looks like. Numbers stay: a fencing token is none. */
const secretKey =
  /^(?:.*(?:password|passphrase|secret|private-?key).*|token|bearer|authorization|.*-data|id-?token|access-?token|refresh-?token)$/i;

/** Also makes the text well-formed, so that it can be hashed as canonical JSON. */
export function scrubText(text: string): string {
  return secrets.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text.toWellFormed());
}

/** Plain JSON with every secret replaced; what JSON cannot say (functions, undefined) is left out. */
export function scrub(value: unknown): Json {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return scrubText(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map(scrub);
  if (typeof value !== 'object') return null;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined && typeof inner !== 'function');
  return Object.fromEntries(
    entries.map(([key, inner]) => [key, typeof inner === 'string' && secretKey.test(key) ? gone : scrub(inner)]),
  );
}

/** One sentence of bearable length for histories, records and terminals. */
export function shortMessage(text: string, longest = 600): string {
  const clean = scrubText(text).trim();
  return clean.length <= longest ? clean : `${clean.slice(0, longest - 1)}…`;
}
