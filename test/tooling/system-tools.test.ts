import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { mayInstall, missingPackages, skippedByGroup } from '../../scripts/system-tools.mjs';

function folderWith(...programs: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'cutover-tools-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const program of programs) writeFileSync(join(folder, program), '');
  return folder;
}

it('names each package once whose program is not there, wherever on the path the others are', () => {
  const found = folderWith('ip', 'nft', 'ipset', 'curl', 'iptables-nft');
  const more = folderWith('conntrack', 'shellcheck', 'ssh');

  expect(missingPackages(`${found}:${more}`)).toEqual(['iptables', 'busybox']);
  expect(missingPackages(`${found}:${more}:${folderWith('iptables-legacy', 'busybox')}`)).toEqual([]);
});

it('installs nothing on a system without apt', () => {
  expect(mayInstall(folderWith('dnf'))).toBe(false);
  expect(mayInstall(folderWith('apt-get'))).toBe(process.getuid?.() === 0);
});

it('counts what was skipped by file and group, which says why', () => {
  const real = { file: 'test/verbs/verbs.test.ts', group: 'verbs on real programs (dash), skipped: not root' };

  expect(skippedByGroup([real, { file: 'test/a.test.ts', group: '' }, real])).toEqual([
    'test/verbs/verbs.test.ts: verbs on real programs (dash), skipped: not root: 2 cases',
    'test/a.test.ts: 1 case',
  ]);
});
