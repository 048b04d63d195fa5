import { setTimeout as sleepFor } from 'node:timers/promises';
import { Context, type Info } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import type { Logger } from 'pino';
import type { CheckContext, CheckResult } from '../src/checks/types.ts';
import { CutoverError } from '../src/errors.ts';
import type { Json, JsonObject } from '../src/json.ts';
import type { KubernetesClient } from '../src/kubernetes/types.ts';
import type { NodeAccess } from '../src/node/types.ts';
import { changesNodes } from '../src/plan/changes-nodes.ts';
import { hashOf } from '../src/plan/hash.ts';
import type { CompiledPlan } from '../src/plan/types.ts';
import type { RecordInput, Store, Wait } from '../src/store/types.ts';
import { some } from './args.ts';
import { checkContext, movedNodes } from './check-context.ts';
import { asCutoverError, asFailure, checksFailed, lightResult } from './failures.ts';
import { plannedNode, stageOf, type Plans } from './plans.ts';
import { scrub, scrubText, shortMessage } from './scrub.ts';
import type { Verb, VerbContext, VerbInput, VerbResult } from './types.ts';

export interface ActivityDeps {
  store: Store;
  /** Cached: one client, hence one connection pool, for each cluster. */
  kubernetes(cluster: Pick<CompiledPlan['cluster'], 'kubeconfig' | 'context'>): KubernetesClient;
  /** Cached: connections to nodes are kept. */
  nodes(ssh: CompiledPlan['access']['ssh']): NodeAccess;
  runChecks(ids: readonly string[], context: CheckContext): Promise<CheckResult[]>;
  log: Logger;
  /** Ms since the epoch. */
  now(): number;
  /** Of this worker, for the record. */
  identity: string;
}

/** The longest silence, and how often there may be something new to say. */
const heartbeatMs = 3_000;
const lookEveryMs = 1_000;
/**
 * The activity's time from behind: the last part is for writing down how it ended; the part before it is for a verb that
 * waited until its deadline to find out and say what it waited for. Only then the signal aborts.
 */
const closingMs = 2_000;
const explainingMs = 5_000;
const verbTimeoutMs = 120_000;

/**
 * The one wrapper around every verb (design §4). In this order: reads the compiled plan; appends `step.began` (no
 * record, no effect); runs the verb, heartbeating; runs the step's checks; appends `step.ended`. Every error leaves as an
 * `ApplicationFailure` with a type of `src/errors.ts`; a cancelled attempt leaves as cancelled, and undoes nothing.
 */
export function wrapVerb(
  name: string,
  verb: Verb,
  deps: ActivityDeps,
  plans: Plans,
): (input: VerbInput) => Promise<VerbResult> {
  return async (input) => {
    const attempt = beginAttempt(deps, name, input);
    try {
      const plan = plans.get(input.place.planHash);
      attempt.append('began', {});
      const context = createVerbContext(deps, plan, input, attempt);

      if (input.step.direction === 'back' && input.place.node === undefined) await refuseUnderNodes(context);
      const done = await verb(context, input.with);
      attempt.signal.throwIfAborted();
      const checks = input.verify.length === 0 ? [] : await attempt.waiting('checks', () => verify(context, input));

      const result = { ...done, summary: shortMessage(done.summary) };
      const message = result.summary;
      const failed = checksFailed(checks);
      if (failed) throw Object.assign(failed, { checks, evidence: result.evidence });
      attempt.append('ended', { outcome: 'ok', message, ...evidenceFields(checks, result.evidence) });
      return { changed: result.changed, summary: message, checks: checks.map(lightResult) };
    } catch (error) {
      throw attempt.failed(error);
    } finally {
      attempt.close();
    }
  };
}

/**
 * What was prepared carries the nodes on the new network: taking it away under one of them is an outage.
 *
 * @throws CutoverError ChecksFailed naming them
 */
async function refuseUnderNodes({ kubernetes, stage }: VerbContext): Promise<void> {
  // A stage that changes no node, or ends on the network it began on, has none that would be left on another.
  if (stage.from === stage.to || !changesNodes(stage)) return;
  const left = await movedNodes(kubernetes, stage);
  const [first] = left;
  if (first === undefined) return;
  throw new CutoverError(
    'ChecksFailed',
    `${some(left)} ${left.length === 1 ? 'is' : 'are'} still on ${stage.to}, and nothing is taken away under ${left.length === 1 ? 'it' : 'them'}`,
    { remedy: `take back what is named, each with \`cutover rollback --node ${first}\`; the rest follows by itself` },
  );
}

async function verify(context: VerbContext, { verify: ids }: VerbInput): Promise<CheckResult[]> {
  context.progress(`checking ${ids.join(', ')}`);
  return context.check(ids, context.place.node === undefined ? undefined : context.node());
}

