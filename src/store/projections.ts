import type { CompiledPlan, CompiledStage } from '../plan/types.ts';
import { applyToGates, openGateOf } from './gate-views.ts';
import { applyToNode, pendingNode, startNode } from './node-views.ts';
import type { NodeFold } from './node-views.ts';
import type { AuditRecord } from './types.ts';
import type {
  GateView,
  MigrationSummary,
  MigrationView,
  NodeCounts,
  NodeView,
  PauseView,
  StageView,
  StepView,
  WaveView,
} from './views.ts';

/**
 * What the records of one migration say about it now. Pure.
 *
 * @param records of one migration, in order (`store.records({ migration })`)
 * @param plan the compiled plan that they name
 * @param now ms since the epoch, for what is elapsed and what is still to be waited for
 */
export function projectMigration(records: Iterable<AuditRecord>, plan: CompiledPlan, now = Date.now()): MigrationView {
  const projection = createProjection(plan);
  for (const record of records) projection.apply(record);
  return projection.view(now);
}

/** The same, kept and fed with what is new: for a server that shows a migration of hundreds of nodes again and again. */
export interface Projection {
  /** Takes the next record of this migration; one that was taken already is ignored. */
  apply(record: AuditRecord): void;
  view(now?: number): MigrationView;
}

interface Fold {
  plan: CompiledPlan;
  id: string;
  planHash: string;
  requester: string;
  reason: string;
  requestedAt: string;
  startedAt: string;
  endedAt: string;
  end: MigrationSummary['state'] | undefined;
  message: string;
  phase: 'requested' | 'preparing' | 'migrating' | 'finalizing';
  isAborting: boolean;
  isRollingBack: boolean;
  pause: PauseView | null;
  lostLease: string;
  stages: StageView[];
  /** Place of the stage that the last record was about. */
  current: number;
  /** By stage and name. */
  nodes: Map<string, NodeFold>;
  gates: Map<string, GateView>;
  since: string;
  lastAt: number;
  lastSeq: number;
  workMs: number;
  waitingMs: number;
}

export function createProjection(plan: CompiledPlan): Projection {
  const fold = startFold(plan);
  return {
    apply: (record) => {
      if (record.seq > fold.lastSeq) applyRecord(fold, record);
    },
    view: (now = Date.now()) => viewOf(fold, now),
  };
}

function startFold(plan: CompiledPlan): Fold {
  const nodes = new Map<string, NodeFold>();
  const stages = plan.stages.map((stage): StageView => ({
    id: stage.id,
    from: stage.from,
    to: stage.to,
    prepare: stage.prepare.map(pendingStep),
    waves: stage.waves.map((wave): WaveView => ({
      id: wave.id,
      state: wave.nodes.some(({ adopted }) => adopted) ? 'done' : 'pending',
      startedAt: '',
      endedAt: '',
      nodes: wave.nodes.map((node) => {
        const started = startNode(pendingNode(node));
        nodes.set(`${stage.id}/${node.name}`, started);
        return started.view;
      }),
      gate: wave.gate ? { id: wave.gate.id, state: 'pending', by: '' } : null,
    })),
    finalize: stage.finalize.map(pendingStep),
  }));
  return {
    plan,
    stages,
    current: 0,
    nodes,
    gates: new Map(),
    id: '',
    planHash: '',
    requester: '',
    reason: '',
    requestedAt: '',
    startedAt: '',
    endedAt: '',
    message: '',
    end: undefined,
    phase: 'requested',
    isAborting: false,
    isRollingBack: false,
    pause: null,
    lostLease: '',
    since: '',
    lastAt: 0,
    lastSeq: 0,
    workMs: 0,
    waitingMs: 0,
  };
}

const pendingStep = ({ id, title }: { id: string; title: string }): StepView => ({
  id,
  title,
  state: 'pending',
  startedAt: '',
  endedAt: '',
  attempt: 0,
  message: '',
  outage: '',
});

function applyRecord(fold: Fold, record: AuditRecord): void {
  const before = stateOf(fold);
  const at = Date.parse(record.at);
  // The time up to this record belongs to the state before it; clocks of two machines may run apart a little.
  if (fold.lastAt > 0 && at > fold.lastAt && fold.startedAt !== '' && fold.endedAt === '')
    fold[isWaiting(before) ? 'waitingMs' : 'workMs'] += at - fold.lastAt;
  fold.lastAt = Math.max(fold.lastAt, at);
  fold.lastSeq = record.seq;
  fold.id ||= record.migration ?? '';
  fold.planHash ||= record.planHash ?? '';

  applyToMigration(fold, record);
  applyToGates(fold.gates, fold.plan, record, { requester: fold.requester, migration: fold.id });
  const stage =
    fold.stages.find(({ id }) => id === record.stage) ?? (fold.stages.length === 1 ? fold.stages[0] : undefined);
  if (stage && record.stage !== undefined) fold.current = fold.stages.indexOf(stage);
  const planned = fold.plan.stages.find(({ id }) => id === stage?.id);
  if (stage && planned) {
    const node = record.node === undefined ? undefined : fold.nodes.get(`${stage.id}/${record.node}`);
    if (node) applyToNode(node, record, planned.node);
    else if (record.step !== undefined && record.node === undefined) applyToSteps(stage, record);
    applyToWave(fold, stage, planned, record);
  }
  if (stateOf(fold) !== before || fold.since === '') fold.since = record.at;
}

