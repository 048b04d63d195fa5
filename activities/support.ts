import { setTimeout as sleepFor } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import { acknowledge, worstVerdict } from '../src/checks/acknowledge.ts';
import type { Bundle } from '../src/checks/gate-bundle.ts';
import { findCheck } from '../src/checks/index.ts';
import { reportOn } from '../src/checks/policy/policy-hazards.ts';
import type { CheckContext, CheckResult } from '../src/checks/types.ts';
import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { hashOf } from '../src/plan/hash.ts';
import type { CompiledPlan, CompiledStage, StepPlace } from '../src/plan/types.ts';
import type { AuditRecord, RecordInput } from '../src/store/types.ts';
import { some } from './args.ts';
import { checkContext } from './check-context.ts';
import { asCutoverError, asFailure, lightResult } from './failures.ts';
import { gateBundle } from './gate-bundle.ts';
import { inParallel } from './in-parallel.ts';
import { factsDocument, observeCluster } from './observe.ts';
import { plannedNode, stageOf, type Plans } from './plans.ts';
import { scrub, scrubText } from './scrub.ts';
import { storyOf } from './story.ts';
import type { Evidence, SupportActivities, TakeLeaseInput } from './types.ts';
import { startHeart, tokenOf } from './attempt.ts';
import type { ActivityDeps } from './deps.ts';

const nodesAtOnce = 10;
const orphanEveryMs = 2_000;
/** A payload of Temporal may have 2 MiB; a gate's evidence travels three times. Characters of JSON. */
const longestEvidence = 300_000;

/** Activities that are no verbs: none of them changes the cluster. */
export function createSupport(deps: ActivityDeps, plans: Plans): SupportActivities {
  const { store } = deps;

  const checksOf = (plan: CompiledPlan, stage: CompiledStage, place?: StepPlace): CheckContext => {
    const { cancellationSignal, info } = Context.current();
    const sources = {
      kubernetes: deps.kubernetes(plan.cluster),
      nodes: deps.nodes(plan.access.ssh),
      plan,
      stage,
      store,
      signal: cancellationSignal,
      ...(place === undefined ? {} : { place }),
    };
    return checkContext(sources, tokenOf(info), undefined);
  };

  /** What a migration cannot go on without: whatever fails, Temporal tries it again, and no workflow ends for it. */
  const forEver = <I, O>(name: string, work: Work<I, O>): ((input: I) => Promise<O>) =>
    supported(deps, name, work, { retried: true });

  return {
    record: forEver('record', async (input) => {
      store.append(scrub(input) as unknown as RecordInput);
    }),

    loadWave: forEver('loadWave', async ({ planHash, stage: stageId, wave: waveId }) => {
      const plan = plans.get(planHash);
      const stage = stageOf(plan, stageId);
      const wave = stage.waves.find(({ id }) => id === waveId);
      if (!wave) throw new CutoverError('NotFound', `stage ${stageId} has no wave ${waveId}`);
      return {
        nodes: wave.nodes.map(({ name, zone }) => ({ name, zone })),
        steps: stage.node,
        verifyRollback: stage.verifyRollback,
        strategy: plan.strategy,
      };
    }),

    loadOutline: forEver('loadOutline', async ({ planHash }) => {
      const { name, strategy, stages } = plans.get(planHash);
      return {
        name,
        strategy,
        stages: stages.map(({ id, route, from, to, prepare, finalize, waves, finalizeGate }) => ({
          id,
          route,
          from,
          to,
          prepare,
          finalize,
          waves: waves.map(({ id: wave, nodes, gate }) => ({
            id: wave,
            nodes: nodes.length,
            ...(nodes.some(({ adopted }) => adopted) ? { adopted: true as const } : {}),
            ...(gate ? { gate } : {}),
          })),
          ...(finalizeGate ? { finalizeGate } : {}),
        })),
      };
    }),

    awaitNodes: forEver('awaitNodes', async ({ migration, planHash, stage, wave, only, except }, progress) => {
      const planned = stageOf(plans.get(planHash), stage).waves.find(({ id }) => id === wave)?.nodes ?? [];
      const names = planned
        .map(({ name }) => name)
        .filter((name) => (only?.includes(name) ?? true) && !except?.includes(name));
      for (;;) {
        const states = names.map((name) => ({ name, ...lastOf(store.records({ migration, node: name }), stage) }));
        const inFlight = states.filter(({ moves }) => moves);
        if (inFlight.length === 0)
          return states.filter(({ outcome }) => outcome !== 'migrated').map(({ name }) => name);
        progress(`waiting for ${some(inFlight.map(({ name }) => name))}, whose wave was ended outside of Cutover`);
        await sleepFor(orphanEveryMs, undefined, { signal: Context.current().cancellationSignal });
      }
    }),

    // What it cannot reach is waited for; what fails otherwise blocks the gate with what is wrong (workflows/gate.ts).
    gatherEvidence: supported(deps, 'gatherEvidence', async ({ place, checks, nodes }, progress) => {
      const plan = plans.get(place.planHash);
      const stage = stageOf(plan, place.stage);
      // Of 500 nodes it is some 15,000 records: read once for all checks and the bundle.
      const story = storyOf(store, plan, place.migration);
      const context = { ...checksOf(plan, stage, place), story: () => story };
      const ofNodes = checks.filter((id) => findCheck(id)?.scope === 'node');
      const ofCluster = checks.filter((id) => !ofNodes.includes(id));

      progress(`asking the cluster: ${ofCluster.join(', ') || 'nothing'}`);
      const results = ofCluster.length > 0 ? await deps.runChecks(ofCluster, context) : [];
      let asked = 0;
      const more = await inParallel(ofNodes.length > 0 ? nodes : [], nodesAtOnce, async (name) => {
        const found = await deps.runChecks(ofNodes, { ...context, node: plannedNode(stage, name) });
        progress(`${++asked} of ${nodes.length} nodes asked`);
        return found;
      });
      const bundle = await gateBundle({ ...context, story, now: deps.now() });
      return evidenceOf([...results, ...more.flat()], plan, deps.now(), bundle);
    }),

    observeCluster: supported(deps, 'observeCluster', async (input, progress) => {
      const means = {
        kubernetes: deps.kubernetes({ kubeconfig: input.kubeconfig, context: input.context }),
        nodes: deps.nodes(input.ssh),
        store,
        now: deps.now,
        signal: Context.current().cancellationSignal,
        progress,
      };
      const facts = await observeCluster(means, input);
      return { factsSha256: store.putDocument('facts', factsDocument(facts)) };
    }),

    policyReport: supported(deps, 'policyReport', async ({ planHash, declared, matrix = false }, progress) => {
      const plan = plans.get(planHash);
      const [stage] = plan.stages;
      if (!stage) throw new CutoverError('PlanInvalid', `plan ${plan.name} has no stage`);
      progress('reading policies, pods and the connections that nodes have seen');
      const nodes = stage.waves.flatMap((wave) => wave.nodes);
      const report = await reportOn(checksOf(plan, stage), nodes, { ...(declared && { declared }), matrix });
      return { reportSha256: store.putDocument('policy-report', scrub(report) as JsonObject) };
    }),

    // Of the first stage, and of later ones what can be asked ahead: the rest is true only when the earlier ones are done,
    // and is asked again at the beginning of its stage.
    preflight: supported(deps, 'preflight', async ({ planHash }, progress) => {
      const plan = plans.get(planHash);
      const [stage, ...later] = plan.stages;
      if (!stage) throw new CutoverError('PlanInvalid', `plan ${plan.name} has no stage`);
      const rounds = [
        { stage, checks: stage.preflight },
        ...later.map((ahead) => ({ stage: ahead, checks: ahead.preflightAhead ?? [] })),
      ];
      const of = rounds.reduce((sum, { checks }) => sum + checks.length, 0);
      const results: CheckResult[] = [];
      for (const round of rounds) {
        const before = results.length;
        const told = (done: number): void => progress(`${before + done} of ${of} checks`, { done: before + done, of });
        told(0);
        const context = { ...checksOf(plan, round.stage), onProgress: told };
        results.push(...(await deps.runChecks(round.checks, context)));
      }
      return evidenceOf(results, plan, deps.now());
    }),

    takeLease: supported(deps, 'takeLease', ({ planHash, ...input }: TakeLeaseInput, progress) =>
      deps.leases.take(deps.kubernetes(plans.get(planHash).cluster), input, {
        progress,
        signal: Context.current().cancellationSignal,
      }),
    ),

    giveBackLease: supported(
      deps,
      'giveBackLease',
      ({ planHash, migration }: { planHash: string; migration: string }) => {
        const { cluster } = plans.get(planHash);
        return deps.leases.giveBack(deps.kubernetes(cluster), cluster.uid, migration);
      },
    ),
  };
}

