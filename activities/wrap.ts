import { setTimeout as sleepFor } from 'node:timers/promises';
import type { CheckResult } from '../src/checks/types.ts';
import { CutoverError } from '../src/errors.ts';
import { isMutating } from '../src/node/verb-program.ts';
import { changesNodes } from '../src/plan/changes-nodes.ts';
import type { CompiledPlan } from '../src/plan/types.ts';
import { some } from './args.ts';
import { beginAttempt, evidenceFields, explainingMs, type Attempt } from './attempt.ts';
import { checkContext, movedNodes } from './check-context.ts';
import type { ActivityDeps } from './deps.ts';
import { checksFailed, lightResult } from './failures.ts';
import { guardedClient } from './lease.ts';
import { plannedNode, stageOf, type Plans } from './plans.ts';
import { scrub, shortMessage } from './scrub.ts';
import type { Verb, VerbContext, VerbInput, VerbResult } from './types.ts';

const verbTimeoutMs = 120_000;

/**
 * The one wrapper around every verb (design §4). In this order: reads the compiled plan; appends `step.began` (no
 * record, no effect); runs the verb, heartbeating; runs the step's checks; appends `step.ended`. Each of these waits
 * for as long as the store or the API server is out of reach (outage.ts), and the verb then begins again with its whole
 * time. Every error leaves as an `ApplicationFailure` with a type of `src/errors.ts`; a cancelled attempt leaves as
 * cancelled, and undoes nothing.
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
      const plan = await attempt.outlast(() => plans.get(input.place.planHash));
      await attempt.append('began', {});
      const context = createVerbContext(deps, plan, input, attempt);

      const done = await attempt.outlast(async () => {
        await context.hold();
        if (input.step.direction === 'back' && input.place.node === undefined) await refuseUnderNodes(context);
        const result = await verb(context, input.with);
        context.signal.throwIfAborted();
        return result;
      });
      const checks =
        input.verify.length === 0
          ? []
          : await attempt.waiting('checks', () => attempt.outlast(() => verify(context, input)));

      const result = { ...done, summary: shortMessage(done.summary) };
      const message = result.summary;
      const failed = checksFailed(checks);
      if (failed) throw Object.assign(failed, { checks, evidence: result.evidence });
      await attempt.append('ended', { outcome: 'ok', message, ...evidenceFields(checks, result.evidence) });
      return { changed: result.changed, summary: message, checks: checks.map(lightResult) };
    } catch (error) {
      throw await attempt.failed(error);
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

function createVerbContext(
  deps: ActivityDeps,
  plan: CompiledPlan,
  { place, nodeAttempt, step }: VerbInput,
  attempt: Attempt,
): VerbContext & { hold(): Promise<void> } {
  const stage = stageOf(plan, place.stage);
  const { token, log } = attempt;
  const nodes = deps.nodes(plan.access.ssh);
  const node = (): ReturnType<VerbContext['node']> => {
    if (place.node === undefined) throw new CutoverError('Internal', `the step ${step.id} is no step of a node`);
    return plannedNode(stage, place.node);
  };
  const reach = deps.kubernetes(plan.cluster);
  const hold = (): Promise<void> => deps.leases.hold(reach, plan.cluster.uid, place.migration);
  const context: VerbContext & { hold(): Promise<void> } = {
    hold,
    place,
    plan,
    stage,
    check: async (ids, of) =>
      scrub(
        await deps.runChecks(ids, { ...checkContext(context, token, of), throwsOutages: true }),
      ) as unknown as CheckResult[],
    kubernetes: guardedClient(reach, hold),
    nodes,
    store: deps.store,
    nodeAttempt,
    direction: step.direction,
    node,
    onNode: async (verb, input, options = {}) => {
      attempt.signal.throwIfAborted();
      if (isMutating(verb)) await hold();
      // A verb on a node may use the time for explaining: its own message says more than a time-out of ours.
      const left = Math.max(1_000, attempt.deadline + explainingMs - deps.now());
      return nodes.run(options.node ?? node().name, verb, input, {
        token,
        // The cluster's lease decides which installation may work, and has just been asked.
        takeOver: isMutating(verb),
        signal: attempt.signal,
        timeoutMs: Math.min(options.timeoutMs ?? verbTimeoutMs, left),
      });
    },
    progress: (message, details) => {
      attempt.tell(message, details);
      attempt.signal.throwIfAborted();
    },
    get signal() {
      return attempt.signal;
    },
    get deadline() {
      return attempt.deadline;
    },
    sleep: async (ms) => {
      const { signal } = attempt;
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
