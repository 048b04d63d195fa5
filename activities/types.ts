import type { Logger } from 'pino';
import type { Bundle } from '../src/checks/gate-bundle.ts';
import type { CheckResult } from '../src/checks/types.ts';
import type { Json, JsonObject } from '../src/json.ts';
import type { KubernetesClient } from '../src/kubernetes/types.ts';
import type { NodeAccess, VerbInput as NodeVerbInput, VerbName, VerbOutput } from '../src/node/types.ts';
import type { CompiledPlan, CompiledStage, GateSpec, PlannedNode, Step, StepPlace } from '../src/plan/types.ts';
import type { DeclaredFlow } from '../src/policy/types.ts';
import type { RecordInput, Store, Wait } from '../src/store/types.ts';

/** What the workflow hands to a verb. Small: everything else is read from the compiled plan by its hash. */
export interface VerbInput {
  place: StepPlace;
  step: {
    id: string;
    title: string;
    direction: 'forward' | 'back';
    /** How long the step may take, outages not counted; absent in histories of older workflows. */
    timeoutSeconds?: number;
  };
  /** Which try of the node this is; 1 is the first. */
  nodeAttempt: number;
  with: JsonObject;
  /** Checks that run after the verb, in this activity. */
  verify: string[];
}

export interface VerbResult {
  /** False when the verb found everything done already. */
  changed: boolean;
  /** One sentence: `7 pods moved, 2 evictions were refused at first`. */
  summary: string;
  checks: CheckResult[];
  evidence?: Json;
}

/** A verb as its family implements it: no records, no fencing, no verification; the wrapper adds those. */
export type Verb = (context: VerbContext, input: JsonObject) => Promise<Omit<VerbResult, 'checks'>>;

/** What a verb may use. Built by the wrapper for one attempt; the only way from a verb to the outside. */
export interface VerbContext {
  place: StepPlace;
  plan: CompiledPlan;
  stage: CompiledStage;
  kubernetes: KubernetesClient;
  nodes: NodeAccess;
  store: Store;
  /** Which try of the node this is; 1 is the first. */
  nodeAttempt: number;
  direction: 'forward' | 'back';
  /** The node of `place`; throws Internal when the step is a cluster step. */
  node(): PlannedNode;
  /** Runs a node verb with the fencing token of this attempt. */
  onNode<V extends VerbName>(
    verb: V,
    input: NodeVerbInput<V>,
    options?: { node?: string; timeoutMs?: number },
  ): Promise<VerbOutput<V>>;
  /** Asks checks, of one node when it is given. The results count for nothing by themselves. */
  check(ids: readonly string[], node?: PlannedNode): Promise<CheckResult[]>;
  /** Tells Temporal and the log that it moves; also where cancellation arrives. */
  progress(message: string, details?: JsonObject): void;
  signal: AbortSignal;
  /** Until when this attempt may work, ms since the epoch; later once an outage is over. */
  readonly deadline: number;
  sleep(ms: number): Promise<void>;
  /** Counts the time of `work` as waiting for that, in the record of the step. */
  waiting<T>(what: Wait, work: () => Promise<T>): Promise<T>;
  log: Logger;
}

/** Activities that are no verbs. */
export interface SupportActivities {
  /** Appends a record of something that no activity does: a gate that opened, a pause that took effect. */
  record(input: RecordInput): Promise<void>;
  /** What a wave needs, from the stored plan: the steps and its nodes. */
  loadWave(input: { planHash: string; stage: string; wave: string }): Promise<LoadedWave>;
  /** The outline of the plan that migrate-cluster walks: no node lists, no node steps. */
  loadOutline(input: { planHash: string }): Promise<PlanOutline>;
  /**
   * Waits until no node of the wave is in flight any more, by the record, since the wave itself was ended outside of Cutover.
   * @returns the nodes that are not on the new network
   */
  awaitNodes(input: AwaitNodesInput): Promise<string[]>;
  /** Runs checks as evidence of a gate or of a soak; never throws for a verdict. */
  gatherEvidence(input: { place: StepPlace; checks: string[]; nodes: string[] }): Promise<Evidence>;
  /** Reads the cluster for the compiler; the facts go to the store, the digest comes back. */
  observeCluster(input: ObserveInput): Promise<{ factsSha256: string }>;
  /** Judges the policies of the cluster; the report goes to the store, the digest comes back. */
  policyReport(input: PolicyReportInput): Promise<{ reportSha256: string }>;
  /** Runs the preflight checks of a compiled plan. */
  preflight(input: { planHash: string }): Promise<Evidence>;
  /** Takes the lease of the plan's cluster for a migration that is about to start. */
  takeLease(input: TakeLeaseInput): Promise<TakenLease>;
  /** Gives it back for a migration that did not start after all. */
  giveBackLease(input: { planHash: string; migration: string }): Promise<void>;
}

export interface TakeLeaseInput {
  planHash: string;
  migration: string;
  person: string;
  /** From an installation that is seen not to renew it; that takes a minute. */
  takeOver: boolean;
}

export interface TakenLease {
  /** Who it was taken over from. */
  from?: { installation: string; migration: string; person: string; since: string; renewedAt: string };
}

export interface AwaitNodesInput {
  migration: string;
  planHash: string;
  stage: string;
  wave: string;
  /** Only these nodes of the wave, or all but these. */
  only?: string[];
  except?: string[];
}

export interface PolicyReportInput {
  planHash: string;
  /** Instead of the flows of the plan. */
  declared?: { flows: DeclaredFlow[]; file: string };
  /** With the verdict of every workload to every other. */
  matrix?: boolean;
}

export interface ObserveInput {
  kubeconfig: string;
  context: string;
  ssh: CompiledPlan['access']['ssh'];
  bundles: { [name: string]: { path: string } };
  /** The file of flows that the plan names: where it is, and as the plan names it. */
  flows?: { path: string; file: string };
}

export interface Evidence {
  checks: CheckResult[];
  /** SHA-256 over the canonical JSON of `checks`; with a bundle, of `{ checks, bundle }`. */
  digest: string;
  /** The worst of them; an acknowledged warning counts as passed. */
  verdict: 'pass' | 'warn' | 'block';
  at: string;
  /** What else an approver has to know at a gate. */
  bundle?: Bundle;
}

export interface LoadedWave {
  nodes: { name: string; zone: string }[];
  steps: Step[];
  verifyRollback: string[];
  strategy: CompiledPlan['strategy'];
}

export interface PlanOutline {
  name: string;
  strategy: CompiledPlan['strategy'];
  stages: {
    id: string;
    route: string;
    /** Absent in outlines that older workers read. */
    from?: string;
    to?: string;
    prepare: Step[];
    finalize: Step[];
    /** `adopted`: its nodes are on the new network already; it only ever goes back. */
    waves: { id: string; nodes: number; gate?: GateSpec; adopted?: true }[];
    finalizeGate?: GateSpec;
  }[];
}
