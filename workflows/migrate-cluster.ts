import { allHandlersFinished, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import {
  createState,
  honourPause,
  interrupted,
  pauseBySelf,
  show,
  type ClusterState,
  type Stage,
} from './cluster-state.ts';
import { runSteps, undoPreparation } from './cluster-steps.ts';
import type { MigrateClusterInput, MigrationState, RollBackArgs } from './messages.ts';
import { refuse } from './failures.ts';
import { passGate } from './pass-gate.ts';
import { createRecorder } from './recorder.ts';
import { listenToRequests } from './requests.ts';
import { runWave } from './run-wave.ts';
import { loading } from './stubs.ts';

/** Aim: no history above 4,000 events, whatever the size of the cluster. */
const defaultHistoryLimit = 2_000;

/**
 * One migration of one cluster; its id is the cluster's lock. It walks stages, steps, waves and gates; between any two
 * of them it does what people asked for: pauses, rollbacks, an abort.
 */
export async function migrateCluster(input: MigrateClusterInput): Promise<MigrationState> {
  refuseCopies(input);
  const m = createState(input, createRecorder({ migration: input.migration, planHash: input.planHash }));
  listenToRequests(m);
  const { carry } = m;
  const outline = await loading.loadOutline({ planHash: input.planHash });
  if (!input.carry)
    await m.record('migration.started', {
      actor: input.requester,
      message: `${outline.name}, plan ${input.planHash.slice(0, 12)}`,
    });

  for (; carry.stage < outline.stages.length; carry.stage++, carry.phase = 'prepare', carry.index = 0) {
    const stage = outline.stages[carry.stage]!;
    m.stage = stage.id;
    // A stage begins with what the one before it made: its waves are not this one's, and nothing of this one is final yet.
    m.wave = '';
    m.noReturn = false;
    for (let done = false; !done;) {
      if (await rollBackAsAsked(m, stage)) return finish(m, 'rolled-back', whatWentBack(m, stage));
      if (m.abort) return endAborted(m, stage);
      await honourPause(m);
      if (!interrupted(m)) done = await advance(m, stage);
    }
  }
  return finish(m, 'completed', 'every node is on the new network, and nothing of the old one is left');
}

/** A start is believed for so long after it was asked for, ms. */
const startWithinMs = 600_000;

/** An input that was captured in Temporal and sent again would begin a migration that has ended. @throws ApplicationFailure NotAllowed */
function refuseCopies({ carry, requestedAt }: MigrateClusterInput): void {
  const { continuedFromExecutionRunId, startTime } = workflowInfo();
  const late = requestedAt !== undefined && startTime.getTime() - Date.parse(requestedAt) > startWithinMs;
  if (carry ? continuedFromExecutionRunId === undefined : late)
    throw refuse('NotAllowed', 'this start of a migration is a copy of an earlier one');
}

/** Does the next thing of the stage: its preparation, one wave with its gate, or its end. @returns whether the stage is done */
async function advance(m: ClusterState, stage: Stage): Promise<boolean> {
  const { carry } = m;
  if (carry.phase === 'prepare') {
    if (await runSteps(m, stage, stage.prepare)) enter(m, 'waves');
    return false;
  }
  if (carry.phase === 'finalize') return runSteps(m, stage, stage.finalize);

  const wave = stage.waves[carry.index];
  if (wave?.adopted) carry.index++;
  else if (wave) {
    await runWave(m, stage, wave.id, 'forward', carry.again ? { only: carry.leftovers } : {});
    carry.again = true;
    if (wave.gate && !interrupted(m)) await passGate(m, stage, wave.gate);
    if (interrupted(m)) return false;
    carry.again = false;
    carry.index++;
    await continueAsNewWhenLong(m);
  } else if (carry.leftovers.length > 0) {
    await tryLeftovers(m, stage);
  } else {
    if (stage.finalizeGate) await passGate(m, stage, stage.finalizeGate);
    if (!interrupted(m)) enter(m, 'finalize');
  }
  return false;
}

function enter(m: ClusterState, phase: 'waves' | 'finalize'): void {
  m.carry.phase = phase;
  m.carry.index = 0;
}

/** Nodes that were skipped or rolled back: the old network must not go while they are on it. */
async function tryLeftovers(m: ClusterState, stage: Stage): Promise<void> {
  const { carry } = m;
  const { leftovers } = carry;
  const named = leftovers.slice(0, 5).join(', ') + (leftovers.length > 5 ? ', …' : '');
  pauseBySelf(
    m,
    `${leftovers.length} of the nodes are still on the old network (${named}): resume tries them again, abort ends here`,
  );
  await honourPause(m);
  for (const { id } of stage.waves) {
    if (interrupted(m)) return;
    await runWave(m, stage, id, 'forward', { only: leftovers });
  }
}

/** Does the rollbacks that were asked for, then holds. @returns whether everything went back and the migration is over */
async function rollBackAsAsked(m: ClusterState, stage: Stage): Promise<boolean> {
  const { carry } = m;
  /** Everything was to go back, and could not be undone yet: what is asked for meanwhile goes first. */
  let unfinished: RollBackArgs | undefined;
  for (let asked = m.rollbacks.shift(); asked; asked = m.rollbacks.shift() ?? unfinished) {
    const { scope, actor, reason } = asked;
    // A person asked for this after the pause, so the pause does not hold it back.
    carry.pause = null;
    const upTo = carry.phase === 'prepare' ? 0 : carry.phase === 'finalize' ? stage.waves.length : carry.index + 1;
    // Adopted nodes were on the new network before the first step.
    const begun = stage.waves.filter(({ adopted }, index) => adopted || index < upTo).reverse();
    // Sent twice, or for a node that failed and went back: there is nothing left to take back.
    const isBack = 'node' in scope && carry.leftovers.includes(scope.node) && !carry.held?.includes(scope.node);
    // When something cannot be undone, a node may be in the way that is only believed to be back.
    if (carry.held !== undefined && isBack && !unfinished) begun.length = 0;
    for (const { id } of 'wave' in scope ? begun.filter((wave) => wave.id === scope.wave) : begun) {
      await runWave(m, stage, id, 'back', 'node' in scope ? { only: [scope.node] } : { except: carry.leftovers });
    }
    if ('all' in scope) {
      show(m, 'rolling-back', reason);
      if (await undoPreparation(m, stage)) return true;
      unfinished = asked;
      continue;
    }
    carry.pause = { actor, reason: `rolled back on request: ${reason}`, at: new Date().toISOString(), scope: 'now' };
  }
  return false;
}

/** Only what this stage did is taken back: the stages before it ended with a network of which nothing older is left. */
const whatWentBack = ({ carry }: ClusterState, { id, from }: Stage): string =>
  carry.stage === 0
    ? 'everything is back on the old network'
    : `stage ${id} is taken back: the cluster is on ${from ?? 'the network'} as the stage before it left it`;

/** Ends here. When no node is on the new network yet, the cluster is left as it was found. */
async function endAborted(m: ClusterState, stage: Stage): Promise<MigrationState> {
  const { carry } = m;
  const { actor, reason, mode } = m.abort!;
  const firstWave = stage.waves[0]?.nodes ?? 0;
  const nothingMigrated =
    !stage.waves.some(({ adopted }) => adopted) &&
    (carry.phase === 'prepare' ||
      (carry.phase === 'waves' && carry.index === 0 && carry.leftovers.length === firstWave));
  if (mode === 'rollback' && nothingMigrated) {
    show(m, 'aborting', reason);
    while (!(await undoPreparation(m, stage))) {
      // A node that was held is in the way, and somebody takes it back: not for the abort to end.
      const { abort } = m;
      m.abort = null;
      await rollBackAsAsked(m, stage);
      m.abort = abort;
    }
  }
  return finish(m, 'aborted', `aborted by ${actor}: ${reason}`);
}

async function finish(
  m: ClusterState,
  end: 'completed' | 'aborted' | 'rolled-back',
  message: string,
): Promise<MigrationState> {
  show(m, end, message);
  await m.record('migration.ended', { outcome: end, message });
  await condition(allHandlersFinished);
  return end;
}

async function continueAsNewWhenLong(m: ClusterState): Promise<void> {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  if (!continueAsNewSuggested && historyLength <= (m.input.historyLimit ?? defaultHistoryLimit)) return;
  await condition(allHandlersFinished);
  await continueAsNew<typeof migrateCluster>({ ...m.input, carry: m.carry });
}
