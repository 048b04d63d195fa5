// The programs of the system that tests of the real node programs run, and the Debian packages that have them.
import { existsSync } from 'node:fs';

/** @type {Readonly<Record<string, string>>} */
const packageOf = {
  ip: 'iproute2',
  'iptables-nft': 'iptables',
  'iptables-legacy': 'iptables',
  nft: 'nftables',
  ipset: 'ipset',
  conntrack: 'conntrack',
  busybox: 'busybox',
  shellcheck: 'shellcheck',
  curl: 'curl',
  ssh: 'openssh-client',
};

/** Where those tests look, too: a PATH without sbin would hide iptables. */
const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Packages whose programs are not there. @param {string} [path] folders to look in */
export function missingPackages(path = systemPath) {
  const has = (/** @type {string} */ tool) => path.split(':').some((folder) => existsSync(`${folder}/${tool}`));
  return [...new Set(Object.keys(packageOf).flatMap((tool) => (has(tool) ? [] : [packageOf[tool] ?? ''])))];
}

/** Whether this user can install them: root on a system with apt. */
export const mayInstall = (path = systemPath) =>
  process.getuid?.() === 0 && path.split(':').some((folder) => existsSync(`${folder}/apt-get`));

/**
 * What was skipped, by file and outermost group, for the last lines of the tests.
 * @param {{ file: string, group: string }[]} skipped
 */
export function skippedByGroup(skipped) {
  /** @type {Map<string, number>} */
  const cases = new Map();
  for (const { file, group } of skipped) {
    const key = group === '' ? file : `${file}: ${group}`;
    cases.set(key, (cases.get(key) ?? 0) + 1);
  }
  return [...cases].map(([key, count]) => `${key}: ${count} ${count === 1 ? 'case' : 'cases'}`);
}
