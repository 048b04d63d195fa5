import type { PlannedNode, Step } from '../plan/types.ts';
import type { AuditRecord, Wait } from './types.ts';
import type { HistoryEntry, NodeHistory, NodeState, NodeView } from './views.ts';

/** A node's view, and what the fold must remember to make it. */
export interface NodeFold {
  view: NodeView;
  /** Attempts of the node that failed: what the failure budget counts. */
  failures: number;
  /** The last step forward failed, and it is not known yet whether it is tried again or is the end of the attempt. */
  maybeFailed: boolean;
}

export const pendingNode = ({ name, zone, adopted }: Pick<PlannedNode, 'name' | 'zone' | 'adopted'>): NodeView => ({
  name,
  zone,
  state: adopted ? 'migrated' : 'pending',
  step: '',
  stepId: '',
  stepSince: '',
  soakUntil: '',
  nodeAttempt: 0,
  attempt: 0,
  startedAt: '',
  endedAt: '',
  message: adopted ? 'adopted: an earlier migration brought it here' : '',
  remedy: '',
  outage: '',
  rollbacks: 0,
});

export const startNode = (view: NodeView): NodeFold => ({ view, failures: 0, maybeFailed: false });

const endStates: { [outcome: string]: NodeState } = {
  migrated: 'migrated',
  'rolled-back': 'rolled-back',
  skipped: 'skipped',
  held: 'held',
};

/** Changes the fold by one record of its node. */
export function applyToNode(fold: NodeFold, record: AuditRecord, steps: readonly Step[]): void {
  const { view } = fold;
  const { kind, at, nodeAttempt, attempt = 1, direction, outcome = '', message = '', error } = record;
  view.outage = kind === 'step.waiting' ? (error?.message ?? '') : '';
  const moves = kind === 'node.started' || kind === 'step.began';
  if (moves) {
    // A node that had ended comes back for a retry or a rollback asked for later: its first start stays.
    view.startedAt ||= at;
    view.endedAt = '';
    if (nodeAttempt !== undefined) view.nodeAttempt = Math.max(view.nodeAttempt, nodeAttempt);
  }
  switch (kind) {
    case 'node.started':
      if (view.state !== 'rolling-back') view.state = direction === 'back' ? 'rolling-back' : 'running';
      return;
    case 'step.began': {
      const isBack = direction === 'back';
      if (isBack && view.state !== 'rolling-back') view.rollbacks++;
      if (isBack) countFailure(fold);
      else fold.maybeFailed = false;
      view.state = isBack ? 'rolling-back' : 'running';
      view.stepId = record.step ?? '';
      view.step = titleOf(record, steps);
      view.stepSince = at;
      view.soakUntil = '';
      view.attempt = attempt;
      return;
    }
    case 'step.ended':
      view.message = error?.message ?? message;
      view.remedy = error?.remedy ?? '';
      fold.maybeFailed = outcome === 'failed' && direction !== 'back';
      if (outcome === 'ok' && direction !== 'back') beginSoak(view, record, steps);
      return;
    case 'node.waiting':
      countFailure(fold);
      view.state = 'waiting';
      view.message = error?.message ?? message;
      view.remedy = error?.remedy ?? '';
      return;
    case 'node.resumed':
      view.state = 'running';
      view.message = decisionText(record);
      view.remedy = '';
      return;
    case 'node.ended':
      view.state = endStates[outcome] ?? 'held';
      view.soakUntil = '';
      view.endedAt = at;
      view.message = message;
      view.remedy = '';
      return;
    default:
  }
}

/** The next step may begin with a wait, which the workflow does by itself: no record tells of it. */
function beginSoak(view: NodeView, { step, at }: AuditRecord, steps: readonly Step[]): void {
  const next = steps[steps.findIndex(({ id }) => id === step) + 1];
  if (!next?.waitSeconds || steps[0] === next) return;
  Object.assign(view, { step: next.title, stepId: next.id, stepSince: at, attempt: 0 });
  view.soakUntil = new Date(Date.parse(at) + next.waitSeconds * 1_000).toISOString();
}

/** The attempt of the node has failed: the step is not tried again but taken back, or a person is asked. */
function countFailure(fold: NodeFold): void {
  if (fold.maybeFailed) fold.failures++;
  fold.maybeFailed = false;
}

/** What a person reads for a step; an undo entry carries its own title in the record. */
function titleOf({ step, direction, message }: AuditRecord, steps: readonly Step[]): string {
  const planned = steps.find(({ id }) => id === step)?.title;
  return (direction === 'back' ? message : planned) ?? planned ?? message ?? step ?? '';
}

const decisionText = ({ actor, outcome, reason }: AuditRecord): string =>
  [`${actor}: ${outcome ?? 'go on'}`, reason].filter(Boolean).join(', ');

/**
 * The timeline of one node: every step as one entry, with how it ended, and what people decided in between.
 *
 * @param records of one migration, or of one node of it, in order
 */
