import { expect } from 'vitest';
import type { JsonObject } from '../../../src/json.ts';
import { confDir, fenced, flannelConf, flannelFiles, token } from '../fixtures.ts';
import type { VerbCase } from './case.ts';

const tokenFile = '/var/lib/cutover/token';
const since = '2026-11-30T08:00:00Z';
/** Of the year 2255. */
const far = 8_999_999_999_999_001;

const start = (name: string, content: string, input: JsonObject = {}) => ({
  verb: 'start-kubelet' as const,
  name,
  given: { files: { ...fenced, [tokenFile]: content }, kubelet: 'inactive' as const },
  input: { token, ...input },
});
const damaged = (what: string, content: string): VerbCase => ({
  ...start(`touches nothing when the token file ${what}`, content),
  exitCode: 1,
  answer: { error: 'TokenDamaged' },
  after: { state: { kubeletActive: false, token: -1 }, files: { [tokenFile]: content } },
});

const oddNames = ['-rf.conf', '05 my net.conf', '06 "q\'.conf', '07*.conf', '08\\n$(id).conf', '09\n9.conf'];
const odd = Object.fromEntries(oddNames.map((name) => [`${confDir}/${name}`, '{"name":"odd","type":"x"}']));

/** Who may work on a node, and which names its files may have. */
export const owningCases: readonly VerbCase[] = [
  damaged('is empty', ''),
  damaged('is no number', 'garbage\n'),
  damaged('ends in the middle of a number', '10'),
  damaged('ends in the middle of the owner', '1000 home\n'),
  damaged('has a number that no shell can compare', '99999999999999999999\n'),
  damaged('has more than one line', '900\n901\n'),
  {
    ...start('says that a token of the far future locks the node, and the way on', `${far}\n`),
    exitCode: 1,
    answer: { error: 'TokenFromFuture' },
    after: { state: { kubeletActive: false } },
  },
  {
    verb: 'start-kubelet',
    name: 'takes no token of the far future from its caller',
    given: { files: fenced, kubelet: 'inactive' },
    input: { token: far, now: 1_764_000_000_000 },
    exitCode: 1,
    answer: { error: 'TokenFromFuture' },
    after: { state: { kubeletActive: false, token: 0 }, files: { [tokenFile]: null } },
  },
  {
    verb: 'start-kubelet',
    name: 'takes a token that is ahead of the clock of the node alone',
    given: { files: fenced, kubelet: 'inactive' },
    input: { token: far, now: Math.floor(far / 1000) },
    answer: { changed: true },
    after: { state: { kubeletActive: true, token: far } },
  },
  {
    verb: 'start-kubelet',
    name: 'takes no token that a shell cannot compare',
    given: { files: fenced, kubelet: 'inactive' },
    input: { token: '9999999999999999999' },
    exitCode: 1,
    answer: { error: 'BadInput' },
    after: { state: { kubeletActive: false } },
  },
  {
    ...start('is refused to another installation, and says which owns the node since when', `900 other-1 ${since}\n`, {
      installation: 'home-1',
    }),
    exitCode: 75,
    answer: {
      error: 'AttemptFenced',
      message: `the installation other-1 of Cutover has owned this node since ${since}; this one is home-1`,
      details: { reason: 'other-installation', installation: 'other-1', since, token },
    },
    after: { state: { kubeletActive: false, installation: 'other-1', token: 900 } },
  },
  {
    ...start('takes the node over when it is told to', `900 other-1 ${since}\n`, {
      installation: 'home-1',
      takeOver: true,
    }),
    answer: { changed: true },
    after: { state: { kubeletActive: true, installation: 'home-1', token } },
  },
  {
    ...start('keeps since when an installation owns the node', `900 home-1 ${since}\n`, { installation: 'home-1' }),
    answer: { changed: true },
    after: { files: { [tokenFile]: `${token} home-1 ${since}\n` } },
  },
  {
    ...start('keeps the owner when the caller names no installation', `900 other-1 ${since}\n`),
    answer: { changed: true },
    after: { files: { [tokenFile]: `${token} other-1 ${since}\n` } },
  },
  {
    verb: 'start-kubelet',
    name: 'takes no odd name of an installation',
    given: { files: fenced, kubelet: 'inactive' },
    input: { token, installation: 'a b' },
    exitCode: 1,
    answer: { error: 'BadInput' },
    after: { state: { kubeletActive: false, token: 0 } },
  },
  {
    verb: 'disarm-revert',
    name: 'leaves the switch of another installation armed, even when the token is gone',
    given: { files: { ...fenced, '/var/lib/cutover/move-9/armed': `other-1 ${since}\n` } },
    input: { migration: 'move-1', token, installation: 'home-1' },
    exitCode: 75,
    answer: { details: { installation: 'other-1' } },
    after: { files: { '/var/lib/cutover/move-9/armed': true } },
  },
  {
    verb: 'inspect',
    name: 'reads confs of any name, each as one',
    given: { files: { ...flannelFiles, ...odd } },
    input: {},
    answer: {
      confs: [...oddNames, '10-flannel.conflist'].map((name) =>
        expect.objectContaining({ name, network: name.startsWith('10') ? 'cbr0' : 'odd' }),
      ) as unknown as JsonObject[],
    },
  },
  {
    verb: 'fence',
    name: 'names a conf with a line break that comes first',
    given: { files: { ...flannelFiles, [`${confDir}/05 a\nb.conf`]: '{"name":"odd","type":"x"}' } },
    input: { confName: '10-calico.conflist', waitSeconds: 1, token },
    exitCode: 1,
    answer: {
      error: 'FenceNotFirst',
      message: `the fence 10-calico.conflist does not come first in ${confDir}: 05 a b.conf does`,
    },
  },
  {
    verb: 'snapshot',
    name: 'keeps files of any name',
    given: {
      files: {
        ...flannelFiles,
        [`${confDir}/05 my net.conf.off`]: 'a',
        [`${confDir}/ notes `]: 'b',
        [`${confDir}/-rf *.off`]: 'c',
      },
    },
    input: { migration: 'move-1', token },
    answer: { existed: false },
    after: {
      files: {
        '/var/lib/cutover/move-1/snapshot/net.d/05 my net.conf.off': 'a',
        '/var/lib/cutover/move-1/snapshot/net.d/ notes ': 'b',
        '/var/lib/cutover/move-1/snapshot/net.d/-rf *.off': 'c',
        '/var/lib/cutover/move-1/snapshot/net.d/10-flannel.conflist': flannelConf,
      },
    },
  },
];
