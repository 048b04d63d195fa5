import { CutoverError } from '../errors.ts';
import type { CompiledPlan } from '../plan/types.ts';
import { projectGates } from '../store/gate-views.ts';
import { nodeHistory } from '../store/node-views.ts';
import { createProjection, migrationsIn, summaryOf, type Projection } from '../store/projections.ts';
import type { Store } from '../store/types.ts';
import type { GateView, MigrationSummary, MigrationView, NodeHistory } from '../store/views.ts';
import { nodeNames } from './plan-views.ts';
import { suggestion } from './suggestion.ts';

export type { GateView, MigrationSummary, MigrationView, NodeHistory };

interface Known {
  id: string;
  planHash: string;
}

/** Migrations newest first. A launch that was refused after it was written down never was a migration. */
function knownMigrations(store: Store): Known[] {
  const records = store.records({ kind: ['migration.requested', 'migration.started', 'attempt.refused'] });
  const started = new Set(records.flatMap(({ kind, migration }) => (kind === 'migration.started' ? [migration] : [])));
  const refused = new Set(
    records.flatMap(({ kind, migration, evidence }) =>
      kind === 'attempt.refused' && isLaunch(evidence) ? [migration] : [],
    ),
  );
  return migrationsIn(records).filter(({ id }) => started.has(id) || !refused.has(id));
}

const isLaunch = (evidence: unknown): boolean => (evidence as { launch?: boolean } | undefined)?.launch === true;

const planOf = (store: Store, { id, planHash }: Known): CompiledPlan => {
  const plan = store.getDocument<CompiledPlan>('plan', planHash);
  if (!plan)
    throw new CutoverError('RecordBroken', `the plan ${planHash.slice(0, 12)} of migration ${id} is not in the store`);
  return plan;
};

/** Projections are fed with what is new, so that a view of hundreds of nodes costs only its news. */
const projections = new WeakMap<Store, Map<string, { projection: Projection; lastSeq: number }>>();

function projected(store: Store, known: Known): MigrationView {
  const ofStore = projections.get(store) ?? new Map<string, { projection: Projection; lastSeq: number }>();
  projections.set(store, ofStore);
  const kept = ofStore.get(known.id) ?? { projection: createProjection(planOf(store, known)), lastSeq: 0 };
  ofStore.set(known.id, kept);
  for (const record of store.records({ migration: known.id, afterSeq: kept.lastSeq })) {
    kept.projection.apply(record);
    kept.lastSeq = record.seq;
  }
  const view = kept.projection.view();
  return { ...view, openGate: view.openGate && atThisTime(view.openGate) };
}

/** Those that wait for a person first, then those that run, then the ended ones; the newest first among each. */
export function viewMigrations(store: Store): MigrationSummary[] {
  const urgency = ({ endedAt, gate, pause, counts }: MigrationSummary): number =>
    endedAt !== '' ? 2 : gate !== '' || pause !== null || counts.waiting > 0 ? 0 : 1;
  return knownMigrations(store)
    .map((known) => summaryOf(projected(store, known)))
    .toSorted((a, b) => urgency(a) - urgency(b));
}

/** @param id as `resolveMigration` answers it */
export function planOfMigration(store: Store, id: string): { plan: CompiledPlan; planHash: string } {
  const known = find(store, id);
  return { plan: planOf(store, known), planHash: known.planHash };
}

/** @param id as `resolveMigration` answers it */
export function viewMigration(store: Store, id: string): MigrationView {
  return projected(store, find(store, id));
}

export function viewGates(store: Store, id: string): GateView[] {
  return projectGates(store.records({ migration: id }), planOf(store, find(store, id))).map((gate) => atThisTime(gate));
}

/** A soak ends without a record: what the projection says it needs is true until then. */
const atThisTime = (gate: GateView, now = Date.now()): GateView =>
  Date.parse(gate.soakUntil) > now
    ? gate
    : { ...gate, needs: gate.needs.filter((need) => !need.startsWith('its soak')) };

export function viewHistory(store: Store, id: string, node: string): NodeHistory {
  const plan = planOf(store, find(store, id));
  const of = plan.stages.flatMap(({ waves, node: steps }) =>
    waves.flatMap(({ nodes }) => nodes.filter(({ name }) => name === node).map(({ adopted }) => ({ steps, adopted }))),
  );
  const history = nodeHistory(
    store.records({ migration: id, node }),
    node,
    of.flatMap(({ steps }) => steps),
    of.some(({ adopted }) => adopted),
  );
  return { ...history, migration: id };
}

/**
 * The whole id of a migration.
 * @param written the id, the start of it, its last six digits, or `latest`
 * @throws CutoverError NotFound, with the nearest name
 */
export function resolveMigration(store: Store, written: string): string {
  return find(store, written).id;
}

function find(store: Store, written: string): Known {
  const known = knownMigrations(store);
  const exact = written === 'latest' ? known[0] : known.find(({ id }) => id === written);
  if (exact) return exact;
  const matches = known.filter(({ id }) => id.startsWith(written) || id.endsWith(`-${written}`));
  if (matches.length === 1) return matches[0]!;
  const ids = known.map(({ id }) => id);
  if (matches.length > 1)
    throw new CutoverError('NotFound', `${written} is the start of several migrations`, {
      remedy: `name one: ${matches.map(({ id }) => id).join(', ')}`,
    });
  throw new CutoverError(
    'NotFound',
    written === 'latest' ? 'there is no migration yet' : `there is no migration ${written}`,
    {
      remedy:
        written === 'latest'
          ? 'start one: cutover plan, cutover preflight, cutover launch'
          : suggestion(written, ids, 'migration'),
    },
  );
}

/** @throws CutoverError NotFound, with the nearest name */
export function requireNode(store: Store, id: string, node: string): string {
  const names = nodeNames(planOf(store, find(store, id)));
  if (names.includes(node)) return node;
  throw new CutoverError('NotFound', `migration ${id} has no node ${node}`, {
    remedy: suggestion(node, names, 'node'),
  });
}

/** @throws CutoverError NotFound, with the nearest name */
export function requireWave(store: Store, id: string, wave: string): string {
  const waves = [
    ...new Set(planOf(store, find(store, id)).stages.flatMap((stage) => stage.waves.map((one) => one.id))),
  ];
  if (waves.includes(wave)) return wave;
  throw new CutoverError('NotFound', `migration ${id} has no wave ${wave}`, {
    remedy: suggestion(wave, waves, 'wave'),
  });
}

/** Id of the workflow run that a node is in: waves run again for repeats and rollbacks, and count them. */
export function nodePlace(
  store: Store,
  id: string,
  node: string,
): { stage: string; wave: string; turn: number } | undefined {
  const plan = planOf(store, find(store, id));
  const started = store.records({ migration: id, kind: ['wave.started'] }).findLast(({ evidence }) => {
    const { nodes } = (evidence ?? {}) as { nodes?: string[] };
    return nodes?.includes(node);
  });
  if (started) {
    const { turn = 0 } = (started.evidence ?? {}) as { turn?: number };
    return { stage: started.stage ?? '', wave: started.wave ?? '', turn };
  }
  for (const stage of plan.stages)
    for (const wave of stage.waves)
      if (wave.nodes.some(({ name }) => name === node)) return { stage: stage.id, wave: wave.id, turn: 0 };
  return undefined;
}
