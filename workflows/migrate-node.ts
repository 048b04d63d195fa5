import {
  CancellationScope,
  condition,
  defineSignal,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { Action, Step, StepPlace } from '../src/plan/types.ts';
import { clusterWorkflowId } from '../src/temporal/ids.ts';
import { failureOf, isLeaseLost, isOutOfReach, tellIfThere, waitsForPerson, type StepFailure } from './failures.ts';
import type {
  AbortArgs,
  MigrateNodeInput,
  NodeDecision,
  NodeNews,
  NodeOutcome,
  NodeOutcomeState,
  PauseArgs,
} from './messages.ts';
import { createRecorder } from './recorder.ts';
import { runVerb, undoPatience } from './stubs.ts';

export const pauseNode = defineSignal<[PauseArgs | null]>('pauseNode');
export const abortNode = defineSignal<[AbortArgs]>('abortNode');
export const decideNode = defineSignal<[NodeDecision]>('decideNode');
export const slotGranted = defineSignal('slotGranted');

/**
 * The story of one node: interprets the route's steps, which came as data. For each step the undo entry is registered
 * first, then the verb runs with its verification. On failure the node goes back by itself or holds, as the plan says.
 */
export async function migrateNode(input: MigrateNodeInput): Promise<NodeOutcome> {
  const { node, strategy, steps } = input;
  const place: StepPlace = {
    migration: input.migration,
    planHash: input.planHash,
    stage: input.stage,
    wave: input.wave,
    node,
  };
  const record = createRecorder({ ...place });
  const parent = workflowInfo().parent;

  let pause = input.pause;
  let abort: AbortArgs | null = null;
  let decision: NodeDecision | null = null;
  let slot = true;
  let forwardScope: CancellationScope | undefined;
  /** Ids of the steps whose undo entries are due, in the order they began. */
  let began: Step[] = input.direction === 'back' ? [...steps] : [];
  let nodeAttempt = 1;
  let failures = 0;

  setHandler(pauseNode, (next) => void (pause = next));
  setHandler(abortNode, (args) => {
    abort = args;
    if (args.mode === 'rollback') forwardScope?.cancel();
  });
  setHandler(decideNode, (next) => {
    decision = next;
    if (next.what === 'roll-back') forwardScope?.cancel();
  });
  setHandler(slotGranted, () => void (slot = true));

  const tell = async (news: Omit<NodeNews, 'node'>): Promise<void> => {
    if (!parent) return;
    const wave = getExternalWorkflowHandle(parent.workflowId);
    if (await tellIfThere(wave.signal('nodeNews', { node, ...news } satisfies NodeNews))) return;
    // The wave was ended outside of Cutover: the node goes on alone, and no slot of the wave is there to wait for.
    slot = true;
    const cluster = getExternalWorkflowHandle(clusterWorkflowId(input.clusterUid));
    if (news.kind === 'waiting') await tellIfThere(cluster.signal('nodeWaits', node, news.message ?? ''));
    if (news.kind === 'goes-on') await tellIfThere(cluster.signal('nodeWaits', node, null));
  };

  const run = (step: Parameters<typeof runVerb>[0], direction: 'forward' | 'back'): Promise<void> => {
    setCurrentDetails(`${node}: ${step.title}`);
    return runVerb(step, { place, direction, nodeAttempt });
  };

  const wantsBack = (): boolean => abort?.mode === 'rollback' || decision?.what === 'roll-back';

  /** Waits while a pause with scope `now` is on. */
  const honourPause = async (): Promise<void> => {
    if (pause?.scope !== 'now') return;
    await tell({ kind: 'held' });
    await condition(() => pause?.scope !== 'now' || abort !== null || wantsBack());
    await tell({ kind: 'unheld' });
  };

  let next = 0;
  /** The next step, and those that begin with it. */
  const nextSteps = (): Step[] => {
    const behind = steps.slice(next + 1).findIndex((step) => !step.alongside);
    return steps.slice(next, behind === -1 ? undefined : next + 1 + behind);
  };

  const forwardOne = async (step: Step): Promise<StepFailure | 'stopped' | undefined> => {
    try {
      if (step.waitSeconds) await sleep(`${step.waitSeconds}s`);
      await run(step, 'forward');
      return undefined;
    } catch (error) {
      return isCancellation(error) ? 'stopped' : failureOf(error, step.title);
    }
  };

  const forward = async (): Promise<StepFailure | 'stopped' | undefined> => {
    while (next < steps.length) {
      const together = nextSteps();
      if (!together[0]!.inOneGo) {
        await honourPause();
        if (abort || wantsBack()) return 'stopped';
      }
      began.push(...together.filter((step) => !began.includes(step)));
      forwardScope = new CancellationScope();
      // All of them have ended before the node goes back: no step runs beside its own undo.
      const ends = await forwardScope.run(() => Promise.all(together.map(forwardOne)));
      forwardScope = undefined;
      const failure = ends.find((end) => end !== undefined && end !== 'stopped');
      if (failure ?? ends.includes('stopped')) return failure ?? 'stopped';
      next += together.length;
    }
    return undefined;
  };

  const undoOne = (step: Step, action: Action): Promise<void> =>
    run(
      {
        id: step.id,
        title: `Undo: ${step.title}`,
        verb: action.verb,
        with: action.with ?? {},
        ...undoPatience,
      },
      'back',
    );

  /**
   * Runs what is left of the undo entries, last step first. The outermost entry gives the node back to the scheduler:
   * it runs only after the old network was verified. Every undo done leaves `began`, so a retry goes on where it stopped.
   */
  const backOnce = async (): Promise<StepFailure | undefined> => {
    const outermost = began.find((step) => step.undo);
    let verified = began.filter((step) => step.undo).length < 2;
    while (began.length > 0) {
      const step = began.at(-1)!;
      try {
        if (step === outermost && !verified) {
          await run(
            {
              id: 'verify-rollback',
              title: 'Ask the old network',
              verb: 'node.check',
              verify: input.verifyRollback,
              attempts: 3,
            },
            'back',
          );
          verified = true;
        }
        for (const action of step.undo ?? []) await undoOne(step, action);
      } catch (error) {
        return failureOf(error, `the rollback of "${step.title}"`);
      }
      began = began.slice(0, -1);
    }
    return undefined;
  };

  /** Waits for a person; an abort of the migration decides, too, unless it is what led here. @returns what was decided */
  const askPerson = async (failure: StepFailure, outOfService: boolean, abortDecides = true): Promise<NodeDecision> => {
    decision = null;
    const message = `${failure.message}${failure.remedy ? `; ${failure.remedy}` : ''}`;
    await record('node.waiting', {
      nodeAttempt,
      outcome: outOfService ? 'out-of-service' : 'in-service',
      message,
      error: failure,
    });
    await tell({ kind: 'waiting', outOfService, message });
    if (!outOfService) slot = false;
    await condition(() => decision !== null || (abortDecides && abort !== null));
    const decided: NodeDecision = decision ?? {
      actor: abort!.actor,
      reason: abort!.reason,
      at: abort!.at,
      what: abort!.mode === 'rollback' ? 'roll-back' : 'skip',
    };
    decision = null;
    if (decided.what === 'retry' && !slot) {
      await tell({ kind: 'wants-slot' });
      await condition(() => slot);
    }
    await record('node.resumed', { nodeAttempt, actor: decided.actor, reason: decided.reason, outcome: decided.what });
    await tell({ kind: 'goes-on' });
    return decided;
  };

  const end = async (state: NodeOutcomeState, message: string): Promise<NodeOutcome> => {
    await record('node.ended', { nodeAttempt, outcome: state, message });
    return { node, state, nodeAttempts: nodeAttempt, failures };
  };

  /** Goes back until it is back; a rollback that fails holds the node for a person and is tried again. */
  const back = (): Promise<boolean> =>
    CancellationScope.nonCancellable(async () => {
      for (;;) {
        const failure = await backOnce();
        if (!failure) return true;
        // Never decided by an abort: that would try again at once, for ever.
        const decided = await askPerson(failure, true, false);
        if (decided.what === 'skip') return false;
      }
    });

  if (input.direction === 'back') {
    const whole = await back();
    return end(whole ? 'rolled-back' : 'held', whole ? 'back on the old network' : 'left as it is, on a decision');
  }

  for (;;) {
    const stopped = await forward();
    if (stopped === undefined) return end('migrated', 'on the new network, every check passed');

    if (stopped === 'stopped') {
      if (!wantsBack()) return end(began.length === 0 ? 'skipped' : 'held', 'the migration was aborted');
      // Heard: when going back fails, a person is asked anew.
      decision = null;
      const whole = await back();
      return end(whole ? 'rolled-back' : 'held', whole ? 'taken back on request' : 'left as it is, on a decision');
    }

    // A node out of reach, or of another's cluster, cannot be taken back either: a person decides, and a retry goes on at
    // the same step.
    const outOfReach = isOutOfReach(stopped) || isLeaseLost(stopped);
    if (!outOfReach) {
      failures++;
      await tell({ kind: 'failed', message: stopped.message });
    }
    if (strategy.onFailure === 'rollback' && !outOfReach) {
      if (!(await back())) return end('held', 'left as it is, on a decision');
      next = 0;
      if (nodeAttempt < strategy.nodeAttempts && !waitsForPerson(stopped) && !abort) {
        nodeAttempt++;
        continue;
      }
    }
    const decided = await askPerson(stopped, began.length > 0);
    if (decided.what === 'retry') {
      nodeAttempt++;
      continue;
    }
    if (began.length > 0 && decided.what === 'roll-back') {
      if (!(await back())) return end('held', 'left as it is, on a decision');
    }
    const state = began.length > 0 ? 'held' : decided.what === 'skip' ? 'skipped' : 'rolled-back';
    return end(state, decided.reason);
  }
}
