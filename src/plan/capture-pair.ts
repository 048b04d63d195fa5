import type { PlannedNode } from './types.ts';

/**
 * The pair that is measured before and after, in the plan so that it stays the same: two workers of different zones where there
 * are, none of them on the new network already. Fewer than two names when the plan has fewer nodes.
 */
export function capturePair(nodes: readonly PlannedNode[]): string[] {
  const rank = ({ adopted, controlPlane }: PlannedNode): number => (adopted ? 2 : 0) + (controlPlane ? 1 : 0);
  const [first, ...others] = nodes.toSorted((a, b) => rank(a) - rank(b));
  if (first === undefined) return [];
  const alike = others.filter((node) => rank(node) === rank(first));
  const second = alike.find(({ zone }) => zone !== first.zone) ?? others[0];
  return [first, ...(second ? [second] : [])].map(({ name }) => name);
}
