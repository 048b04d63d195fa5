import { setTimeout as sleepFor } from 'node:timers/promises';
import { Context, type Info } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import type { Logger } from 'pino';
import type { CheckResult } from '../src/checks/types.ts';
import { CutoverError } from '../src/errors.ts';
import type { Json, JsonObject } from '../src/json.ts';
import { hashOf } from '../src/plan/hash.ts';
import type { RecordInput, Wait } from '../src/store/types.ts';
import { asCutoverError, asFailure } from './failures.ts';
import { outlast, type OutageHost } from './outage.ts';
import { scrub, scrubText, shortMessage } from './scrub.ts';
import type { VerbContext, VerbInput } from './types.ts';
import type { ActivityDeps } from './deps.ts';

/** The longest silence, and how often there may be something new to say. */
const heartbeatMs = 3_000;
const lookEveryMs = 1_000;
/**
 * The activity's time from behind: the last part is for writing down how it ended; the part before it is for a verb that
 * waited until its deadline to find out and say what it waited for. Only then the signal aborts.
 */
const closingMs = 2_000;
export const explainingMs = 5_000;

/** One attempt of one activity, or of a support activity: its time, its signal, its heartbeat and its records. */
export interface Attempt {
  info: Info;
  /**
   * The fencing token: `scheduledTimestampMs * 1000 + attempt`. Steps that change a node run one after the other, so a
   * later step, a later workflow of the node and a later attempt all have a greater one. A node refuses a smaller one
   * (AttemptFenced), which stops an attempt that Temporal has given up on. Below 2^53 until the year 2255.
   */
  token: number;
  readonly deadline: number;
  readonly signal: AbortSignal;
  log: Logger;
  tell(message: string, details?: JsonObject): void;
  waiting: VerbContext['waiting'];
  /** Does it again for as long as an outage is what fails; each time with the step's whole time. */
  outlast<T>(work: () => T | Promise<T>): Promise<T>;
  /** Waits for a store that cannot be written: an end even when the attempt was cancelled, since its effect is there. */
  append(moment: 'began' | 'ended', fields: Partial<RecordInput>): Promise<void>;
  /** Writes down how it failed. @returns what to throw */
  failed(error: unknown): Promise<Error>;
  close(): void;
}

