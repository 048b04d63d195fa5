import {
  ParentClosePolicy, WorkflowIdReusePolicy, allHandlersFinished, condition, continueAsNew, defineQuery, defineSignal, defineUpdate, getExternalWorkflowHandle, setCurrentDetails,
  setHandler, startChild, workflowInfo,
} from '@temporalio/workflow';
import type { PlanOutline } from '../activities/types.ts';
import type { GateSpec, Step } from '../src/plan/types.ts';
import { nodeWorkflowId, waveWorkflowId } from '../src/temporal/ids.ts';
import { failureOf, isWorkerLost, refuse } from './failures.ts';
import { Gate, validateDecision } from './gate.ts';
import type {
  AbortArgs, Act, ClusterCarry, ClusterStatus, DecideArgs, MigrateClusterInput, MigrationState, NodeArgs, OpenGate, PauseArgs, RollBackArgs, WaveResult,
} from './messages.ts';
import { decideNode } from './migrate-node.ts';
import { abortWave, forgive, migrateWave, pauseWave } from './migrate-wave.ts';
import { createRecorder } from './recorder.ts';
import { loading, verbOf } from './stubs.ts';

export const decide = defineUpdate<OpenGate, [DecideArgs]>('decide');
export const pauseMigration = defineUpdate<string, [PauseArgs]>('pause');
export const resumeMigration = defineUpdate<string, [Act]>('resume');
export const abortMigration = defineUpdate<string, [AbortArgs]>('abort');
export const rollBack = defineUpdate<string, [RollBackArgs]>('rollBack');
export const retryNode = defineUpdate<string, [NodeArgs]>('retryNode');
export const skipNode = defineUpdate<string, [NodeArgs]>('skipNode');
export const statusQuery = defineQuery<ClusterStatus>('status');
const nodeWaits = defineSignal<[string, string | null]>('nodeWaits');
const budgetSpent = defineSignal<[number]>('budgetSpent');
const waveQuiet = defineSignal('waveQuiet');

type Stage = PlanOutline['stages'][number];

/** Aim: no history above 4,000 events, whatever the size of the cluster. */
const defaultHistoryLimit = 2_000;
const pausedBySelf = 'cutover';

/**
 * One migration of one cluster; its id is the cluster's lock. It walks stages, waves and gates, and keeps what people
 * asked for: pauses, aborts, rollbacks. All its requests arrive as updates with synchronous validators.
 */
