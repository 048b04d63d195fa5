import type { Acknowledgement } from '../plan/types.ts';
import type { CheckResult, Verdict } from './types.ts';

/**
 * Writes the plan's reasons into the warnings that it acknowledges. A block stays as it is: nothing acknowledges one, but
 * the check itself may judge by the parts of it that the plan names (`check/part`).
 */
export function acknowledge(
  results: readonly CheckResult[],
  acknowledged: readonly Acknowledgement[] = [],
): CheckResult[] {
  const reasons = new Map(acknowledged.map(({ id, reason }) => [id, reason]));
  return results.map((result) => {
    const reason = reasons.get(result.id);
    return result.verdict === 'warn' && reason !== undefined ? { ...result, acknowledged: reason } : result;
  });
}

/** What a result counts as: an acknowledged warning passes. */
export const effectiveVerdict = ({ verdict, acknowledged }: Pick<CheckResult, 'verdict' | 'acknowledged'>): Verdict =>
  verdict === 'warn' && acknowledged !== undefined ? 'pass' : verdict;

/** The worst of them; pass when there is none. */
export function worstVerdict(results: readonly Pick<CheckResult, 'verdict' | 'acknowledged'>[]): Verdict {
  const verdicts = new Set(results.map(effectiveVerdict));
  return verdicts.has('block') ? 'block' : verdicts.has('warn') ? 'warn' : 'pass';
}

/** `14 pass, 2 acknowledged, 1 warn, 0 block`; the acknowledged are left out when there are none. */
export function verdictCounts(results: readonly Pick<CheckResult, 'verdict' | 'acknowledged'>[]): string {
  const count = (verdict: Verdict): number =>
    results.filter((result) => result.acknowledged === undefined && result.verdict === verdict).length;
  const acknowledged = results.filter((result) => result.acknowledged !== undefined).length;
  return [
    `${count('pass')} pass`,
    ...(acknowledged > 0 ? [`${acknowledged} acknowledged`] : []),
    `${count('warn')} warn`,
    `${count('block')} block`,
  ].join(', ');
}