function applyToMigration(fold: Fold, record: AuditRecord): void {
  const { kind, at, actor, reason = '', message = '', outcome = '' } = record;
  switch (kind) {
    case 'migration.requested':
      Object.assign(fold, { requester: actor, reason, requestedAt: at, message });
      return;
    case 'migration.started':
      Object.assign(fold, { startedAt: at, phase: 'preparing', message });
      fold.requester ||= actor;
      return;
    case 'migration.ended':
      Object.assign(fold, { endedAt: at, end: outcome, message, pause: null });
      return;
    case 'pause.requested':
      fold.pause = { actor, reason, at, scope: scopeOf(outcome), tookEffect: false };
      return;
    case 'pause.took-effect':
      fold.pause = { actor, reason, at, scope: scopeOf(outcome), tookEffect: true };
      fold.isRollingBack = false;
      fold.message = reason || message;
      return;
    case 'lease.lost':
      fold.lostLease = message;
      return;
    case 'lease.held':
      fold.lostLease = '';
      return;
    case 'resumed':
      fold.pause = null;
      fold.message = reason;
      return;
    case 'abort.requested':
      fold.isAborting = true;
      fold.message = reason;
      return;
    case 'rollback.requested':
      fold.isRollingBack = true;
      fold.message = reason;
      return;
    case 'wave.started':
      // A wave that starts ends a pause that had taken effect: a rollback asked for goes on without a resume.
      if (fold.pause?.tookEffect) fold.pause = null;
      fold.isRollingBack = record.direction === 'back';
      if (fold.phase !== 'finalizing') fold.phase = 'migrating';
      return;
    case 'gate.opened':
      fold.isRollingBack = false;
      return;
    case 'step.began':
      if (record.node !== undefined) return;
      fold.isRollingBack = record.direction === 'back';
      if (fold.plan.stages.some((stage) => stage.id === record.stage && isOnly(stage, record.step)))
        fold.phase = 'finalizing';
      else if (record.direction !== 'back') fold.phase = 'preparing';
      return;
    default:
  }
}

/** Whether a step is one of finalize and of nothing else. */
const isOnly = (stage: CompiledStage, id: string | undefined): boolean =>
  stage.finalize.some((step) => step.id === id) && !stage.prepare.some((step) => step.id === id);

const scopeOf = (outcome: string): PauseView['scope'] => (outcome === 'now' || outcome === 'wave' ? outcome : 'node');

function applyToSteps(
  stage: StageView,
  { kind, step: id, at, direction, outcome, attempt = 1, message = '', error }: AuditRecord,
): void {
  const step = [...stage.prepare, ...stage.finalize].find((candidate) => candidate.id === id);
  if (!step) return;
  step.outage = kind === 'step.waiting' ? (error?.message ?? '') : '';
  if (kind === 'step.began')
    Object.assign(step, { state: direction === 'back' ? 'undoing' : 'running', startedAt: at, endedAt: '', attempt });
  if (kind === 'step.ended')
    Object.assign(step, {
      state: outcome !== 'ok' ? 'failed' : direction === 'back' ? 'undone' : 'done',
      endedAt: at,
      message,
    });
}

function applyToWave(
  fold: Fold,
  stage: StageView,
  planned: CompiledStage,
  { kind, at, wave: id, direction, outcome }: AuditRecord,
): void {
  const wave = stage.waves.find((candidate) => candidate.id === id);
  if (!wave) return;
  if (kind === 'wave.started') {
    wave.state = direction === 'back' ? 'rolling-back' : 'running';
    wave.startedAt ||= at;
    wave.endedAt = '';
  }
  if (kind === 'wave.ended') {
    wave.endedAt = at;
    // Waves run again for what was left over: what counts is where the nodes are.
    if (direction === 'back')
      wave.state = wave.nodes.every(({ state }) => state !== 'migrated') ? 'rolled-back' : 'incomplete';
    else
      wave.state =
        wave.nodes.every(({ state }) => state === 'migrated') || (outcome === 'done' && wave.nodes.length === 0)
          ? 'done'
          : 'incomplete';
  }
  const gate = planned.waves.find((candidate) => candidate.id === id)?.gate;
  const seen = gate && fold.gates.get(`${stage.id}:${gate.id}`);
  if (gate && seen)
    wave.gate = { id: gate.id, state: seen.state, by: seen.decisions.map(({ actor }) => actor).join(', ') };
}

