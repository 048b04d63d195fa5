import type { GateView, MigrationView, NodeView, StepView, WaveView } from '../../store/views.ts';
import { clip, padEnd, type Style } from '../style.ts';
import { age, clock, duration } from '../time.ts';
import { drawn, migrationMarks, nodeMarks, stepMarks, toned, waveMarks } from './glyphs.ts';

export interface DrawOptions {
  /** Ms since the epoch; ages are counted to here. */
  now: number;
  /** Columns; longer lines are clipped, since a line that wraps breaks the redraw in place. */
  width: number;
  style: Style;
  /** Nodes of a wave above this many are summed up; those that move, wait or failed are always shown. */
  nodesShown?: number;
  /** False leaves out what only the clock changes: then a line differs only when something happened. */
  times?: boolean;
}

/** One line, and what it is about: whoever appends instead of redrawing prints a line again only when it changed. */
export interface Line {
  key: string;
  text: string;
}

const nameWidth = 26;
const statusWidth = 15;
const stepWidth = 34;
const timeWidth = 8;

/** A migration as a tree: what it is, what it waits for, and every wave, node and cluster step. Pure. */
export function statusLines(view: MigrationView, options: DrawOptions): Line[] {
  const lines: Line[] = [];
  const { style, width } = options;
  const add = (key: string, text: string): void => void lines.push({ key, text: clip(text, width) });

  header(view, options, add);
  waits(view, options, add);
  add('table', '');
  add('columns', style.dim(row(options, 'NAME', 'STATUS', 'STEP', 'TIME', 'INFO')));
  for (const stage of view.stages) {
    const several = view.stages.length > 1;
    if (several) add(`stage:${stage.id}`, style.bold(`stage ${stage.id}`));
    stepsLine('prepare', `${stage.id}:prepare`, stage.prepare, options, add);
    for (const wave of stage.waves) waveLines(`${stage.id}:${wave.id}`, wave, view, options, add);
    stepsLine('finalize', `${stage.id}:finalize`, stage.finalize, options, add);
  }
  return lines;
}

type Add = (key: string, text: string) => void;

/** One line of the tree. Without a width nothing is clipped: a log keeps the whole sentence. */
function row(
  { width }: Pick<DrawOptions, 'width'>,
  name: string,
  status: string,
  step: string,
  time: string,
  info: string,
): string {
  const cell = (text: string, columns: number): string =>
    padEnd(Number.isFinite(width) ? clip(text, columns) : text, columns);
  return `${cell(name, nameWidth)} ${padEnd(status, statusWidth)} ${cell(step, stepWidth)} ${padEnd(time, timeWidth)} ${info}`.trimEnd();
}

function header(view: MigrationView, { style, now, times = true }: DrawOptions, add: Add): void {
  const { counts } = view;
  const sums = [
    `${counts.migrated}/${counts.nodes} migrated`,
    ...(counts.rolledBack > 0 ? [`${counts.rolledBack} rolled back`] : []),
    ...(counts.skipped > 0 ? [`${counts.skipped} skipped`] : []),
    ...(counts.held > 0 ? [style.red(`${counts.held} held`)] : []),
    ...(counts.waiting > 0 ? [style.red(`${counts.waiting} need a person`)] : []),
    `failures ${view.failures}/${view.failureBudget}`,
  ];
  add(
    'run',
    `${style.bold(view.id)}  ${view.from} -> ${view.to}  ${drawn(style, migrationMarks[view.state])}  ${sums.join('  ')}`,
  );
  const launched = `launched by ${view.requester}${times && view.startedAt !== '' ? ` ${age(view.startedAt, now)} ago` : ''}`;
  add(
    'plan',
    style.dim(
      `plan ${view.plan.name} sha256:${view.plan.hash.slice(0, 12)}  ${launched}${view.reason === '' ? '' : `: ${view.reason}`}`,
    ),
  );
  if (!times) return;
  const { elapsed, remaining } = view;
  const spent = `so far ${duration(elapsed.workSeconds * 1000)} work + ${duration(elapsed.waitingSeconds * 1000)} waiting`;
  const left = `left about ${duration(remaining.workSeconds * 1000)} work + ${duration(remaining.waitingSeconds * 1000)} soaking`;
  add('eta', style.dim(view.endedAt === '' ? `${spent}; ${left}` : `${spent}; ended ${clock(view.endedAt)}`));
}

