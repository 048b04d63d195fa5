import type { JsonObject } from '../json.ts';
import type { Action, Route, Step } from '../plan/types.ts';

/** A step of a runbook, written so that it reads: id, what a person sees, and the rest. */
export const step = (id: string, title: string, rest: Omit<Step, 'id' | 'title'>): Step => ({ id, title, ...rest });

/** One undo entry. */
export const undo = (verb: string, args?: JsonObject): Action => (args === undefined ? { verb } : { verb, with: args });

/** Checks nothing at run time; it is where a new route begins, and what makes its type errors readable. */
export const defineRoute = (route: Route): Route => route;