export function nodeHistory(
  records: Iterable<AuditRecord>,
  node: string,
  steps: readonly Step[] = [],
  adopted = false,
): NodeHistory {
  const fold = startNode(pendingNode({ name: node, zone: '', ...(adopted ? { adopted } : {}) }));
  const entries: HistoryEntry[] = [];
  const open = new Map<string, HistoryEntry>();
  let migration = '';
  for (const record of records) {
    if (record.node !== node) continue;
    migration ||= record.migration ?? '';
    applyToNode(fold, record, steps);
    const key = [record.step, record.direction, record.nodeAttempt, record.attempt].join(' ');
    const began = record.kind === 'step.ended' ? open.get(key) : undefined;
    if (began) {
      Object.assign(began, endOf(record));
      open.delete(key);
      continue;
    }
    const entry = entryOf(record, steps);
    entries.push(entry);
    if (record.kind === 'step.began') open.set(key, entry);
  }
  const { state, nodeAttempt, startedAt, endedAt } = fold.view;
  const timeWentTo = state === 'migrated' ? whatTheTimeWentTo(entries, nodeAttempt, steps) : [];
  return { migration, node, state, nodeAttempts: nodeAttempt, startedAt, endedAt, entries, timeWentTo };
}

const waitTitles: { [what in Wait]: string } = {
  pods: 'pods: their grace, their budgets, becoming Ready',
  agent: 'agents: the old one to leave, the new one to become Ready',
  runtime: 'the container runtime: to remove sandboxes and load the new conf',
  checks: 'checks: the network to answer',
};

/** Steps that ran at the same time, as one: times in ms, since the epoch or long. */
interface Spent {
  beganAt: number;
  endedAt: number;
  longestMs: number;
  waitsMs: HistoryEntry['waitsMs'];
}

/**
 * The times of the steps, what they waited for, and the time between them add up to the whole. Of steps that run alongside
 * each other the longest counts.
 */
function whatTheTimeWentTo(
  entries: readonly HistoryEntry[],
  nodeAttempt: number,
  steps: readonly Step[],
): NodeHistory['timeWentTo'] {
  const own = entries.filter(
    (entry) =>
      entry.kind === 'step' &&
      entry.direction === 'forward' &&
      entry.nodeAttempt === nodeAttempt &&
      entry.durationMs !== null,
  );
  const groups: Spent[] = [];
  for (const { at, durationMs, waitsMs } of own) {
    const beganAt = Date.parse(at);
    const step = { beganAt, endedAt: beganAt + durationMs!, longestMs: durationMs!, waitsMs };
    const last = groups.at(-1);
    if (last === undefined || beganAt >= last.endedAt) groups.push(step);
    else {
      last.endedAt = Math.max(last.endedAt, step.endedAt);
      if (step.longestMs > last.longestMs) Object.assign(last, { longestMs: step.longestMs, waitsMs });
    }
  }
  const [first, last] = [groups[0], groups.at(-1)];
  if (!first || !last) return [];
  const sums = new Map<string, number>();
  const add = (what: string, ms: number): void => void sums.set(what, (sums.get(what) ?? 0) + ms);
  let inSteps = 0;
  for (const { longestMs, waitsMs } of groups) {
    let waited = 0;
    for (const [what, ms] of Object.entries(waitsMs)) {
      add(waitTitles[what as Wait] ?? what, ms);
      waited += ms;
    }
    add("Cutover's own work in the steps", longestMs - waited);
    inSteps += longestMs;
  }
  const whole = last.endedAt - first.beganAt;
  const soakMs = steps.reduce((total, { waitSeconds = 0 }) => total + waitSeconds * 1_000, 0);
  if (soakMs > 0) add('soak: the time that the plan asks for', soakMs);
  add('between the steps', Math.max(0, whole - inSteps - soakMs));
  return [...sums].map(([what, ms]) => ({ what, ms })).toSorted((a, b) => b.ms - a.ms);
}

function entryOf(record: AuditRecord, steps: readonly Step[]): HistoryEntry {
  const isStep = record.kind === 'step.began' || record.kind === 'step.ended';
  return {
    seq: record.seq,
    at: record.at,
    kind: isStep ? 'step' : record.kind,
    title: isStep ? titleOf(record, steps) : (kindTitles[record.kind] ?? record.kind),
    actor: record.actor,
    direction: record.direction ?? '',
    nodeAttempt: record.nodeAttempt ?? 0,
    attempt: record.attempt ?? 0,
    outcome: '',
    durationMs: null,
    waitsMs: {},
    message: '',
    remedy: '',
    checks: [],
    ...(record.kind === 'step.began' ? {} : endOf(record)),
  };
}

const endOf = ({
  outcome = '',
  durationMs,
  waitsMs = {},
  message = '',
  reason = '',
  error,
  checks = [],
}: AuditRecord) => ({
  outcome,
  durationMs: durationMs ?? null,
  waitsMs,
  message: error?.message ?? [message, reason].filter(Boolean).join(': '),
  remedy: error?.remedy ?? '',
  checks: checks.filter(({ verdict }) => verdict !== 'pass'),
});

const kindTitles: { [kind: string]: string } = {
  'node.started': 'The node begins',
  'node.waiting': 'Waits for a person',
  'node.resumed': 'A person decided',
  'node.ended': 'The node ends',
  'step.waiting': 'The step waits: Cutover cannot reach what it needs',
  'step.resumed': 'The step goes on',
  'rollback.requested': 'Rollback asked for',
  'retry.requested': 'Retry asked for',
  'skip.requested': 'Skip asked for',
  'attempt.refused': 'Refused',
};
