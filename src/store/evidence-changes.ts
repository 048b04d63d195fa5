import type { CheckResult } from '../checks/types.ts';
import type { GateView } from './views.ts';

type Seen = GateView['evidence'];

/** Messages of these say what was counted: a greater number is no news as long as the verdict is the same. */
const keyOf = ({ id, node = '' }: CheckResult): string => `${id} ${node}`;

/** What `after` says and `before` did not, one sentence each. Pure. */
export function evidenceChanges(before: Seen, after: Seen): string[] {
  const old = new Map(before.checks.map((check) => [keyOf(check), check]));
  const now = new Set(after.checks.map(keyOf));
  const changes: string[] = [];
  for (const check of after.checks) {
    const was = old.get(keyOf(check));
    const name = `${check.id}${check.node ? ` on ${check.node}` : ''}`;
    if (was === undefined) changes.push(`${name} was not asked before: ${check.verdict}: ${check.message}`);
    else if (was.verdict !== check.verdict)
      changes.push(`${name} was ${was.verdict}, is ${check.verdict}: ${check.message}`);
    else if (was.message !== check.message) changes.push(`${name} says now: ${check.message}`);
  }
  for (const check of before.checks)
    if (!now.has(keyOf(check))) changes.push(`${keyOf(check).trim()} is not asked any more; it was ${check.verdict}`);
  const [from, to] = [before.bundle, after.bundle];
  if (from && to) {
    const known = new Set(from.nodes.migrated);
    const joined = to.nodes.migrated.filter((node) => !known.has(node));
    const left = from.nodes.migrated.filter((node) => !to.nodes.migrated.includes(node));
    if (joined.length > 0) changes.push(`on the new network since then: ${joined.join(', ')}`);
    if (left.length > 0) changes.push(`back on the old network since then: ${left.join(', ')}`);
    if (from.exposure.policies !== to.exposure.policies)
      changes.push(`there were ${from.exposure.policies} NetworkPolicies, there are ${to.exposure.policies}`);
  }
  return changes;
}
