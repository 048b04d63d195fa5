import type { JsonObject } from '../json.ts';
import type { Action, Route, RouteSettings, Step } from '../plan/types.ts';

/** A step of a runbook, written so that it reads: id, what a person sees, and the rest. */
export const step = (id: string, title: string, rest: Omit<Step, 'id' | 'title'>): Step => ({ id, title, ...rest });

/** One undo entry. */
export const undo = (verb: string, args?: JsonObject): Action => (args === undefined ? { verb } : { verb, with: args });

/**
 * Measures bandwidth, latency and bytes on the wire: `before` once the baseline was checked, `after` while the probe pods are
 * still there. It changes nothing that stays, so there is nothing to undo, and a figure that cannot be had fails no step.
 */
export const captureStep = (when: 'before' | 'after'): Step =>
  step(`capture-${when}`, when === 'before' ? 'Measure the network as it is' : 'Measure the network as it is now', {
    verb: 'capture.take',
    with: { when },
    // The longest that the plan allows: 20 runs of 60 s on four paths.
    timeoutSeconds: 7_500,
  });

/** The first step of every route; its undo takes away all that the migration left on nodes, too. */
export const probesStep: Step = step('probes', 'Start the probe pods', {
  verb: 'probe.deploy',
  undo: [undo('probe.remove'), undo('cluster.forget')],
  timeoutSeconds: 300,
});

/** How a node is emptied before its network is touched. The undo of the first of them gives it back to the scheduler. */
export const emptyNode = ({ timeoutSeconds }: RouteSettings['drain']): Step[] => [
  step('cordon', 'Take no new pods and leave external load balancers', {
    verb: 'node.cordon',
    undo: [undo('node.restoreCordon')],
  }),
  step('leave', "Keep what its probe has seen, and leave the probes' Service", {
    verb: 'probe.leave',
    undo: [undo('probe.join')],
  }),
  step('evict', 'Move the pods away, within budgets', {
    verb: 'node.drain',
    alongside: true,
    // An eviction that somebody cut off holds its budget for two minutes more (§0a.22).
    timeoutSeconds: timeoutSeconds + 180,
    attempts: 1,
  }),
];

/** Checks nothing at run time; it is where a new route begins, and what makes its type errors readable. */
export const defineRoute = (route: Route): Route => route;
