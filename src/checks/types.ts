import type { Json } from '../json.ts';
import type { KubernetesClient } from '../kubernetes/types.ts';
import type { NodeAccess } from '../node/types.ts';
import type { CompiledPlan, CompiledStage, PlannedNode } from '../plan/types.ts';

export type Verdict = 'pass' | 'warn' | 'block';

/** Lower layers first: a check of a layer means little while one below it blocks. */
export const layers = ['cluster', 'node', 'runtime', 'links', 'pod-network', 'services', 'policy', 'residue'] as const;
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

export interface AbortedMigration {
  id: string;
  /** SHA-256 of the bundles that it installed, by name. */
  bundles: { [name: string]: string };
}

/** What checks may use: the only way from a check to the cluster. */
export interface CheckContext {
  kubernetes: KubernetesClient;
  nodes: NodeAccess;
  plan: CompiledPlan;
  stage: CompiledStage;
  /** The node in question; a check of one node blocks without it. */
  node?: PlannedNode;
  /** Fencing token for node verbs (checks only ever `inspect`). */
  token(): number;
  signal: AbortSignal;
  /** Names of the nodes that the new network has now, by their label or agent. */
  migratedNodes(): readonly string[] | Promise<readonly string[]>;
  /** Images that the bundles of the stage bring to nodes, as written there; absent when nobody read the bundles. */
  images?(): Promise<readonly string[]>;
  /** Migrations of this cluster that were aborted and whose work nobody took back; absent when nobody can know. */
  aborted?(): readonly AbortedMigration[];
  /** How long checks that may need a moment are asked again while they block, in all, ms. Default 10 000. */
  patienceMs?: number;
}
