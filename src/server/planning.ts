import type { ObserveInput } from '../../activities/types.ts';
import { compilePlan, observeInputOf } from '../plan/compile.ts';
import type { ClusterFacts } from '../plan/facts.ts';
import { loadPlan, withPosition } from '../plan/load.ts';
import type { CompiledPlan } from '../plan/types.ts';

/** A plan file as a person sent it. */
export interface PlanSource {
  yaml: string;
  /** For messages: `plans/prod.yaml`. */
  file: string;
  /** Absolute; relative paths of the plan start here. */
  baseDirectory: string;
}

/** Pure: from the text to what has to be observed, and from the facts to the compiled plan. */
export interface Planner {
  /** @throws CutoverError PlanInvalid | RouteUnknown, with line and column */
  load(source: PlanSource): PlanDraft;
}

export interface PlanDraft {
  observe: ObserveInput;
  /** @throws CutoverError WaveEmpty | PlanInvalid | NodeUnreachable … */
  compile(facts: ClusterFacts): { plan: CompiledPlan; warnings: string[] };
}

/** The planner there is. `checks`: ids of the checks that exist; others are refused when given. */
export const createPlanner = (checks?: readonly string[]): Planner => ({
  load: ({ yaml, file, baseDirectory }) => {
    const plan = loadPlan(yaml, { file, ...(checks === undefined ? {} : { checks }) });
    return {
      observe: observeInputOf(plan, baseDirectory),
      compile: (facts) => {
        try {
          return compilePlan(plan, facts, baseDirectory);
        } catch (error) {
          throw withPosition(error, yaml, file);
        }
      },
    };
  },
});
