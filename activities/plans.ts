import { CutoverError } from '../src/errors.ts';
import type { CompiledPlan, CompiledStage, PlannedNode } from '../src/plan/types.ts';
import type { Store } from '../src/store/types.ts';

/** Compiled plans are immutable, so each is read once. Few are ever under way at the same time. */
const kept = 8;

export interface Plans {
  /** @throws CutoverError NotFound */
  get(planHash: string): CompiledPlan;
}

export function createPlans(store: Store): Plans {
  const known = new Map<string, CompiledPlan>();
  return {
    get: (planHash) => {
      const cached = known.get(planHash);
      if (cached) return cached;
      const plan = store.getDocument<CompiledPlan>('plan', planHash);
      if (!plan) {
        throw new CutoverError('NotFound', `the store has no compiled plan ${planHash.slice(0, 12)}…`, {
          remedy: 'start the worker with the data directory (or database) in which the plan was compiled',
        });
      }
      const oldest = known.size >= kept ? known.keys().next().value : undefined;
      if (oldest !== undefined) known.delete(oldest);
      known.set(planHash, plan);
      return plan;
    },
  };
}

/** @throws CutoverError NotFound */
export function stageOf(plan: CompiledPlan, id: string): CompiledStage {
  const stage = plan.stages.find((each) => each.id === id);
  if (!stage) throw new CutoverError('NotFound', `plan ${plan.name} has no stage ${id}`);
  return stage;
}

export const plannedNodes = (stage: CompiledStage): PlannedNode[] => stage.waves.flatMap(({ nodes }) => nodes);

/** @throws CutoverError NotFound */
export function plannedNode(stage: CompiledStage, name: string): PlannedNode {
  const node = plannedNodes(stage).find((each) => each.name === name);
  if (!node) throw new CutoverError('NotFound', `stage ${stage.id} has no node ${name}`);
  return node;
}