/** One attempt of one activity, or of a support activity: its time, its signal, its heartbeat and its records. */
interface Attempt {
  info: Info;
  /**
   * The fencing token: `scheduledTimestampMs * 1000 + attempt`. Steps that change a node run one after the other, so a
   * later step, a later workflow of the node and a later attempt all have a greater one. A node refuses a smaller one
   * (AttemptFenced), which stops an attempt that Temporal has given up on. Below 2^53 until the year 2255.
   */
  token: number;
  deadline: number;
  signal: AbortSignal;
  log: Logger;
  tell(message: string, details?: JsonObject): void;
  waiting: VerbContext['waiting'];
  append(moment: 'began' | 'ended', fields: Partial<RecordInput>): void;
  /** Writes down how it failed. @returns what to throw */
  failed(error: unknown): Error;
  close(): void;
}

function beginAttempt(deps: ActivityDeps, name: string, { place, step, nodeAttempt }: VerbInput): Attempt {
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

  const seconds = Math.round(info.startToCloseTimeoutMs / 1000);
  const fifth = info.startToCloseTimeoutMs / 5;
  const timeMs = info.startToCloseTimeoutMs - Math.min(closingMs, fifth);
  const overtime = new AbortController();
  const what = place.node === undefined ? step.title : `${step.title} on ${place.node}`;
  const timer = setTimeout(
    () => overtime.abort(new CutoverError('StepTimedOut', `${what} took longer than ${seconds} s: ${heart.last()}`)),
    timeMs,
  );
  timer.unref();
  const signal = AbortSignal.any([temporal.cancellationSignal, overtime.signal]);
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

  const append: Attempt['append'] = (moment, fields) => {
    const record: RecordInput = {
      key: `${key}:${moment}`,
      kind: `step.${moment}`,
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
      ...(moment === 'ended'
        ? {
            durationMs: deps.now() - startedAt,
            ...(Object.keys(waitsMs).length > 0 ? { waitsMs: { ...waitsMs } } : {}),
          }
        : { message: step.title }),
      ...fields,
    };
    deps.store.append(record);
    began = true;
  };

  const failed: Attempt['failed'] = (error) => {
    const cancelled = temporal.cancellationSignal.aborted;
    const known = asCutoverError(
      !cancelled && overtime.signal.aborted && !(error instanceof CutoverError) ? overtime.signal.reason : error,
    );
    if (known.type === 'Internal' && !cancelled)
      log.error({ stack: scrubText(String((known.cause as Error | undefined)?.stack ?? known.stack)) }, 'a bug');
    const { checks, evidence } = known as CutoverError & { checks?: CheckResult[]; evidence?: Json };
    const message = shortMessage(cancelled ? 'stopped on request, nothing was taken back' : known.message);
    try {
      // A failure before `began` had no effect, and there is no step to end.
      if (began) {
        append('ended', {
          outcome: cancelled ? 'cancelled' : 'failed',
          message,
          ...(cancelled ? {} : { error: { type: known.type, message, remedy: shortMessage(known.remedy) } }),
          ...(checks ? evidenceFields(checks, evidence) : evidenceFields([], known.details)),
        });
      }
    } catch (storeError) {
      return asFailure(storeError);
    }
    log.warn({ type: cancelled ? 'Cancelled' : known.type }, message);
    return cancelled ? cancellationOf(temporal) : asFailure(known);
  };

  return {
    info,
    token: tokenOf(info),
    deadline: startedAt + timeMs - Math.min(explainingMs, fifth),
    signal,
    log,
    tell: heart.beat,
    waiting,
    append,
    failed,
    close: () => {
      clearTimeout(timer);
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

function createVerbContext(
  deps: ActivityDeps,
  plan: CompiledPlan,
  { place, nodeAttempt, step }: VerbInput,
  attempt: Attempt,
): VerbContext {
  const stage = stageOf(plan, place.stage);
  const { signal, deadline, token, log } = attempt;
  const nodes = deps.nodes(plan.access.ssh);
  const node = (): ReturnType<VerbContext['node']> => {
    if (place.node === undefined) throw new CutoverError('Internal', `the step ${step.id} is no step of a node`);
    return plannedNode(stage, place.node);
  };
  const context: VerbContext = {
    place,
    plan,
    stage,
    check: async (ids, of) =>
      scrub(await deps.runChecks(ids, checkContext(context, token, of))) as unknown as CheckResult[],
    kubernetes: deps.kubernetes(plan.cluster),
    nodes,
    store: deps.store,
    nodeAttempt,
    direction: step.direction,
    node,
    onNode: (verb, input, options = {}) => {
      signal.throwIfAborted();
      // A verb on a node may use the time for explaining: its own message says more than a time-out of ours.
      const left = Math.max(1_000, deadline + explainingMs - deps.now());
      return nodes.run(options.node ?? node().name, verb, input, {
        token,
        signal,
        timeoutMs: Math.min(options.timeoutMs ?? verbTimeoutMs, left),
      });
    },
    progress: (message, details) => {
      attempt.tell(message, details);
      signal.throwIfAborted();
    },
    signal,
    deadline,
    sleep: async (ms) => {
      signal.throwIfAborted();
      try {
        await sleepFor(ms, undefined, { signal });
      } catch {
        throw signal.reason;
      }
    },
    waiting: attempt.waiting,
    log,
  };
  return context;
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
