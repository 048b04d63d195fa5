import type { Story } from '../src/checks/types.ts';
import type { CompiledPlan, CompiledStage } from '../src/plan/types.ts';
import type { Motion } from '../src/probe/continuity.ts';
import type { StreamReport } from '../src/probe/stream-report.ts';
import type { AuditRecord, Store } from '../src/store/types.ts';

/** The records that tell it. */
const kinds: AuditRecord['kind'][] = [
  'migration.started',
  'node.started',
  'node.ended',
  'step.began',
  'step.ended',
  'gate.closed',
  'wave.ended',
];

/** What the record says of a migration so far. */
export const storyOf = (store: Store, plan: CompiledPlan, migration: string): Story =>
  tellStory(store.records({ migration, kind: kinds }), plan);

/**
 * Pure. A node moves from its first step on, and until the last one before it is only watched (or until it is back): what
 * its neighbours lose then is the price of the move. What they lose while it soaks is not.
 */
export function tellStory(records: readonly AuditRecord[], plan: CompiledPlan): Story {
  const open = new Map<string, Motion>();
  const motions: Motion[] = [];
  const kept: StreamReport[] = [];
  const first = records[0]?.at ?? new Date(0).toISOString();
  let startedAt = '';
  let since = first;
  const begin = (node: string, at: string): void => {
    if (open.has(node)) return;
    const motion: Motion = { node, from: seconds(at), to: null };
    open.set(node, motion);
    motions.push(motion);
  };
  const end = (node: string, at: string): void => {
    const motion = open.get(node);
    if (motion) motion.to = seconds(at);
    open.delete(node);
  };

  for (const record of records) {
    const { kind, at, node, step, direction, outcome, evidence } = record;
    if (kind === 'migration.started') startedAt ||= at;
    // A wave that was taken back is no part of what the next gate is about.
    if ((kind === 'gate.closed' && outcome === 'passed') || (kind === 'wave.ended' && direction === 'back')) since = at;
    if (node === undefined) continue;
    if (kind === 'node.started') begin(node, at);
    // Held: the node stays as it is, in the middle.
    if (kind === 'node.ended' && outcome !== 'held') end(node, at);
    if (kind === 'step.began' && direction === 'back') begin(node, at);
    if (kind !== 'step.ended') continue;
    const seen = (evidence as { seen?: StreamReport } | null | undefined)?.seen;
    if (seen?.streams) kept.push(seen);
    const stage = plan.stages.find(({ id }) => id === record.stage);
    if (direction === 'forward' && outcome === 'ok' && stage && step === lastMove(stage)) end(node, at);
  }
  return { motions, kept, since: seconds(since), startedAt: startedAt || first };
}

/** The step after which the node is only watched. */
function lastMove({ node }: CompiledStage): string | undefined {
  const last = node.at(-1);
  return (last?.verb === 'node.check' ? node.at(-2) : last)?.id;
}

const seconds = (at: string): number => Date.parse(at) / 1000;
