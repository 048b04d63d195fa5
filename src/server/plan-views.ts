import { CutoverError } from '../errors.ts';
import { bareHash } from '../plan/hash.ts';
import type { CompiledPlan } from '../plan/types.ts';
import type { Store } from '../store/types.ts';

/** A compiled plan as lists and `cutover plan` show it. */
export interface PlanView {
  hash: string;
  name: string;
  /** ISO: when it was first stored. */
  at: string;
  cluster: CompiledPlan['cluster'];
  outline: StageOutline[];
  strategy: CompiledPlan['strategy'];
  /** One sentence each. */
  warnings: string[];
  nodes: number;
  estimate: CompiledPlan['estimate'];
}

export interface StageOutline {
  id: string;
  route: string;
  from: string;
  to: string;
  prepare: string[];
  nodeSteps: string[];
  finalize: string[];
  /** Gates before cluster steps: the title of the step, and what an approver has to know. */
  stepGates: { id: string; before: string; note: string }[];
  /** `adopted`: its nodes are on the new network already and are not migrated again. */
  waves: {
    id: string;
    nodes: { name: string; zone: string; controlPlane: boolean }[];
    gate: string;
    adopted: boolean;
  }[];
  finalizeGate: string;
}

export const nodeNames = (plan: CompiledPlan): string[] => [
  ...new Set(plan.stages.flatMap(({ waves }) => waves.flatMap(({ nodes }) => nodes.map(({ name }) => name)))),
];

export function viewPlan(store: Store, hash: string, plan: CompiledPlan): PlanView {
  const compiled = store.records({ kind: ['plan.compiled'] }).filter((record) => record.planHash === hash);
  const { warnings = [] } = (compiled.at(-1)?.evidence ?? {}) as { warnings?: string[] };
  return {
    hash,
    name: plan.name,
    at: compiled[0]?.at ?? '',
    cluster: plan.cluster,
    outline: plan.stages.map((stage) => ({
      id: stage.id,
      route: stage.route,
      from: stage.from,
      to: stage.to,
      prepare: stage.prepare.map(({ title }) => title),
      nodeSteps: stage.node.map(({ title }) => title),
      finalize: stage.finalize.map(({ title }) => title),
      stepGates: [...stage.prepare, ...stage.finalize].flatMap(({ title, gate }) =>
        gate ? [{ id: gate.id, before: title, note: gate.note ?? '' }] : [],
      ),
      waves: stage.waves.map(({ id, nodes, gate }) => ({
        id,
        nodes: nodes.map(({ name, zone, controlPlane }) => ({ name, zone, controlPlane })),
        gate: gate?.id ?? '',
        adopted: nodes.some(({ adopted }) => adopted),
      })),
      finalizeGate: stage.finalizeGate?.id ?? '',
    })),
    strategy: plan.strategy,
    warnings,
    nodes: nodeNames(plan).length,
    estimate: plan.estimate,
  };
}

export function viewPlans(store: Store): PlanView[] {
  const newestFirst = store.listDocuments('plan').toSorted((a, b) => b.at.localeCompare(a.at));
  return newestFirst.flatMap(({ sha256, at }) => {
    const plan = store.getDocument<CompiledPlan>('plan', sha256);
    return plan ? [{ ...viewPlan(store, sha256, plan), at }] : [];
  });
}

const shortestPrefix = 4;

/** By its hash, or the start of it, or `latest`. @throws CutoverError NotFound */
export function findPlan(store: Store, written: string): { hash: string; plan: CompiledPlan } {
  const wanted = bareHash(written);
  const whole = store.getDocument<CompiledPlan>('plan', wanted);
  if (whole) return { hash: wanted, plan: whole };
  const known = store.listDocuments('plan').toSorted((a, b) => b.at.localeCompare(a.at));
  const matches =
    wanted === 'latest'
      ? known.slice(0, 1)
      : wanted.length < shortestPrefix
        ? []
        : known.filter(({ sha256 }) => sha256.startsWith(wanted));
  const [match] = matches;
  const plan = match && matches.length === 1 ? store.getDocument<CompiledPlan>('plan', match.sha256) : undefined;
  if (match && plan) return { hash: match.sha256, plan };
  throw new CutoverError('NotFound', `there is no compiled plan ${written}`, {
    remedy:
      matches.length > 1
        ? `these begin so: ${matches.map(({ sha256 }) => sha256.slice(0, 16)).join(', ')}`
        : 'compile it first: `cutover plan -f plan.yaml`',
  });
}