export function beginAttempt(deps: ActivityDeps, name: string, { place, step, nodeAttempt }: VerbInput): Attempt {
  const temporal = Context.current();
  const { info } = temporal;
  const startedAt = deps.now();
  const run = info.workflowExecution;
  const key = `${run?.workflowId ?? ''}:${run?.runId ?? ''}:${info.activityId}:${info.attempt}`;
  const log = deps.log.child({
    verb: name,
    migration: place.migration,
    ...(place.node ? { node: place.node } : {}),
    step: step.id,
    attempt: info.attempt,
  });
  const heart = startHeart(temporal, log, step.title);

  const stepMs = step.timeoutSeconds === undefined ? info.startToCloseTimeoutMs : step.timeoutSeconds * 1000;
  const fifth = stepMs / 5;
  const what = place.node === undefined ? step.title : `${step.title} on ${place.node}`;
  let clock = startClock();
  /** The step's time from now on, and the signal that ends with it. */
  function startClock() {
    const overtime = new AbortController();
    const over = Promise.withResolvers<never>();
    // Nothing may wait for it.
    over.promise.catch(() => undefined);
    const late = (): CutoverError =>
      new CutoverError('StepTimedOut', `${what} took longer than ${Math.round(stepMs / 1000)} s: ${heart.last()}`);
    const timer = setTimeout(() => overtime.abort(late()), stepMs - Math.min(closingMs, fifth));
    timer.unref();
    const last = setTimeout(() => over.reject(late()), stepMs);
    last.unref();
    return {
      stop: () => {
        clearTimeout(timer);
        clearTimeout(last);
      },
      /** Rejects when even the time for saying what was waited for is over: what does not listen is left behind. */
      over: over.promise,
      deadline: deps.now() + stepMs - Math.min(closingMs, fifth) - Math.min(explainingMs, fifth),
      signal: AbortSignal.any([temporal.cancellationSignal, overtime.signal]),
      overtime: overtime.signal,
    };
  }
  let began = false;
  const waitsMs: { [what in Wait]?: number } = {};

  const waiting: Attempt['waiting'] = async (what, work) => {
    const from = deps.now();
    try {
      return await work();
    } finally {
      waitsMs[what] = (waitsMs[what] ?? 0) + deps.now() - from;
    }
  };

  const isShuttingDown = (): boolean =>
    (temporal.cancellationSignal.reason as Error | undefined)?.message === 'WORKER_SHUTDOWN';
  /** Ends when the attempt is cancelled; with `stays`, only when the worker shuts down, since another one finds it then. */
  const pause = async (ms: number, stays = false): Promise<void> => {
    const { cancellationSignal } = temporal;
    for (const until = Date.now() + ms; Date.now() < until;) {
      if (cancellationSignal.aborted && (!stays || isShuttingDown())) throw cancellationOf(temporal);
      await sleepFor(Math.min(250, ms));
    }
  };
  const commonFields = (): Pick<RecordInput, 'at' | 'actor'> & Partial<RecordInput> => ({
    at: new Date(deps.now()).toISOString(),
    actor: `worker:${deps.identity}`,
    migration: place.migration,
    planHash: place.planHash,
    stage: place.stage,
    ...(place.wave === undefined ? {} : { wave: place.wave }),
    ...(place.node === undefined ? {} : { node: place.node }),
    step: step.id,
    direction: step.direction,
    attempt: info.attempt,
    nodeAttempt,
  });

  let notes = 0;
  /** Best effort: an outage of the store itself cannot be written down, and the store's own health says it. */
  const note = (moment: 'waiting' | 'resumed', fields: Partial<RecordInput>): void => {
    if (!began) return;
    try {
      deps.store.append({ ...commonFields(), key: `${key}:${moment}:${++notes}`, kind: `step.${moment}`, ...fields });
    } catch (error) {
      log.warn({ error: scrubText(String(error)) }, `that the step is ${moment} cannot be recorded`);
    }
  };

  const outages = (stays: boolean): OutageHost => ({
    now: deps.now,
    ...(deps.nodePatienceMs === undefined ? {} : { nodePatienceMs: deps.nodePatienceMs }),
    sleep: (ms) => pause(ms, stays),
    tell: heart.beat,
    began: ({ type, message, remedy }) =>
      note('waiting', { error: { type, message: shortMessage(message), remedy: shortMessage(remedy) } }),
    ended: ({ type }, ms) => note('resumed', { outcome: type, durationMs: ms }),
  });

  const append: Attempt['append'] = async (moment, fields) => {
    const record: RecordInput = {
      ...commonFields(),
      key: `${key}:${moment}`,
      kind: `step.${moment}`,
      ...(moment === 'ended'
        ? {
            durationMs: deps.now() - startedAt,
            ...(Object.keys(waitsMs).length > 0 ? { waitsMs: { ...waitsMs } } : {}),
          }
        : { message: step.title }),
      ...fields,
    };
    await outlast(outages(moment === 'ended'), () => void deps.store.append(record));
    began = true;
  };

  const failed: Attempt['failed'] = async (error) => {
    const cancelled = temporal.cancellationSignal.aborted;
    const known = asCutoverError(
      !cancelled && clock.overtime.aborted && !(error instanceof CutoverError) ? clock.overtime.reason : error,
    );
    if (known.type === 'Internal' && !cancelled)
      log.error({ stack: scrubText(String((known.cause as Error | undefined)?.stack ?? known.stack)) }, 'a bug');
    const { checks, evidence } = known as CutoverError & { checks?: CheckResult[]; evidence?: Json };
    const message = shortMessage(cancelled ? 'stopped on request, nothing was taken back' : known.message);
    try {
      // A failure before `began` had no effect, and there is no step to end.
      if (began) {
        await append('ended', {
          outcome: cancelled ? 'cancelled' : 'failed',
          message,
          ...(cancelled ? {} : { error: { type: known.type, message, remedy: shortMessage(known.remedy) } }),
          ...(checks ? evidenceFields(checks, evidence) : evidenceFields([], known.details)),
        });
      }
    } catch (storeError) {
      return storeError instanceof CancelledFailure ? storeError : asFailure(storeError);
    }
    log.warn({ type: cancelled ? 'Cancelled' : known.type }, message);
    return cancelled ? cancellationOf(temporal) : asFailure(known);
  };

  return {
    info,
    token: tokenOf(info),
    get deadline() {
      return clock.deadline;
    },
    get signal() {
      return clock.signal;
    },
    log,
    tell: heart.beat,
    waiting,
    outlast: (work) =>
      outlast(outages(false), () => {
        clock.stop();
        clock = startClock();
        return Promise.race([work(), clock.over]);
      }),
    append,
    failed,
    close: () => {
      clock.stop();
      heart.stop();
    },
  };
}

/** See `Attempt.token`. */
export const tokenOf = ({ scheduledTimestampMs, attempt }: Pick<Info, 'scheduledTimestampMs' | 'attempt'>): number =>
  Math.floor(scheduledTimestampMs) * 1000 + Math.min(attempt, 999);

const cancellationOf = (temporal: Context): Error =>
  temporal.cancellationSignal.reason instanceof CancelledFailure
    ? temporal.cancellationSignal.reason
    : new CancelledFailure('CANCELLED');

/**
 * Heartbeats in the background: a verb that waits for minutes shows that its worker lives, and what it does. At most one a
 * second, and none at all from what is done by then: each is a request to Temporal.
 */
export function startHeart(
  temporal: Context,
  log: Logger,
  title: string,
): { beat(message: string, details?: JsonObject): void; last(): string; stop(): void } {
  let now: JsonObject & { message: string } = { message: title };
  let said = now;
  let sentAt = Date.now();
  const longestMs = Math.min(heartbeatMs, (temporal.info.heartbeatTimeoutMs ?? Infinity) / 4);
  const timer = setInterval(
    () => {
      if (now === said && Date.now() - sentAt < longestMs) return;
      said = now;
      sentAt = Date.now();
      temporal.heartbeat(now);
    },
    Math.min(lookEveryMs, longestMs),
  );
  timer.unref();
  return {
    beat: (message, details = {}) => {
      now = { ...(scrub(details) as JsonObject), message: shortMessage(message) };
      log.info(details, shortMessage(message));
    },
    last: () => now.message,
    stop: () => clearInterval(timer),
  };
}

/** What was measured, and the digest that a decision can name. */
export function evidenceFields(
  checks: CheckResult[],
  evidence: unknown,
): Pick<RecordInput, 'checks' | 'evidence' | 'evidenceDigest'> {
  const clean = evidence === undefined || evidence === null ? undefined : scrub(evidence);
  if (checks.length === 0 && clean === undefined) return {};
  const fields = { ...(checks.length > 0 ? { checks } : {}), ...(clean === undefined ? {} : { evidence: clean }) };
  return { ...fields, evidenceDigest: hashOf(fields) };
}
