import type { JsonObject } from '../../../json.ts';
import type { SimNode } from '../../types.ts';
import { number } from './input.ts';
import { VerbExit, failure, inFolder, ownFolder, replaceFile } from './model.ts';

const tokenFile = `${ownFolder}/token`;
const aheadMs = 600_000;

/** Who owns a node, as `seen_token` of lib.sh reads it. `problem` is `` when the file can be read. */
export interface SeenToken {
  seen: number;
  owner: string;
  since: string;
  problem: string;
}

const line = /^(0|[1-9]\d{0,17})(?: ([a-z0-9-]+) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ))?\n$/;

export const armedMarks = (node: SimNode): string[] =>
  inFolder(node, ownFolder).filter((path) => /^\/var\/lib\/cutover\/[^/]+\/armed$/.test(path));

export function seenToken(node: SimNode): SeenToken {
  const content = node.files.get(tokenFile);
  if (content === undefined) {
    const [owner = '', since = ''] = armedMarks(node).flatMap((mark) => node.files.get(mark)!.trim().split(' '));
    return { seen: 0, owner, since, problem: '' };
  }
  const found = line.exec(content);
  if (found) return { seen: Number(found[1]), owner: found[2] ?? '', since: found[3] ?? '', problem: '' };
  const problem = `${tokenFile} is damaged: which attempt owns this node cannot be told, so nothing is changed. Make sure that no Cutover works on this node, then remove that file`;
  return { seen: -1, owner: '', since: '', problem };
}

/** What a verb that changes something says of itself: `claim` of lib.sh. */
export interface Caller {
  token: number;
  installation: string;
  takesOver: boolean;
  /** Its clock, ms since the epoch; 0 when it does not say. */
  now: number;
}

/** @throws VerbExit BadInput */
export function readCaller(input: JsonObject): Caller {
  const { installation = '', takeOver = false } = input;
  if (typeof installation !== 'string' || !/^[a-z0-9-]{0,64}$/.test(installation)) {
    throw failure(
      'BadInput',
      `"installation" is not a name of 1 to 64 of a-z, 0-9 and -: ${typeof installation === 'string' ? installation : JSON.stringify(installation)}`,
    );
  }
  return {
    token: number(input, 'token'),
    installation,
    takesOver: takeOver === true,
    now: 'now' in input ? number(input, 'now') : 0,
  };
}

const fromFuture = (token: number, now: number, caller: Caller): boolean =>
  Math.floor(token / 1000) - aheadMs > Math.max(now, caller.now);

/** `guard` of lib.sh. @throws VerbExit 75 for an older attempt or another installation, 1 for a token that says nothing */
export function refuse(node: SimNode, caller: Caller, now: number): void {
  const { seen, owner, since, problem } = seenToken(node);
  const { token, installation, takesOver } = caller;
  if (problem !== '') throw failure('TokenDamaged', problem);
  if (owner !== '' && installation !== '' && owner !== installation && !takesOver) {
    throw new VerbExit(75, {
      error: 'AttemptFenced',
      message: `the installation ${owner} of Cutover has owned this node since ${since}; this one is ${installation}`,
      details: { reason: 'other-installation', installation: owner, since, token },
    });
  }
  if (seen <= token) return;
  if (fromFuture(seen, now, caller)) {
    throw failure(
      'TokenFromFuture',
      `the token of this node (${seen}) was made by a clock that was ahead, and would lock the node until then. Make sure that no Cutover works on this node, then remove ${tokenFile}`,
    );
  }
  throw new VerbExit(75, {
    error: 'AttemptFenced',
    message: `a newer attempt (token ${seen}) owns this node; this one has ${token}`,
    details: { seen, token },
  });
}

/** The first half of `claim` of lib.sh: writes the token down. @throws VerbExit */
export function claimToken(node: SimNode, caller: Caller, now: number): void {
  const { token, installation } = caller;
  if (fromFuture(token, now, caller)) {
    throw failure(
      'TokenFromFuture',
      `the token ${token} is more than ${aheadMs / 60_000} minutes ahead of the clock of this node: it would lock the node until then. Set the clock of the machine that runs Temporal`,
    );
  }
  refuse(node, caller, now);
  const { seen, owner, since } = seenToken(node);
  const before = owner === '' ? '' : ` ${owner} ${since}`;
  const after =
    installation !== '' && installation !== owner
      ? ` ${installation} ${new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')}`
      : before;
  if (seen !== token || before !== after) replaceFile(node, tokenFile, `${token}${after}\n`);
}
