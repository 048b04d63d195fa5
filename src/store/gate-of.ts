import type { RecordInput } from './types.ts';

/** The gate that a record is about: `gate.*` records carry its id in their evidence, as `{ gate, … }`. */
export function gateOf({ kind, evidence }: Pick<RecordInput, 'kind' | 'evidence'>): string | undefined {
  if (!kind.startsWith('gate.') && kind !== 'attempt.refused') return undefined;
  if (evidence === null || typeof evidence !== 'object' || Array.isArray(evidence)) return undefined;
  return typeof evidence['gate'] === 'string' ? evidence['gate'] : undefined;
}
