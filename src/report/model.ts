import type { CompiledPlan } from '../plan/types.ts';
import { judgeCaptures } from '../probe/capture/judge.ts';
import { projectGates } from '../store/gate-views.ts';
import { projectMigration } from '../store/projections.ts';
import type { AuditRecord, VerifyReport } from '../store/types.ts';
import type { MigrationView, StageView, StepView } from '../store/views.ts';
import { captureReports } from './captures.ts';
import { estimateCost } from './cost.ts';
import { bystandersOf, countChecks, findingOf } from './evidence.ts';
import type { Acknowledged } from './evidence.ts';
import { actsOf } from './people.ts';
import { summaryOf } from './summary.ts';
import type { CaptureReport, Report, ReportNode, ReportStage } from './types.ts';

export interface ReportSources {
  plan: CompiledPlan;
  /** Of this migration, in order. */
  records: readonly AuditRecord[];
  /** The preflight that it was launched on, when the record has it. */
  preflight: AuditRecord | undefined;
  /** Images that the plan's bundles bring. */
  images: readonly string[];
  titleOf(route: string): string;
  verified: VerifyReport;
  /** Ms since the epoch. */
  now: number;
}

/** Everything that a change board asks, computed from the record. Pure. */
export function makeReport(sources: ReportSources): Report {
  const { plan, records, preflight, verified, now } = sources;
  const view = projectMigration(records, plan, now);
  const acknowledged: Acknowledged = new Map((plan.acknowledge ?? []).map(({ id, reason }) => [id, reason]));
  const evidence = [...(preflight ? [preflight] : []), ...records];
  const captures = captureReports(plan, records, sources.titleOf);
  const nodes = nodesOf(view, plan);
  const retries = records.filter(
    ({ kind, attempt = 1 }) => kind === 'retry.requested' || (kind === 'step.began' && attempt > 1),
  ).length;
  const report: Omit<Report, 'summary'> = {
    at: new Date(now).toISOString(),
    migration: {
      id: view.id,
      plan: view.plan,
      cluster: { uid: view.cluster.uid, server: withoutUser(view.cluster.server) },
      state: view.state,
      requester: view.requester,
      reason: view.reason,
      startedAt: view.startedAt,
      endedAt: view.endedAt,
      elapsed: view.elapsed,
      message: view.message,
    },
    versions: versionsOf(plan, sources.images),
    stages: view.stages.map((stage, index): ReportStage => {
      const { route } = plan.stages[index]!;
      return {
        id: stage.id,
        route,
        title: sources.titleOf(route),
        from: stage.from,
        to: stage.to,
        parts: partsOf(stage),
      };
    }),
    acts: actsOf(records),
    gates: projectGates(records, plan)
      .toSorted((a, b) => a.openedAt.localeCompare(b.openedAt))
      .map(({ id, stage, wave, state, openedAt, closedAt, evidence: { verdict, digest, checks }, decisions }) => ({
        id,
        stage,
        wave,
        state,
        openedAt,
        closedAt,
        verdict,
        digest,
        decisions,
        findings: checks.filter((check) => check.verdict !== 'pass').map((check) => findingOf(check, acknowledged)),
      })),
    checks: countChecks(evidence, acknowledged),
    nodes,
    trouble: {
      failures: view.failures,
      failureBudget: view.failureBudget,
      rollbacks: nodes.reduce((sum, { rollbacks }) => sum + rollbacks, 0),
      retries,
      skipped: nodes.filter(({ state }) => state === 'skipped').map(({ name }) => name),
    },
    bystanders: bystandersOf(records),
    captures,
    cost: costOf(plan, captures),
    record: { ...verified, ofMigration: records.length },
  };
  return { ...report, summary: summaryOf(report) };
}

/** From what was before everything to what was after everything. */
function costOf(plan: CompiledPlan, captures: readonly CaptureReport[]): Report['cost'] {
  const first = captures.find(({ before }) => before !== null)?.before ?? undefined;
  const last = captures.findLast(({ after }) => after !== null)?.after ?? undefined;
  const saved = judgeCaptures(first, last).encapsulation?.savedBytes;
  const nodes = new Set(
    plan.stages.flatMap(({ waves }) => waves.flatMap((wave) => wave.nodes.map(({ name }) => name))),
  );
  return estimateCost(plan.traffic, first, saved, nodes.size);
}

function partsOf(stage: StageView): ReportStage['parts'] {
  const steps = (kind: 'prepare' | 'finalize', list: readonly StepView[]): ReportStage['parts'] => {
    const begun = list.filter(({ startedAt }) => startedAt !== '');
    if (begun.length === 0) return [];
    const isDone = list.every(({ state }) => state === 'done');
    const state = isDone ? 'done' : (begun.at(-1)?.state ?? 'pending');
    const ends = begun.map(({ endedAt }) => endedAt);
    return [
      {
        id: kind,
        kind,
        state,
        nodes: 0,
        startedAt: begun.map(({ startedAt }) => startedAt).toSorted()[0]!,
        endedAt: ends.includes('') ? '' : ends.toSorted().at(-1)!,
      },
    ];
  };
  return [
    ...steps('prepare', stage.prepare),
    ...stage.waves.map(({ id, state, startedAt, endedAt, nodes }) => ({
      id,
      kind: 'wave' as const,
      state,
      nodes: nodes.length,
      startedAt,
      endedAt,
    })),
    ...steps('finalize', stage.finalize),
  ];
}

function nodesOf(view: MigrationView, plan: CompiledPlan): ReportNode[] {
  const controlPlanes = new Set(
    plan.stages.flatMap(({ waves }) =>
      waves.flatMap((wave) => wave.nodes.filter(({ controlPlane }) => controlPlane).map(({ name }) => name)),
    ),
  );
  return view.stages.flatMap((stage) =>
    stage.waves.flatMap((wave) =>
      wave.nodes.map(({ name, zone, state, rollbacks, message, nodeAttempt, startedAt, endedAt }) => ({
        name,
        zone,
        state,
        rollbacks,
        message,
        stage: stage.id,
        wave: wave.id,
        controlPlane: controlPlanes.has(name),
        attempts: nodeAttempt,
        seconds:
          startedAt === '' || endedAt === ''
            ? null
            : Math.round((Date.parse(endedAt) - Date.parse(startedAt)) / 100) / 10,
      })),
    ),
  );
}

function versionsOf(plan: CompiledPlan, images: readonly string[]): Report['versions'] {
  const prints = plan.stages.flatMap(({ waves }) =>
    waves.flatMap(({ nodes }) => nodes.map(({ fingerprint }) => fingerprint)),
  );
  const distinct = (values: readonly string[]): string[] => [...new Set(values)].filter(Boolean).toSorted();
  return {
    kubernetes: plan.cluster.kubernetesVersion,
    kubelets: distinct(prints.map(({ kubelet }) => kubelet)),
    runtimes: distinct(prints.map(({ containerRuntime }) => containerRuntime)),
    kernels: distinct(prints.map(({ kernel }) => kernel)),
    images: distinct(images),
    bundles: Object.entries(plan.bundles).map(([name, { sha256 }]) => ({ name, sha256 })),
  };
}

/** A password in the address of the server is nobody's business. */
const withoutUser = (url: string): string => url.replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1');