export async function migrateCluster(input: MigrateClusterInput): Promise<MigrationState> {
  const { migration, planHash, clusterUid, requester } = input;
  const carry: ClusterCarry = input.carry ?? { version: 1, stage: 0, phase: 'prepare', index: 0, failures: 0, forgiven: 0, pause: null, leftovers: [], turn: 0, recordSeq: 0 };

  let state: MigrationState = 'preparing';
  let abort: AbortArgs | null = null;
  let openGate: OpenGate | null = null;
  let gate: Gate | null = null;
  let stageId = '';
  let waveId = '';
  const waiting = new Map<string, string>();
  const rollbacks: RollBackArgs[] = [];
  const retries: NodeArgs[] = [];
  let pauseReported: PauseArgs | null = null;
  let resumed: Act | null = null;
  let noReturn = false;
  const record = createRecorder({ migration, planHash });

  const ended = (): boolean => state === 'completed' || state === 'aborted' || state === 'rolled-back';
  const stillRunning = (): void => {
    if (ended()) throw refuse('MigrationEnded', `migration ${migration} has ended: ${state}`);
    if (abort) throw refuse('MigrationEnded', `migration ${migration} is being aborted on request of ${abort.actor}`);
  };

  setHandler(decide, (args) => gate!.decide(args), { validator: (args) => validateDecision(openGate, args, requester, planHash) });
  setHandler(
    pauseMigration,
    (args) => {
      carry.pause = args;
      return args.scope === 'now' ? 'nodes stop before their next step, once they have a network' : args.scope === 'node' ? 'nodes in flight finish first' : 'the wave finishes first';
    },
    { validator: (_args: PauseArgs) => stillRunning() },
  );
  setHandler(
    resumeMigration,
    (args) => {
      resumed = args;
      carry.pause = null;
      carry.forgiven = carry.failures;
      return 'resumed';
    },
    {
      validator: (_args: Act) => {
        stillRunning();
        if (!carry.pause) throw refuse('Usage', `migration ${migration} is not paused`);
      },
    },
  );
  setHandler(
    abortMigration,
    (args) => {
      abort = args;
      return args.mode === 'rollback' ? 'nodes in flight go back; migrated nodes stay' : 'nodes in flight stop where their pods have a network';
    },
    { validator: (_args: AbortArgs) => stillRunning() },
  );
  setHandler(
    rollBack,
    (args) => {
      rollbacks.push(args);
      return 'node' in args.scope ? `node ${args.scope.node} goes back` : 'wave' in args.scope ? `wave ${args.scope.wave} goes back` : 'everything goes back';
    },
    {
      validator: (_args: RollBackArgs) => {
        stillRunning();
        if (noReturn) throw refuse('NotAllowed', 'the old network is gone from the cluster: a rollback is a migration of its own now');
      },
    },
  );
  const decideWaiting = (what: 'retry' | 'skip') => (args: NodeArgs): string => {
    waiting.delete(args.node);
    retries.push({ ...args, what } as NodeArgs);
    return what === 'retry' ? `node ${args.node} is tried again` : `node ${args.node} stays as it is`;
  };
  const validateWaiting = (args: NodeArgs): void => {
    stillRunning();
    if (!waiting.has(args.node)) throw refuse('NodeNotWaiting', `node ${args.node} does not wait for a person`);
  };
  setHandler(retryNode, decideWaiting('retry'), { validator: validateWaiting });
  setHandler(skipNode, decideWaiting('skip'), { validator: validateWaiting });
  setHandler(statusQuery, () => ({ state, stage: stageId, wave: waveId, failures: carry.failures, pause: carry.pause, gate: openGate, waiting: Object.fromEntries(waiting) }));
  setHandler(nodeWaits, (node, why) => void (why === null ? waiting.delete(node) : waiting.set(node, why)));
  setHandler(budgetSpent, (failures) => {
    carry.pause ??= { actor: pausedBySelf, reason: `${failures} failures: the failure budget is used up`, at: new Date().toISOString(), scope: 'node' };
  });
  let quiet = false;
  setHandler(waveQuiet, () => void (quiet = true));

  const outline = await loading.loadOutline({ planHash });
  if (!input.carry) await record('migration.started', { actor: requester, message: `${outline.name}, plan ${planHash.slice(0, 12)}` });

  const show = (next: MigrationState, what: string): void => {
    state = next;
    setCurrentDetails(`**${next}** ${what}`);
  };

  const pauseSelf = (reason: string): void => {
    carry.pause = { actor: pausedBySelf, reason, at: new Date().toISOString(), scope: 'now' };
  };

  /** Waits while the migration is paused; rollbacks and an abort end the waiting. */
  const honourPause = async (): Promise<void> => {
    if (!carry.pause || abort || rollbacks.length > 0) return reportResumed();
    if (carry.pause !== pauseReported) {
      pauseReported = carry.pause;
      await record('pause.took-effect', { actor: carry.pause.actor, reason: carry.pause.reason, outcome: carry.pause.scope });
    }
    show('paused', carry.pause.reason);
    await condition(() => carry.pause === null || abort !== null || rollbacks.length > 0 || carry.pause !== pauseReported);
    await honourPause();
  };
  const reportResumed = async (): Promise<void> => {
    if (!resumed) return;
    const { actor, reason } = resumed;
    resumed = null;
    pauseReported = null;
    await record('resumed', { actor, reason });
  };

  const runWave = async (stage: Stage, id: string, direction: 'forward' | 'back', choice: { only?: string[]; except?: string[] } = {}): Promise<WaveResult> => {
    waveId = id;
    const turn = carry.turn;
    show(direction === 'forward' ? 'migrating' : 'rolling-back', `wave ${id}`);
    const handle = await startChild(migrateWave, {
      workflowId: waveWorkflowId(clusterUid, migration, stage.id, id, turn),
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: `wave ${id}`,
      args: [{ migration, planHash, clusterUid, stage: stage.id, wave: id, turn, direction, ...choice, failures: carry.failures, forgiven: carry.forgiven, pause: carry.pause?.scope === 'wave' ? null : carry.pause }],
    });
    let result: WaveResult | null = null;
    const done = handle.result().then((value) => void (result = value));

    let pauseSent = carry.pause;
    let forgivenSent = carry.forgiven;
    let abortSent = false;
    // A rollback of everything ends the wave first; one of a wave or of a migrated node waits until it is quiet.
    const wantsEnd = (): boolean => abort !== null || rollbacks.some(({ scope }) => !('node' in scope));
    const news = (): boolean => carry.pause !== pauseSent || (wantsEnd() && !abortSent) || retries.length > 0 || quiet || rollbacks.some(({ scope }) => 'node' in scope && waiting.has(scope.node));
    while (result === null) {
      if (carry.forgiven !== forgivenSent) {
        forgivenSent = carry.forgiven;
        await handle.signal(forgive);
      }
      if (carry.pause !== pauseSent) {
        pauseSent = carry.pause;
        state = carry.pause ? 'pausing' : direction === 'forward' ? 'migrating' : 'rolling-back';
        if (carry.pause?.scope !== 'wave') await handle.signal(pauseWave, carry.pause);
        await reportResumed();
      }
      if (quiet) {
        quiet = false;
        if (carry.pause && carry.pause !== pauseReported) {
          pauseReported = carry.pause;
          show('paused', carry.pause.reason);
          await record('pause.took-effect', { actor: carry.pause.actor, reason: carry.pause.reason, outcome: carry.pause.scope });
        }
      }
      if (wantsEnd() && !abortSent) {
        abortSent = true;
        show(abort ? 'aborting' : 'rolling-back', abort?.reason ?? '');
        const asked: Act = abort ?? rollbacks[0]!;
        await handle.signal(abortWave, { actor: asked.actor, reason: asked.reason, at: asked.at, mode: abort?.mode ?? 'rollback' });
      }
      for (const retry of retries.splice(0)) await decideFor(retry.node, turn, stage, retry, (retry as NodeArgs & { what: 'retry' | 'skip' }).what);
      for (const asked of takeNodeRollbacks()) await decideFor(asked.node, turn, stage, asked, 'roll-back');
      await condition(() => result !== null || news());
    }
    await done;
    const finished: WaveResult = result;
    carry.turn++;
    carry.failures = finished.failures;
    waiting.clear();
    return finished;
  };

  const decideFor = async (node: string, turn: number, stage: Stage, { actor, reason, at }: Act, what: 'retry' | 'skip' | 'roll-back'): Promise<void> => {
    await getExternalWorkflowHandle(nodeWorkflowId(clusterUid, migration, stage.id, node, turn)).signal(decideNode, { actor, reason, at, what });
  };
  /** Rollbacks of nodes that wait for a person in the running wave: their own workflow does it. */
  const takeNodeRollbacks = (): (Act & { node: string })[] => {
    const mine = rollbacks.filter(({ scope }) => 'node' in scope && waiting.has(scope.node));
    for (const one of mine) rollbacks.splice(rollbacks.indexOf(one), 1);
    return mine.map(({ actor, reason, at, scope }) => ({ actor, reason, at, node: (scope as { node: string }).node }));
  };

  const place = (stage: Stage): { migration: string; planHash: string; stage: string } => ({ migration, planHash, stage: stage.id });

  const runStep = async (stage: Stage, step: Pick<Step, 'id' | 'title' | 'verb' | 'with' | 'verify' | 'timeoutSeconds' | 'attempts'>, direction: 'forward' | 'back'): Promise<void> => {
    const call = verbOf(step, step.title);
    for (let lost = 0; ; lost++) {
      try {
        await call({ place: place(stage), step: { id: step.id, title: step.title, direction }, nodeAttempt: 1, with: step.with ?? {}, verify: step.verify ?? [] });
        return;
      } catch (error) {
        if (!isWorkerLost(error) || lost >= 20) throw error;
      }
    }
  };

  /** Cluster steps in order; one that fails pauses the migration, and resuming tries it again. @returns false when aborted */
  const runSteps = async (stage: Stage, steps: Step[]): Promise<boolean> => {
    while (carry.index < steps.length) {
      await honourPause();
      if (abort || rollbacks.length > 0) return false;
      const step = steps[carry.index]!;
      show(carry.phase === 'prepare' ? 'preparing' : 'finalizing', step.title);
      if (step.pointOfNoReturn) noReturn = true;
      try {
        await runStep(stage, step, 'forward');
        carry.index++;
      } catch (error) {
        const failure = failureOf(error, step.title);
        pauseSelf(`"${step.title}" failed: ${failure.message}${failure.remedy ? `; ${failure.remedy}` : ''}`);
      }
    }
    return true;
  };

  /** Takes the cluster steps back that began, last first. A failure pauses; resuming tries again. */
  const undoSteps = async (stage: Stage, began: Step[]): Promise<void> => {
    for (const step of [...began].reverse()) {
      for (const action of step.undo ?? []) {
        for (;;) {
          try {
            await runStep(stage, { id: step.id, title: `Undo: ${step.title}`, verb: action.verb, with: action.with ?? {}, timeoutSeconds: 900, attempts: 5 }, 'back');
            break;
          } catch (error) {
            pauseSelf(`undoing "${step.title}" failed: ${failureOf(error, step.title).message}`);
            await honourPause();
          }
        }
      }
    }
  };

  const passGate = async (stage: Stage, spec: GateSpec): Promise<'passed' | 'again' | 'stop'> => {
    show('at-gate', spec.id);
    gate = new Gate(spec, {
      place: { ...place(stage), ...(waveId ? { wave: waveId } : {}) },
      requester,
      record: (kind, fields) => record(kind, { stage: stage.id, wave: waveId, ...fields }),
      nodes: [],
      interrupted: () => abort !== null || rollbacks.length > 0 || carry.pause !== null,
      show: (next) => void (openGate = next),
    });
    const { end, onReject } = await gate.pass();
    gate = null;
    if (end === 'passed') return 'passed';
    if (end === 'interrupted') return abort || rollbacks.length > 0 ? 'stop' : 'again';
    const takeBack = end === 'rejected' ? onReject === 'rollback-wave' : spec.onTimeout === 'rollback-wave';
    if (takeBack && waveId) rollbacks.push({ actor: pausedBySelf, reason: `gate ${spec.id} ${end}`, at: new Date().toISOString(), scope: { wave: waveId } });
    pauseSelf(`gate ${spec.id} ${end === 'rejected' ? 'was rejected' : 'was not decided in time'}; resume opens it again`);
    return takeBack ? 'stop' : 'again';
  };

  /** Does the rollbacks that were asked for. @returns true when everything went back and the migration is over */
  const honourRollbacks = async (stage: Stage): Promise<boolean> => {
    while (rollbacks.length > 0) {
      const { scope, actor, reason } = rollbacks.shift()!;
      // A pause does not hold a rollback back: a person asked for it after the pause.
      carry.pause = null;
      const finished = carry.phase === 'prepare' ? [] : stage.waves.slice(0, carry.phase === 'waves' ? carry.index : stage.waves.length);
      const started = carry.phase === 'waves' && waveId === stage.waves[carry.index]?.id ? [...finished, stage.waves[carry.index]!] : finished;
      const affected = 'all' in scope ? [...started].reverse() : 'wave' in scope ? started.filter(({ id }) => id === scope.wave) : started;
      for (const { id } of affected) {
        const choice = 'node' in scope ? { only: [scope.node] } : { except: carry.leftovers };
        const { leftovers } = await runWave(stage, id, 'back', choice);
        carry.leftovers = [...new Set([...carry.leftovers, ...leftovers])];
      }
      if ('all' in scope) {
        show('rolling-back', reason);
        await undoSteps(stage, carry.phase === 'prepare' ? stage.prepare.slice(0, carry.index + 1) : stage.prepare);
        return true;
      }
      carry.pause = { actor, reason: `rolled back on request: ${reason}`, at: new Date().toISOString(), scope: 'now' };
    }
    return false;
  };

  const finish = async (end: 'completed' | 'aborted' | 'rolled-back', message: string): Promise<MigrationState> => {
    show(end, message);
    await record('migration.ended', { outcome: end, message });
    await condition(allHandlersFinished);
    return end;
  };

  const endAborted = async (stage: Stage): Promise<MigrationState> => {
    const { actor, reason, mode } = abort!;
    const untouched = carry.phase === 'prepare' || (carry.phase === 'waves' && carry.index === 0 && carry.leftovers.length === (stage.waves[0]?.nodes ?? 0));
    if (mode === 'rollback' && untouched && !noReturn) {
      show('rolling-back', reason);
      await undoSteps(stage, carry.phase === 'prepare' ? stage.prepare.slice(0, carry.index + 1) : stage.prepare);
    }
    return finish('aborted', `aborted by ${actor}: ${reason}`);
  };

  for (; carry.stage < outline.stages.length; carry.stage++, carry.phase = 'prepare', carry.index = 0) {
    const stage = outline.stages[carry.stage]!;
    stageId = stage.id;
    while (true) {
      if (rollbacks.length > 0 && (await honourRollbacks(stage))) return finish('rolled-back', 'everything is back on the old network');
      if (abort) return endAborted(stage);
      await honourPause();
      if (abort || rollbacks.length > 0) continue;

      if (carry.phase === 'prepare') {
        if (!(await runSteps(stage, stage.prepare))) continue;
        carry.phase = 'waves';
        carry.index = 0;
      } else if (carry.phase === 'waves' && carry.index < stage.waves.length) {
        const { id, gate: spec } = stage.waves[carry.index]!;
        const { leftovers } = await runWave(stage, id, 'forward');
        carry.leftovers = [...new Set([...carry.leftovers, ...leftovers])];
        if (abort || rollbacks.length > 0) continue;
        for (let end = spec ? 'again' : 'passed'; end !== 'passed'; ) {
          await honourPause();
          if (abort || rollbacks.length > 0) break;
          end = await passGate(stage, spec!);
        }
        if (abort || rollbacks.length > 0) continue;
        carry.index++;
        if (workflowInfo().continueAsNewSuggested || workflowInfo().historyLength > (input.historyLimit ?? defaultHistoryLimit)) {
          await condition(allHandlersFinished);
          await continueAsNew<typeof migrateCluster>({ ...input, carry });
        }
      } else if (carry.phase === 'waves' && carry.leftovers.length > 0) {
        // Skipped or rolled back: the old network must not go while they are on it.
        pauseSelf(`${carry.leftovers.length} nodes are still on the old network (${carry.leftovers.slice(0, 5).join(', ')}): resume tries them again, abort ends here`);
        await honourPause();
        if (abort || rollbacks.length > 0) continue;
        const again = carry.leftovers;
        const still: string[] = [];
        for (const { id } of stage.waves) {
          const { leftovers } = await runWave(stage, id, 'forward', { only: again });
          still.push(...leftovers);
        }
        carry.leftovers = still;
      } else if (carry.phase === 'waves') {
        if (stage.finalizeGate) {
          const end = await passGate(stage, stage.finalizeGate);
          if (end !== 'passed') continue;
        }
        carry.phase = 'finalize';
        carry.index = 0;
      } else {
        if (await runSteps(stage, stage.finalize)) break;
      }
    }
  }
  return finish('completed', 'every node is on the new network, and nothing of the old one is left');
}
