import type { Json } from '../json.ts';

export type Verdict = 'pass' | 'warn' | 'block';

/** Lower layers first: a check of a layer means little while one below it blocks. */
export const layers = ['cluster', 'node', 'runtime', 'links', 'pod-network', 'services', 'residue'] as const;
export type Layer = (typeof layers)[number];

/** What a check says: a verdict, what was measured, one sentence, and the remedy when it is not a pass. */
export interface CheckResult {
  id: string;
  layer: Layer;
  title: string;
  verdict: Verdict;
  /** One sentence with the numbers in it. */
  message: string;
  /** What to do; absent on a pass. */
  remedy?: string;
  /** The node it is about, when it is about one. */
  node?: string;
  evidence: Json;
}

/** The part of a result that judging decides. */
export type Judgement = Pick<CheckResult, 'verdict' | 'message'> & { remedy?: string };
