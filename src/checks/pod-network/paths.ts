import type { CurlAnswer } from '../../probe/curl.ts';
import type { ProbePod } from '../../probe/pods.ts';
import type { Asker, Cni, Parties, Party } from '../asker.ts';

/** One question from a probe pod, with the answer that would be right. */
export type Path = {
  from: string;
  to: string;
  /** `flannel -> calico`, by the network of the two nodes. */
  direction: string;
  ok: boolean;
  /** Why not; `` when it is. */
  error: string;
  ms: number;
};

/** The node and each partner, both ways. */
export const ownPairs = ({ own, partners }: Parties): [Party, Party][] =>
  partners.flatMap((partner): [Party, Party][] => [
    [own, partner],
    [partner, own],
  ]);

/** The two partners with each other as well: did this node's change break somebody else? */
export const pairs = (parties: Parties): [Party, Party][] => {
  const [one, other] = parties.partners;
  if (one === undefined || other === undefined) return ownPairs(parties);
  return [...ownPairs(parties), [one, other], [other, one]];
};

export const direction = (from: Cni, to: Cni): string => `${from} -> ${to}`;

export const podUrl = ({ ports }: Asker, to: ProbePod, path = '/hostname'): string =>
  `http://${to.ip}:${ports.http}${path}`;

/** Asks for the name of whoever answers, and says what is wrong when it is not `expected`. */
export async function askName(
  context: Asker,
  from: ProbePod,
  url: string,
  expected: string,
): Promise<{ ok: boolean; error: string; ms: number }> {
  return named(await context.curl(from, url), expected);
}

export function named(answer: CurlAnswer, expected: string): { ok: boolean; error: string; ms: number } {
  if (!answer.ok) return { ok: false, error: answer.error, ms: answer.ms };
  if (answer.body !== expected)
    return { ok: false, error: `${answer.body || 'nobody'} answered instead of ${expected}`, ms: answer.ms };
  return { ok: true, error: '', ms: answer.ms };
}

/** `worker-1 -> worker-2 (calico -> flannel): no answer in time`. */
export const failureText = ({ from, to, direction: way, error }: Path): string => `${from} -> ${to} (${way}): ${error}`;
