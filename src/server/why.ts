import { nodeWorkflowId } from '../temporal/ids.ts';
import type { ServerDependencies } from './context.ts';
import { duration } from './duration.ts';
import { toCutoverError } from './errors.ts';
import { nodePlace, viewMigration } from './migration-views.ts';
import type { PendingActivity } from './migrations.ts';
import type { OutageWatch } from './outages.ts';
import type { MigrationView, NodeView } from '../store/views.ts';

export interface Why {
  migration: string;
  node: string;
  state: NodeView['state'];
  /** What it does or waits for, by which rule, who can unblock it, when it tries again. */
  sentence: string;
  /** What a person can do; `` when nothing has to be done. */
  remedy: string;
  pending: PendingActivity[];
}

/** Explains one node from the records and, while it moves, from what Temporal says about its pending activity. */
export async function explainNode(
  { store, control }: ServerDependencies,
  migration: string,
  node: string,
  outages: OutageWatch,
): Promise<Why> {
  const view = viewMigration(store, migration);
  const place = nodePlace(store, migration, node);
  const found =
    view.stages
      .flatMap(({ waves }) => waves.flatMap(({ nodes }) => nodes))
      .find(({ name, state }) => name === node && state !== 'migrated') ?? findNode(view, node);
  let pending: PendingActivity[] = [];
  let doubt = '';
  if (place && (found.state === 'running' || found.state === 'rolling-back')) {
    try {
      pending = await control.pending(nodeWorkflowId(view.cluster.uid, migration, place.stage, node, place.turn));
    } catch (error) {
      doubt = ` (from the records alone: ${toCutoverError(error).message})`;
    }
  }
  const own = view.endedAt === '' ? (await outages.now()).map(({ message }) => message) : [];
  if (own.length > 0) doubt = `. Cutover itself is held up: ${own.join('; ')}`;
  const { sentence, remedy } = whySentence(view, found, pending, Date.now());
  return { migration, node, state: found.state, sentence: `${sentence}${doubt}`, remedy, pending };
}

const findNode = (view: MigrationView, node: string): NodeView =>
  view.stages.flatMap(({ waves }) => waves.flatMap(({ nodes }) => nodes)).findLast(({ name }) => name === node)!;

/** Pure: one sentence about one node, and what a person can do. */
export function whySentence(
  view: MigrationView,
  node: NodeView,
  pending: readonly PendingActivity[],
  now: number,
): { sentence: string; remedy: string } {
  const { name } = node;
  const since = (at: string): string => (at === '' ? '' : ` for ${duration(now - Date.parse(at))}`);
  const say = (text: string, remedy = ''): { sentence: string; remedy: string } => ({
    sentence: `${name} ${text}${remedy === '' ? '' : ` -> ${remedy}`}`,
    remedy,
  });
  switch (node.state) {
    case 'migrated':
      if (node.endedAt === '') return say(`is on ${view.to} since an earlier migration, and was adopted.`);
      return say(
        `is on ${view.to} since ${node.endedAt.slice(11, 19)}Z${node.rollbacks > 0 ? `, at try ${node.nodeAttempt}` : ''}: every check passed.`,
      );
    case 'rolled-back':
      return say(`is back on ${view.from}: ${sentenceOf(node.message)}.`);
    case 'skipped':
      return say(`was skipped and is on ${view.from}: ${sentenceOf(node.message)}.`);
    case 'held':
      return say(
        `is held as it is, out of service: ${sentenceOf(node.message)}.`,
        `look at its records with \`cutover history ${name}\``,
      );
    case 'waiting':
      return say(
        `waits for a person${since(node.stepSince)}: ${sentenceOf(node.message)}.`,
        `cutover retry ${name}, cutover skip ${name}, or cutover rollback --node ${name}`,
      );
    case 'pending':
      return say(...whyPending(view, node, since));
    default:
  }
  if (view.lostLease !== '')
    return say(`is stopped at "${node.step}": ${sentenceOf(view.lostLease)}.`, `cutover abort ${view.id} --mode hold`);
  if (view.pause?.tookEffect)
    return say(
      `is held before its next step after "${node.step}": the migration is paused by ${view.pause.actor}${since(view.pause.at)}${because(view.pause.reason)}.`,
      `cutover resume ${view.id}`,
    );
  const what = node.state === 'running' ? 'is at' : 'is going back, at';
  if (node.soakUntil !== '' && pending.length === 0)
    return say(`soaks for ${duration(Math.max(0, Date.parse(node.soakUntil) - now))} more, then "${node.step}".`);
  return say(`${what} "${node.step}"${since(node.stepSince)}${progressOf(node, pending, now)}.`);
}