/** Every wait says who or what it waits for, why, and what comes next. */
function waits(view: MigrationView, options: DrawOptions, add: Add): void {
  const { style, now, times = true } = options;
  for (const { what, since, message, remedy } of view.outages ?? []) {
    const name = what === 'record' ? 'THE RECORD CANNOT BE WRITTEN' : 'TEMPORAL DOES NOT ANSWER';
    add(`outage:${what}`, style.red(`${name}${times ? ` for ${age(since, now)}` : ''}: ${message}`));
    add(
      `outage-next:${what}`,
      `  nothing new begins, nodes stay as they are, and all goes on when it is back; ${remedy}`,
    );
  }
  if (view.lostLease !== '') {
    add('lease', style.red(`STOPPED: ${view.lostLease}`));
    add('lease-next', `  end it here with: cutover abort ${view.id} --mode hold`);
  }
  if (view.openGate) gateLines(view.openGate, options, add);
  if (view.pause) {
    const { actor, reason, scope, tookEffect, at } = view.pause;
    const what = tookEffect ? 'PAUSED' : `PAUSING (${scopes[scope]}, then stop)`;
    add(
      'pause',
      style.yellow(`${what} by ${actor}${times ? ` ${age(at, now)} ago` : ''}: ${reason || 'no reason given'}`),
    );
    add('pause-next', `  goes on with: cutover resume ${view.id}`);
  }
  for (const node of view.stages
    .flatMap(({ waves }) => waves.flatMap(({ nodes }) => nodes))
    .filter(({ state }) => state === 'waiting')) {
    add(
      `needs:${node.name}`,
      style.red(`NEEDS A PERSON ${node.name}${times ? ` for ${age(node.stepSince, now)}` : ''}: ${node.message}`),
    );
    add(
      `needs-next:${node.name}`,
      `  cutover retry ${node.name} | cutover skip ${node.name} | cutover rollback --node ${node.name}`,
    );
  }
  if (view.endedAt !== '' && view.message !== '') add('end', toned(style, migrationMarks[view.state], view.message));
}

const scopes = {
  now: 'nodes stop before their next step',
  node: 'nodes in flight finish',
  wave: 'the wave finishes',
} as const;

function gateLines(gate: GateView, { style, now, times = true }: DrawOptions, add: Add): void {
  const { spec, evidence } = gate;
  const approvals = gate.decisions.filter(({ verdict }) => verdict === 'approve');
  const parts = [
    spec.approvals > 0
      ? `${approvals.length}/${spec.approvals} approvals${approvals.length > 0 ? ` (${approvals.map(({ actor, at }) => `${actor} ${clock(at)}`).join(', ')})` : ''}`
      : 'no approval needed',
    ...(gate.needs.length > 0 ? [`needs: ${gate.needs.join('; ')}`] : ['nothing is missing']),
    `evidence ${evidence.verdict}`,
    gate.expiresAt === ''
      ? 'no time limit'
      : `expires ${clock(gate.expiresAt)}${times ? ` (in ${duration(Date.parse(gate.expiresAt) - now)})` : ''}, then ${gate.atTimeout}`,
  ];
  add(
    'gate',
    `${style.yellow(`GATE ${gate.id}`)}${times ? ` open ${age(gate.openedAt, now)}` : ''}  ${parts.join('  ')}`,
  );
  if (spec.approvals > approvals.length)
    add(
      'gate-next',
      `  decide with: cutover approve ${gate.id} | cutover reject ${gate.id} --reason WHY   (read first: cutover gates show ${gate.id})`,
    );
}

function stepsLine(name: string, key: string, steps: readonly StepView[], options: DrawOptions, add: Add): void {
  const { style, now, times = true } = options;
  if (steps.length === 0) return;
  const done = steps.filter(({ state }) => state === 'done').length;
  const current =
    steps.find(({ state }) => state === 'failed') ??
    steps.find(({ state }) => state === 'running' || state === 'undoing') ??
    steps.findLast(({ state }) => state === 'undone');
  const state = current?.state ?? (done === steps.length ? 'done' : done > 0 ? 'running' : 'pending');
  const started = steps.find(({ startedAt }) => startedAt !== '')?.startedAt ?? '';
  const ended =
    state === 'done'
      ? (steps.at(-1)?.endedAt ?? '')
      : state === 'undone' || state === 'failed'
        ? latest(steps.map(({ endedAt }) => endedAt))
        : '';
  const info = current
    ? [
        current.attempt > 1 ? `attempt ${current.attempt}` : '',
        current.outage === '' ? current.message : `waiting: ${current.outage}`,
      ]
        .filter(Boolean)
        .join(': ')
    : '';
  const words = current ?? (state === 'running' ? steps[done] : undefined);
  add(
    key,
    row(
      options,
      name,
      drawn(style, stepMarks[state]),
      words?.title ?? (state === 'pending' ? counted(steps.length, 'step') : `${done}/${steps.length} steps`),
      spent(started, ended, now, times),
      info,
    ),
  );
}