function stateOf(fold: Fold): MigrationSummary['state'] {
  if (fold.end) return fold.end;
  if (fold.isAborting) return 'aborting';
  if (fold.isRollingBack) return 'rolling-back';
  if (fold.pause) return fold.pause.tookEffect ? 'paused' : 'pausing';
  if (openGateOf(fold.gates)) return 'at-gate';
  return fold.phase;
}

const isWaiting = (state: MigrationSummary['state']): boolean => state === 'at-gate' || state === 'paused';

function viewOf(fold: Fold, now: number): MigrationView {
  const { plan } = fold;
  const state = stateOf(fold);
  const nodes = fold.stages.flatMap((stage) => stage.waves.flatMap((wave) => wave.nodes));
  const openGate = openGateOf(fold.gates) ?? null;
  const running = fold.startedAt !== '' && fold.endedAt === '' ? Math.max(0, now - fold.lastAt) : 0;
  return structuredClone({
    id: fold.id,
    plan: { name: plan.name, hash: fold.planHash },
    cluster: { uid: plan.cluster.uid, server: plan.cluster.server },
    from: plan.stages[0]?.from ?? '',
    to: plan.stages.at(-1)?.to ?? '',
    state,
    since: fold.since,
    requester: fold.requester,
    reason: fold.reason,
    startedAt: fold.startedAt,
    endedAt: fold.endedAt,
    message: fold.message,
    // Every stage has all nodes: those of the one under way say how far it is.
    counts: countsOf(fold.stages[fold.current]?.waves.flatMap((wave) => wave.nodes) ?? []),
    failures: [...fold.nodes.values()].reduce((sum, { failures }) => sum + failures, 0),
    failureBudget: plan.strategy.failureBudget,
    pause: fold.pause,
    lostLease: fold.endedAt === '' ? fold.lostLease : '',
    gate: openGate?.id ?? '',
    openGate,
    stages: fold.stages,
    remaining: fold.endedAt === '' ? remainingOf(fold, nodes) : { workSeconds: 0, waitingSeconds: 0 },
    elapsed: {
      workSeconds: Math.round((fold.workMs + (isWaiting(state) ? 0 : running)) / 1000),
      waitingSeconds: Math.round((fold.waitingMs + (isWaiting(state) ? running : 0)) / 1000),
    },
    lastSeq: fold.lastSeq,
  });
}

export function countsOf(nodes: readonly NodeView[]): NodeCounts {
  const count = (...states: NodeView['state'][]): number => nodes.filter(({ state }) => states.includes(state)).length;
  return {
    nodes: nodes.length,
    pending: count('pending'),
    inFlight: count('running', 'rolling-back'),
    waiting: count('waiting'),
    migrated: count('migrated'),
    rolledBack: count('rolled-back'),
    skipped: count('skipped'),
    held: count('held'),
  };
}

/** The plan's estimate for the nodes that are left, corrected by how long those that are done took; at most four times. */
function remainingOf({ plan }: Fold, all: readonly NodeView[]): MigrationView['remaining'] {
  // Adopted nodes took no time, and the estimate has none for them.
  const nodes = all.filter(({ state, startedAt }) => state !== 'migrated' || startedAt !== '');
  const done = nodes.filter(({ state }) => state === 'migrated');
  const left = nodes.length === 0 ? 0 : (nodes.length - done.length) / nodes.length;
  const planned = plan.estimate.perNodeSeconds + plan.strategy.nodeSoakSeconds;
  const took = done
    .filter(({ rollbacks }) => rollbacks === 0)
    .map(({ startedAt, endedAt }) => (Date.parse(endedAt) - Date.parse(startedAt)) / 1000);
  const mean = took.reduce((sum, seconds) => sum + seconds, 0) / Math.max(1, took.length);
  const factor = took.length === 0 || planned === 0 ? 1 : Math.min(4, Math.max(0.25, mean / planned));
  return {
    workSeconds: Math.round(plan.estimate.workSeconds * left * factor),
    waitingSeconds: Math.round(plan.estimate.soakSeconds * left),
  };
}

/** One entry of a list of migrations. */
export function summaryOf(view: MigrationView): MigrationSummary {
  const {
    openGate: _openGate,
    stages: _stages,
    remaining: _remaining,
    elapsed: _elapsed,
    lastSeq: _lastSeq,
    ...summary
  } = view;
  return summary;
}

/** Ids of the migrations that records tell of, newest first; a launch that was refused is none. */
export function migrationsIn(records: Iterable<AuditRecord>): { id: string; planHash: string; requestedAt: string }[] {
  const found = new Map<string, { id: string; planHash: string; requestedAt: string }>();
  for (const { kind, migration: id, planHash, at } of records)
    if (
      (kind === 'migration.requested' || kind === 'migration.started') &&
      id !== undefined &&
      planHash !== undefined &&
      !found.has(id)
    )
      found.set(id, { id, planHash, requestedAt: at });
  return [...found.values()].reverse();
}
