import type { Json } from '../json.ts';
import type { KubernetesClient, KubernetesObject } from '../kubernetes/types.ts';
import type { NodeAccess } from '../node/types.ts';
import type { CompiledPlan, CompiledStage, PlannedNode } from '../plan/types.ts';
import type { StageCaptures } from '../store/captures.ts';
import type { Motion } from '../probe/continuity.ts';
import type { StreamReport } from '../probe/stream-report.ts';

export type Verdict = 'pass' | 'warn' | 'block';

/** Lower layers first: a check of a layer means little while one below it blocks. */
export const layers = [
  'cluster',
  'node',
  'runtime',
  'links',
  'bgp',
  'pod-network',
  'services',
  'policy',
  'residue',
] as const;
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
  /** Why the plan accepts it; only on a warning that it acknowledges. */
  acknowledged?: string;
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

/** What the record says of the migration so far, as far as checks need it. */
export interface Story {
  /** When nodes were on their way. */
  motions: readonly Motion[];
  /** What probes had seen before their nodes lost them. */
  kept: readonly StreamReport[];
  /** From when on bystanders are counted: the last gate that let the migration pass, or its start. Seconds since the epoch. */
  since: number;
  /** ISO, when the migration began. */
  startedAt: string;
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
  /** Objects that the bundles of the stage bring; absent when nobody read the bundles. */
  manifests?(): Promise<readonly KubernetesObject[]>;
  /** Migrations of this cluster that were aborted and whose work nobody took back; absent when nobody can know. */
  aborted?(): readonly AbortedMigration[];
  /** Hears how many checks of a run have answered. */
  onProgress?(done: number, of: number): void;
  /** What was measured in this stage so far; absent when nobody can know. */
  captures?(): StageCaptures;
  /** Id of the migration, where there is one. */
  migration?: string;
  /** Absent where no migration is under way, as in preflight. */
  story?(): Story;
  /** What `conntrackDrops` of the node was when it was last snapshotted; undefined when nobody read it. */
  conntrackDropsBefore?(node: string): number | undefined;
  /** How long checks that may need a moment are asked again while they block, in all, ms. Default 10 000. */
  patienceMs?: number;
  /** An outage of the API server, the store or a node is thrown, instead of being a verdict on what was asked. */
  throwsOutages?: boolean;
}
