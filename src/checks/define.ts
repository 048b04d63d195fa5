import type { Json } from '../json.ts';
import type { PlannedNode } from '../plan/types.ts';
import type { Asker } from './asker.ts';
import type { Judgement, Layer } from './types.ts';

interface Common<Facts extends Json> {
  /** Kebab-case, unique: `pod-to-pod`. Routes, plans and records name a check by it. */
  id: string;
  layer: Layer;
  /** What holds when it passes: `Full-size packets arrive`. */
  title: string;
  /** Ask again for a while when it blocks: what it looks at settles by itself (§0a.13 of the migration facts). */
  patient?: boolean;
  /** Longest time of one asking, in seconds. Default 30 for one node, 300 for the cluster. */
  deadlineSeconds?: number;
  /** Pure. The facts travel as the evidence, numbers as numbers. */
  judge(facts: Facts): Judgement;
}

export interface NodeCheckSpec<Facts extends Json> extends Common<Facts> {
  scope: 'node';
  ask(context: Asker, node: PlannedNode): Promise<Facts>;
}

export interface ClusterCheckSpec<Facts extends Json> extends Common<Facts> {
  scope: 'cluster';
  ask(context: Asker): Promise<Facts>;
}

/** A check in the table, whatever its facts are. */
export type Check = NodeCheckSpec<Json> | ClusterCheckSpec<Json>;

/** Checks nothing at run time; it is where a new check begins. Asking needs the cluster, judging does not. */
export function defineCheck<Facts extends Json>(spec: NodeCheckSpec<Facts>): NodeCheckSpec<Facts>;
export function defineCheck<Facts extends Json>(spec: ClusterCheckSpec<Facts>): ClusterCheckSpec<Facts>;
export function defineCheck(spec: unknown): unknown {
  return spec;
}

export const pass = (message: string): Judgement => ({ verdict: 'pass', message });

export const warn = (message: string, options: { remedy: string }): Judgement => ({
  verdict: 'warn',
  message,
  remedy: options.remedy,
});

export const block = (message: string, options: { remedy: string }): Judgement => ({
  verdict: 'block',
  message,
  remedy: options.remedy,
});

/** `a, b, c and 4 more`: a sentence stays a sentence on a cluster of 5,000 nodes. */
export function some(items: readonly string[], most = 3): string {
  if (items.length <= most) return items.join(', ');
  return `${items.slice(0, most).join(', ')} and ${items.length - most} more`;
}

/** `1 node`, `3 nodes`. */
export const count = (number: number, one: string, many = `${one}s`): string =>
  `${number} ${number === 1 ? one : many}`;
