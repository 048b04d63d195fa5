import { ApplicationFailure } from '@temporalio/common';
import { CutoverError, errorTable, type ErrorType } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import type { CheckResult } from '../src/checks/types.ts';
import { scrub, shortMessage } from './scrub.ts';

/** What stands in a workflow's history for an error stays small; the record has the rest. Characters of JSON. */
const longestDetails = 16_000;
const longestEvidence = 1_000;

/** Checks settle: routes, agents and endpoints come by themselves, so a step that they failed may be tried again. */
const retriedAnyway: readonly ErrorType[] = ['ChecksFailed'];

/** Any error as one that a person can act on. What nobody foresaw is a bug of ours, and says so. */
export function asCutoverError(error: unknown): CutoverError {
  if (error instanceof CutoverError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new CutoverError('Internal', message, { cause: error });
}

/**
 * The one way by which an error leaves an activity: an `ApplicationFailure` whose type is a row of `src/errors.ts` and
 * whose first detail is `{ remedy, ...details }`. Neither secrets nor stacks nor causes go along.
 *
 * @param retried whatever the type: tried again for ever
 */
export function asFailure(error: unknown, retried = false): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  const { type, message, remedy, details } = asCutoverError(error);
  return ApplicationFailure.create({
    type,
    message: shortMessage(message),
    nonRetryable: !retried && !errorTable[type].retryable && !retriedAnyway.includes(type),
    details: [smallDetails(remedy, details)],
  });
}

function smallDetails(remedy: string, details: unknown): JsonObject {
  const clean = scrub(details);
  const fields: JsonObject =
    clean !== null && typeof clean === 'object' && !Array.isArray(clean)
      ? clean
      : clean === null
        ? {}
        : { details: clean };
  const all = { ...fields, remedy: shortMessage(remedy) };
  return JSON.stringify(all).length <= longestDetails ? all : { remedy: all.remedy, cut: true };
}

/** A check result as it travels through Temporal: long evidence stays in the record. */
export function lightResult(result: CheckResult): CheckResult {
  return JSON.stringify(result.evidence ?? null).length <= longestEvidence ? result : { ...result, evidence: null };
}

/** @returns undefined when no check blocks */
export function checksFailed(checks: CheckResult[]): CutoverError | undefined {
  const blocking = checks.filter(({ verdict }) => verdict === 'block');
  const [first] = blocking;
  if (!first) return undefined;
  const sentences = blocking.map(({ id, message }) => `${id}: ${message}`).join('; ');
  const many = blocking.length === 1 ? '' : `${blocking.length} checks block: `;
  return new CutoverError('ChecksFailed', `${many}${sentences}`, {
    ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
    details: { checks: blocking.map(lightResult) },
  });
}
