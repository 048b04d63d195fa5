import { sameSubject, subjectOf } from '../names.ts';
import type { Bundle } from '../checks/gate-bundle.ts';
import type { Verdict } from '../checks/types.ts';
import type { CompiledPlan, GateSpec } from '../plan/types.ts';
import { evidenceChanges } from './evidence-changes.ts';
import { gateOf } from './gate-of.ts';
import type { AuditRecord } from './types.ts';
import type { GateView } from './views.ts';

/** The open gate of a migration; there is at most one. */
export const openGateOf = (gates: ReadonlyMap<string, GateView>): GateView | undefined =>
  [...gates.values()].find(({ state }) => state === 'open');

/** The gates that records of one migration tell of, the open one first, then the newest. */
export function projectGates(records: Iterable<AuditRecord>, plan: CompiledPlan): GateView[] {
  const gates = new Map<string, GateView>();
  let requester = '';
  for (const record of records) {
    if (record.kind === 'migration.requested' || record.kind === 'migration.started') requester ||= record.actor;
    applyToGates(gates, plan, record, { requester, migration: record.migration ?? '' });
  }
  return [...gates.values()].toSorted(
    (a, b) => Number(b.state === 'open') - Number(a.state === 'open') || b.openedAt.localeCompare(a.openedAt),
  );
}

/** Changes the gates, by `<stage>:<gate id>`, by one record. */
export function applyToGates(
  gates: Map<string, GateView>,
  plan: CompiledPlan,
  record: AuditRecord,
  { requester, migration }: { requester: string; migration: string },
): void {
  if (!record.kind.startsWith('gate.')) return;
  const id = gateOf(record);
  if (id === undefined) return;
  const stage = plan.stages.find((candidate) => candidate.id === record.stage) ?? plan.stages[0];
  const key = `${stage?.id}:${id}`;
  if (record.kind === 'gate.opened') {
    const before = gates.get(key) ?? [...gates.values()].toSorted((a, b) => b.openedAt.localeCompare(a.openedAt))[0];
    const opened = openedGate(gates.get(key), id, plan, record, migration, before);
    if (opened) gates.set(key, opened);
  }
  const gate = gates.get(key);
  if (!gate) return;
  // An approval that was under way when newer evidence came is of the older, and counts as little as those before it.
  const older = record.outcome !== 'reject' && (record.evidenceDigest ?? gate.evidence.digest) !== gate.evidence.digest;
  if (record.kind === 'gate.decided' && !older)
    gate.decisions.push({
      actor: record.actor,
      verdict: record.outcome === 'reject' ? 'reject' : 'approve',
      reason: record.reason ?? '',
      at: record.at,
    });
  if (record.kind === 'gate.closed') {
    gate.state = endStates.find((state) => state === record.outcome) ?? 'interrupted';
    gate.closedAt = record.at;
    gate.message = record.message ?? '';
  }
  gate.needs = gate.state === 'open' ? needsOf(gate, requester) : [];
}

const endStates = ['passed', 'rejected', 'timed-out', 'interrupted'] as const;

/** A gate that opens, opens again after a pause, or has newer evidence: approvals of older evidence count no more. */
function openedGate(
  before: GateView | undefined,
  id: string,
  plan: CompiledPlan,
  record: AuditRecord,
  migration: string,
  earlier: GateView | undefined,
): GateView | undefined {
  const given = (record.evidence ?? {}) as {
    spec?: GateSpec;
    openedAt?: string;
    soakUntil?: string;
    expiresAt?: string;
    bundle?: Bundle;
    missing?: string[];
  };
  const planned = plan.stages.flatMap((stage) => [
    ...[...stage.prepare, ...stage.finalize].flatMap((step) => step.gate ?? []),
    ...stage.waves.flatMap((wave) => wave.gate ?? []),
    ...(stage.finalizeGate ? [stage.finalizeGate] : []),
  ]);
  const spec = given.spec ?? planned.find((gate) => gate.id === id);
  if (!spec) return undefined;
  const openedAt = given.openedAt ?? (before?.state === 'open' ? before.openedAt : record.at);
  const after = (seconds: number): string => new Date(Date.parse(openedAt) + seconds * 1000).toISOString();
  const expiresAt = given.expiresAt ?? (spec.timeoutSeconds > 0 ? after(spec.timeoutSeconds) : '');
  const evidence: GateView['evidence'] = {
    digest: record.evidenceDigest ?? '',
    verdict: verdictOf(record),
    at: record.at,
    expiresAt:
      spec.evidenceMaxAgeSeconds === undefined
        ? ''
        : new Date(Date.parse(record.at) + spec.evidenceMaxAgeSeconds * 1000).toISOString(),
    checks: record.checks ?? [],
    bundle: given.bundle ?? null,
  };
  return {
    id,
    migration,
    planHash: record.planHash ?? '',
    stage: record.stage ?? '',
    wave: record.wave ?? '',
    state: 'open',
    openedAt,
    closedAt: '',
    soakUntil: given.soakUntil ?? after(spec.soakSeconds),
    expiresAt,
    spec,
    evidence,
    changes: earlier ? { since: earlier.evidence.at, what: evidenceChanges(earlier.evidence, evidence) } : null,
    decisions: [],
    missing: given.missing ?? [],
    needs: [],
    atTimeout:
      expiresAt === ''
        ? 'it waits until somebody decides'
        : spec.onTimeout === 'hold'
          ? `without a decision by ${expiresAt} the migration pauses for a person`
          : `without a decision by ${expiresAt} the wave before it is rolled back`,
    message: record.message ?? '',
  };
}

const verdictOf = ({ outcome, checks = [] }: AuditRecord): Verdict => {
  if (outcome === 'pass' || outcome === 'warn' || outcome === 'block') return outcome;
  return checks.some(({ verdict }) => verdict === 'block')
    ? 'block'
    : checks.some(({ verdict }) => verdict === 'warn')
      ? 'warn'
      : 'pass';
};

/** What must still happen before the gate opens, one sentence each. */
function needsOf(
  { spec, decisions, evidence, openedAt, soakUntil, missing: left }: GateView,
  requester: string,
): string[] {
  const needs: string[] = [];
  if (left.length > 0)
    needs.push(
      `${left.slice(0, 5).join(', ')}${left.length > 5 ? ` and ${left.length - 5} more nodes` : ''} ${left.length === 1 ? 'is' : 'are'} not on the new network: an approval needs --incomplete and a reason`,
    );
  const approved = new Set(
    decisions.filter(({ verdict }) => verdict === 'approve').map(({ actor }) => subjectOf(actor)),
  );
  const missing = Math.max(spec.approvals, left.length > 0 ? 1 : 0) - approved.size;
  if (missing > 0) {
    const may = spec.approvers.filter(
      (name) => !approved.has(subjectOf(name)) && (spec.requesterMayApprove || !sameSubject(name, requester)),
    );
    const who = may.length > 0 ? ` from ${may.join(' or ')}` : '';
    const notYou =
      spec.requesterMayApprove || requester === '' || spec.approvers.length > 0
        ? ''
        : `, not from ${requester}, who launched it`;
    needs.push(`${missing} more approval${missing === 1 ? '' : 's'}${who}${notYou}`);
  }
  for (const check of evidence.checks.filter(({ verdict }) => verdict === 'block'))
    needs.push(`${check.id} blocks${check.node ? ` on ${check.node}` : ''}: ${check.message}`);
  if (soakUntil > openedAt) needs.push(`its soak, until ${soakUntil.slice(0, 19)}Z`);
  return needs;
}