function evidenceOf(results: CheckResult[], plan: CompiledPlan, now: number, bundle?: Bundle): Evidence {
  const clean = scrub(acknowledge(results, plan.acknowledge)) as unknown as CheckResult[];
  const checks = JSON.stringify(clean).length <= longestEvidence ? clean : clean.map(lightResult);
  return {
    checks,
    digest: hashOf(bundle === undefined ? checks : { checks, bundle }),
    verdict: worstVerdict(checks),
    at: new Date(now).toISOString(),
    ...(bundle === undefined ? {} : { bundle }),
  };
}

/** How the node's story ends so far: whether it is in flight, and if not, what it came to. */
function lastOf(records: AuditRecord[], stage: string): { moves: boolean; outcome?: string } {
  const last = records.findLast((record) => record.stage === stage && /^(step|node)\./.test(record.kind));
  if (last?.kind === 'node.ended')
    return { moves: false, ...(last.outcome === undefined ? {} : { outcome: last.outcome }) };
  return { moves: last !== undefined };
}

type Work<I, O> = (input: I, progress: (message: string, details?: JsonObject) => void) => Promise<O>;

/** Heartbeats while it works, and lets only typed failures out. */
function supported<I, O>(
  deps: ActivityDeps,
  name: string,
  work: Work<I, O>,
  { retried = false } = {},
): (input: I) => Promise<O> {
  return async (input) => {
    const temporal = Context.current();
    const log = deps.log.child({ activity: name });
    const heart = startHeart(temporal, log, name);
    try {
      return await work(input, (message, details) => {
        heart.beat(message, details);
        temporal.cancellationSignal.throwIfAborted();
      });
    } catch (error) {
      const { cancellationSignal } = temporal;
      if (cancellationSignal.aborted)
        throw cancellationSignal.reason instanceof CancelledFailure
          ? cancellationSignal.reason
          : new CancelledFailure('CANCELLED');
      const known = asCutoverError(error);
      log[known.type === 'Internal' ? 'error' : 'warn']({ type: known.type }, scrubText(known.message));
      throw asFailure(known, retried);
    } finally {
      heart.stop();
    }
  };
}
