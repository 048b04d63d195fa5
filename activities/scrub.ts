import type { Json } from '../src/json.ts';

/**
 * Takes secrets out of what leaves an activity: messages, details, evidence, heartbeats. Programs and API servers quote
 * what they were given, so this looks at values, not only at names of fields.
 */
const gone = '[redacted]';

/** What a name of something secret looks like, within any prefix: `client_secret`, `DB_PASSWORD`, `--api-key`. */
const secretName =
  '(?:[a-z0-9]{1,40}[_.-]){0,6}(?:client-key-data|client-certificate-data|certificate-authority-data|' +
  '(?:id|refresh|access|auth|session|bearer|bootstrap)[_-]?token|client[_-]?secret|secret[_-]?access[_-]?key|secret[_-]?key|' +
  'api[_-]?key|access[_-]?key|private[_-]?key|password|passwd|passphrase|pwd|secret|token|auth)';

/** Every pattern is linear: what repeats is bounded or has one way to match (a megabyte of anything takes milliseconds). */
const secrets: [RegExp, string][] = [
  // PEM blocks, also when their line breaks were escaped or cut off at the end; and in base64 ("-----BEGIN").
  [/-----BEGIN [A-Z0-9 ]{1,64}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,64}-----|$)/g, gone],
  [/\bLS0tLS1CRUdJTi[A-Za-z0-9+/=_-]*/g, gone],
  [/\b(Bearer|Basic)\s{1,8}[A-Za-z0-9+/=._~-]{6,}/gi, `$1 ${gone}`],
  // JSON Web Tokens: what ServiceAccount tokens are.
  [/\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?/g, gone],
  // Keys that name their issuer: AWS, GitHub, GitLab, Slack, Google.
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, gone],
  [/\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})/g, gone],
  [/\b(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{30,})/g, gone],
  // Bootstrap tokens of kubeadm.
  [/(?<![a-z0-9.-])[a-z0-9]{6}\.[a-z0-9]{16}(?![a-z0-9.-])/g, gone],
  [/\b((?:set-)?cookie["']?[ \t]{0,4}:[ \t]{0,4})[^\r\n]+/gi, `$1${gone}`],
  // An environment variable of a pod, in JSON and in YAML.
  [
    new RegExp(
      `(\\bname\\\\?["']?:\\s{0,4}\\\\?["']?${secretName}\\\\?["']?,?\\s{1,20}\\\\?["']?value\\\\?["']?:\\s{0,4})(?:\\\\?"[^"\\\\]*\\\\?"|'[^']*'|[^\\s,}]+)`,
      'gi',
    ),
    `$1${gone}`,
  ],
  [
    new RegExp(
      `(\\\\?"name\\\\?":\\s{0,4}\\\\?"${secretName}\\\\?",\\s{0,20}\\\\?"value\\\\?":\\s{0,4})\\\\?"[^"\\\\]*\\\\?"`,
      'gi',
    ),
    `$1"${gone}"`,
  ],
  // A block of YAML below such a name: the lines that are indented deeper than it.
  [
    new RegExp(`^([ \\t]{0,40})(${secretName}:[ \\t]{1,4}[|>][+-]?)[ \\t]*(?:\\n\\1[ \\t]+[^\\n]*)+`, 'gim'),
    `$1$2 ${gone}`,
  ],
  // JSON within JSON: the quotes are escaped.
  [new RegExp(`(\\\\+"${secretName}\\\\+"\\s{0,4}:\\s{0,4})\\\\+"[^"\\\\]*\\\\+"`, 'gi'), `$1${gone}`],
  // A line of YAML: the value may be of several words. A quoted one ends with its quote.
  [new RegExp(`^([ \\t]{0,40}(?:- )?${secretName}:[ \\t]{1,8})(?!["'|>{[\\s])[^\\n,;}]+`, 'gim'), `$1${gone}`],
  // Lines of a kubeconfig or of settings, fields of JSON, parameters of a URL.
  [
    new RegExp(
      `(?<![a-z0-9])(["']?${secretName}["']?[ \\t]{0,4}[:=]\\s{0,4})("(?:[^"\\\\]|\\\\.)*"|'[^']*'|(?![|>])[^\\s,;}&"']+)`,
      'gi',
    ),
    `$1${gone}`,
  ],
  // Options of a command, and BIRD's `password "…"`.
  [new RegExp(`(--${secretName}[ \\t]{1,4})("[^"]*"|'[^']*'|(?!-)[^\\s]+)`, 'gi'), `$1${gone}`],
  [/\b(passw(?:or)?d[ \t]{1,4})("[^"\n]*"|'[^'\n]*')/gi, `$1${gone}`],
  // user:password@host and token@host in a URL.
  [/(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@:]{0,256}:[^\s/@]{1,1024}@/gi, `$1${gone}@`],
  [/(\bhttps?:\/\/)[^\s/@:[\]]{16,1024}@/gi, `$1${gone}@`],
];

/** Names of fields whose text is a secret whatever it looks like. Numbers stay: a fencing token is none. */
const secretKey =
  /^(?:.*(?:password|passwd|passphrase|secret|private[_-]?key|api[_-]?key|access[_-]?key|credential).*|(?:.*[_-])?token|bearer|auth|authorization|(?:set-)?cookie|.*-data|(?:id|access|refresh)token)$/i;

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
  // `{ name: 'DB_PASSWORD', value }`: an environment variable.
  const named = 'name' in value && typeof value.name === 'string' && secretKey.test(value.name);
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined && typeof inner !== 'function');
  return Object.fromEntries(
    entries.map(([key, inner]) => [
      key,
      typeof inner === 'string' && (secretKey.test(key) || (named && key === 'value')) ? gone : scrub(inner),
    ]),
  );
}

/** One sentence of bearable length for histories, records and terminals. */
export function shortMessage(text: string, longest = 600): string {
  const clean = scrubText(text).trim();
  return clean.length <= longest ? clean : `${clean.slice(0, longest - 1)}…`;
}
