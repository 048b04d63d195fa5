import { runChecks } from '../src/checks/run.ts';
import type { NodeAccess } from '../src/node/types.ts';
import type { Store } from '../src/store/types.ts';
import { createLeases } from './lease.ts';
import { createPlans } from './plans.ts';
import { createSupport } from './support.ts';
import type { SupportActivities, VerbInput, VerbResult } from './types.ts';
import { verbs } from './verbs.ts';
import type { ActivityDeps } from './deps.ts';
import { wrapVerb } from './wrap.ts';

export type Deps = Omit<ActivityDeps, 'runChecks' | 'leases'> & Partial<Pick<ActivityDeps, 'runChecks' | 'leases'>>;

export type Activities = SupportActivities & { [verb: string]: (input: VerbInput) => Promise<VerbResult> };

/** Every program on a node is told which installation it works for. */
const inTheNameOf = (store: Store, access: NodeAccess): NodeAccess => ({
  ...access,
  run: (node, verb, input, options) =>
    access.run(node, verb, input, { ...options, installation: store.installation() }),
});

/**
 * All activities of a worker by name: every verb, wrapped, and the support activities. Every worker of a task queue has
 * the same set. `kubernetes` and `nodes` of `deps` are expected to keep what they made.
 */
export function createActivities(deps: Deps): Activities {
  const all: ActivityDeps = {
    runChecks,
    leases: createLeases(deps),
    ...deps,
    nodes: (ssh) => inTheNameOf(deps.store, deps.nodes(ssh)),
  };
  const plans = createPlans(all.store);
  const wrapped = Object.entries(verbs).map(([name, verb]) => [name, wrapVerb(name, verb, all, plans)] as const);
  return { ...Object.fromEntries(wrapped), ...createSupport(all, plans) } as Activities;
}