function waveLines(key: string, wave: WaveView, view: MigrationView, options: DrawOptions, add: Add): void {
  const { style, now, times = true, nodesShown = 12 } = options;
  const migrated = wave.nodes.filter(({ state }) => state === 'migrated').length;
  const state = wave.gate?.state === 'open' ? migrationMarks['at-gate'] : waveMarks[wave.state];
  const gate =
    wave.gate && wave.gate.state !== 'pending'
      ? `gate ${wave.gate.id} ${wave.gate.state}${wave.gate.by ? ` by ${wave.gate.by}` : ''}`
      : wave.gate
        ? `then gate ${wave.gate.id}`
        : '';
  const progress =
    wave.state === 'pending' ? counted(wave.nodes.length, 'node') : `${migrated}/${wave.nodes.length} nodes`;
  add(
    key,
    row(
      options,
      `wave ${wave.id}`,
      drawn(style, state),
      progress,
      spent(wave.startedAt, wave.endedAt, now, times),
      gate,
    ),
  );
  if (wave.state === 'pending' && wave.nodes.every((node) => node.state === 'pending')) return;

  const shown = chooseNodes(wave.nodes, nodesShown);
  for (const [index, node] of shown.entries()) {
    const branch = index === shown.length - 1 && shown.length === wave.nodes.length ? '└─' : '├─';
    add(`${key}:${node.name}`, nodeLine(branch, node, view, options));
  }
  const rest = wave.nodes.filter((node) => !shown.includes(node));
  if (rest.length > 0) add(`${key}:rest`, style.dim(`└─ and ${countWords(rest)}`));
}

function nodeLine(branch: string, node: NodeView, view: MigrationView, options: DrawOptions): string {
  const { style, now, times = true } = options;
  const held = view.pause?.tookEffect === true && (node.state === 'running' || node.state === 'rolling-back');
  const state = held ? migrationMarks.paused : nodeMarks[node.state];
  const retried = node.nodeAttempt > 1 ? `try ${node.nodeAttempt}` : '';
  const attempt = node.attempt > 1 ? `attempt ${node.attempt}` : '';
  const rolledBack =
    node.rollbacks > 0 && node.state !== 'rolled-back'
      ? `rolled back ${node.rollbacks === 1 ? 'once' : `${node.rollbacks} times`}`
      : '';
  // While it moves, the last sentence is about the step before; the one that runs has none yet unless it failed once.
  const moving = node.state === 'running' || node.state === 'rolling-back';
  const message = node.outage !== '' ? `waiting: ${node.outage}` : moving && node.attempt < 2 ? '' : node.message;
  const soak = node.soakUntil === '' ? '' : `soaks until ${clock(node.soakUntil)}`;
  const info = [node.zone, retried, attempt, rolledBack, soak, message].filter(Boolean).join('  ');
  const step = moving || node.state === 'waiting' || node.state === 'held' ? node.step : '';
  return row(
    options,
    `${branch} ${node.name}`,
    drawn(style, state),
    step,
    spent(node.startedAt, node.endedAt, now, times),
    info,
  );
}

/** ISO times of one zone sort as text. */
const latest = (times: readonly string[]): string => times.toSorted().at(-1) ?? '';

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

const spent = (from: string, to: string, now: number, times: boolean): string => {
  if (from === '') return '';
  if (to !== '') return duration(Date.parse(to) - Date.parse(from));
  return times ? age(from, now) : '';
};

const urgency: { [S in NodeView['state']]: number } = {
  waiting: 0,
  held: 0,
  'rolling-back': 1,
  running: 2,
  'rolled-back': 3,
  skipped: 3,
  migrated: 5,
  pending: 6,
};

/** In the plan's order; when there are too many, the ones that need eyes. */
function chooseNodes(nodes: readonly NodeView[], most: number): readonly NodeView[] {
  if (nodes.length <= most) return nodes;
  const busy = nodes.filter(({ state }) => urgency[state] < 4);
  const spare = Math.max(0, most - busy.length);
  const others = new Set(nodes.filter(({ state }) => state === 'migrated').slice(-spare || nodes.length));
  return nodes.filter((node) => busy.includes(node) || (spare > 0 && others.has(node)));
}

function countWords(nodes: readonly NodeView[]): string {
  const counts = new Map<string, number>();
  for (const { state } of nodes) counts.set(nodeMarks[state].word, (counts.get(nodeMarks[state].word) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${count} ${word}`).join(', ');
}
