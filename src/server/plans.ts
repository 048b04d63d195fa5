import type { Evidence } from '../../activities/types.ts';
import { verdictCounts } from '../checks/acknowledge.ts';
import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { ClusterFacts } from '../plan/facts.ts';
import { preflightWorkflowId } from '../temporal/ids.ts';
import { parseFlowFile } from '../policy/flow-file.ts';
import type { PolicyReport } from '../policy/report.ts';
import type { ServerDependencies } from './context.ts';
import type { RequestOf } from './migrations.ts';
import type { PlanSource } from './planning.ts';
import { viewPlan, type PlanView } from './plan-views.ts';

/**
 * From the text of a plan file to a stored compiled plan. The cluster is read by a worker; compiling is pure.
 * The same plan against the same cluster has the same hash and is kept once.
 */
export async function compileSource(
  { store, control, planner }: ServerDependencies,
  source: PlanSource,
  request: RequestOf,
): Promise<PlanView> {
  const draft = planner.load(source);
  const factsSha256 = await control.observe(draft.observe, request);
  const facts = store.getDocument<ClusterFacts>('facts', factsSha256);
  if (!facts)
    throw new CutoverError(
      'Internal',
      `the facts ${factsSha256.slice(0, 12)} of the cluster are not in the store of this server`,
      {
        remedy: 'let server and workers use one database',
      },
    );
  const { plan, warnings } = draft.compile(facts);
  const hash = store.putDocument('plan', plan as unknown as JsonObject);
  store.append({
    key: `plan.compiled:${request.id}`,
    kind: 'plan.compiled',
    at: new Date().toISOString(),
    actor: request.actor,
    planHash: hash,
    message: `${plan.name} from ${source.file}`,
    evidence: { file: source.file, facts: factsSha256, warnings },
  });
  return viewPlan(store, hash, plan);
}

/** Judges the policies of the cluster of a stored plan, by its flows or by those that were sent along. Changes nothing. */
export async function policyOf(
  { store, control }: ServerDependencies,
  planHash: string,
  { flows, matrix }: { flows?: { text: string; file: string } | undefined; matrix: boolean },
  request: RequestOf,
): Promise<PolicyReport> {
  const declared = flows && { flows: parseFlowFile(flows.text, flows.file), file: flows.file };
  const digest = await control.policy({ planHash, ...(declared && { declared }), matrix }, request);
  const report = store.getDocument<PolicyReport>('policy-report', digest);
  if (!report)
    throw new CutoverError('Internal', `the policy report ${digest.slice(0, 12)} is not in the store of this server`, {
      remedy: 'let server and workers use one database',
    });
  return report;
}

/** Runs the preflight checks of a stored plan and writes down what they said. */
export async function preflightPlan(
  { store, control }: ServerDependencies,
  planHash: string,
  request: RequestOf,
): Promise<Evidence> {
  const evidence = await control.preflight(planHash, request);
  store.append({
    key: `preflight.ended:${request.id}`,
    kind: 'preflight.ended',
    at: evidence.at,
    actor: request.actor,
    planHash,
    outcome: evidence.verdict,
    message: verdictCounts(evidence.checks),
    checks: evidence.checks,
    evidenceDigest: evidence.digest,
  });
  return evidence;
}

export interface PreflightProgress {
  running: boolean;
  /** Checks that have answered. */
  done: number;
  /** Checks in all; 0 until a worker has begun. */
  of: number;
}

/**
 * How far the preflight of that request is: Temporal keeps the last heartbeat of the worker that runs it, so any server can
 * tell, also one that was started in between.
 */
export async function preflightProgressOf(
  { control }: ServerDependencies,
  planHash: string,
  request: string,
): Promise<PreflightProgress> {
  const [activity] = await control.pending(preflightWorkflowId(planHash, request));
  const { done = 0, of = 0 } = (activity?.heartbeat ?? {}) as { done?: number; of?: number };
  return { running: activity !== undefined, done, of };
}