function whyPending(
  view: MigrationView,
  node: NodeView,
  since: (at: string) => string,
): [text: string, remedy?: string] {
  if (view.endedAt !== '')
    return [`was not touched: the migration ${view.state === 'aborted' ? 'was aborted' : `ended (${view.state})`}.`];
  if (view.lostLease !== '')
    return [`has not begun: ${sentenceOf(view.lostLease)}.`, `cutover abort ${view.id} --mode hold`];
  if (view.pause)
    return [
      `has not begun: the migration is ${view.pause.tookEffect ? 'paused' : 'pausing'} by ${view.pause.actor}${since(view.pause.at)}${because(view.pause.reason)}.`,
      `cutover resume ${view.id}`,
    ];
  if (view.openGate)
    return [
      `has not begun: gate ${view.openGate.id} is open${since(view.openGate.openedAt)} and needs ${view.openGate.needs.join('; ') || 'nothing more'}.`,
      `cutover gates show ${view.openGate.id}`,
    ];
  const waves = view.stages.flatMap((stage) => stage.waves);
  const wave = waves.find(({ nodes }) => nodes.some(({ name }) => name === node.name));
  const running = waves.find(({ state }) => state === 'running' || state === 'rolling-back');
  const flight =
    running?.nodes
      .filter(({ state }) => state === 'running' || state === 'rolling-back' || state === 'waiting')
      .map(({ name }) => name) ?? [];
  if (!running || !wave) return [`has not begun: the cluster is being prepared.`];
  if (running === wave) return [`waits for its turn in wave ${wave.id}: ${flight.join(', ') || 'no node'} in flight.`];
  return [`waits for wave ${wave.id}: wave ${running.id} runs (${flight.join(', ') || 'no node in flight'}).`];
}

/** What Temporal knows of the step that runs: its last sign of life, its attempts, its last failure, when it tries again. */
function progressOf(node: NodeView, pending: readonly PendingActivity[], now: number): string {
  const [activity] = pending;
  if (!activity) return node.attempt > 1 ? `, attempt ${node.attempt}` : '';
  const beat = (activity.heartbeat as { message?: string } | undefined)?.message ?? (node.outage || undefined);
  const limit = activity.maximumAttempts > 0 ? ` of ${activity.maximumAttempts}` : '';
  const wait = activity.nextAttemptAt === undefined ? 0 : Date.parse(activity.nextAttemptAt) - now;
  return [
    beat && beat !== node.step ? `: ${sentenceOf(beat)}` : '',
    activity.attempt > 1 ? `, attempt ${activity.attempt}${limit}` : '',
    activity.lastFailure ? `; the last attempt failed: ${sentenceOf(activity.lastFailure.message)}` : '',
    activity.state === 'scheduled' && wait > 0 ? `; tries again in ${duration(wait)}` : '',
    activity.state === 'scheduled' && wait <= 0 ? '; no worker has taken it yet' : '',
  ].join('');
}

const because = (reason: string): string => (reason === '' ? '' : `, because: ${sentenceOf(reason)}`);
const sentenceOf = (text: string): string => text.replace(/[.\s]+$/, '') || 'no reason was recorded';
