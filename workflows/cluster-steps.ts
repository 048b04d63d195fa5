import type { Step } from '../src/plan/types.ts';
import { bySelf, honourPause, interrupted, pauseBySelf, show, type ClusterState, type Stage } from './cluster-state.ts';
import { failureOf } from './failures.ts';
import { passGate } from './pass-gate.ts';
import { runVerb, undoPatience } from './stubs.ts';

type Call = Pick<Step, 'id' | 'title' | 'verb' | 'with' | 'verify' | 'timeoutSeconds' | 'attempts'>;

const call = (m: ClusterState, stage: Stage, step: Call, direction: 'forward' | 'back'): Promise<void> =>
  runVerb(step, {
    place: { migration: m.input.migration, planHash: m.input.planHash, stage: stage.id },
    direction,
    nodeAttempt: 1,
  });

/**
 * Cluster steps from `carry.index` on. One that fails pauses the migration, and resuming tries it again.
 * @returns false when something interrupted them
 */
export async function runSteps(m: ClusterState, stage: Stage, steps: Step[]): Promise<boolean> {
  while (m.carry.index < steps.length) {
    await honourPause(m);
    if (interrupted(m)) return false;
    const step = steps[m.carry.index]!;
    if (step.gate && m.carry.gatePassed !== step.gate.id) {
      await passGate(m, stage, step.gate);
      if (interrupted(m)) return false;
      // A step that fails is tried again on the same decision.
      m.carry.gatePassed = step.gate.id;
    }
    show(m, m.carry.phase === 'prepare' ? 'preparing' : 'finalizing', step.title);
    if (step.pointOfNoReturn) m.noReturn = true;
    try {
      await call(m, stage, step, 'forward');
      m.carry.index++;
    } catch (error) {
      const { type, message, remedy } = failureOf(error, step.title);
      if (step.endsWhenChecksFail && type === 'ChecksFailed' && untouched(m, stage)) {
        const reason = `the cluster fails a check before anything was changed: ${message}${remedy ? `; ${remedy}` : ''}`;
        m.abort = { actor: bySelf, reason, at: new Date().toISOString(), mode: 'rollback' };
        return false;
      }
      pauseBySelf(m, `"${step.title}" failed: ${message}${remedy ? `; ${remedy}` : ''}`);
    }
  }
  return true;
}

/** No node is on another network than before this plan: nothing of an earlier stage, nothing that was adopted. */
const untouched = (m: ClusterState, stage: Stage): boolean =>
  m.carry.stage === 0 && !stage.waves.some(({ adopted }) => adopted);

/**
 * Takes the preparation back as far as it got, last step first. A failure pauses; resuming tries it again.
 * @returns false when it failed and somebody asked for another rollback, which has to go first
 */
export async function undoPreparation(m: ClusterState, stage: Stage): Promise<boolean> {
  const began = m.carry.phase === 'prepare' ? stage.prepare.slice(0, m.carry.index + 1) : stage.prepare;
  for (const step of [...began].reverse()) {
    for (const { verb, with: args = {} } of step.undo ?? []) {
      for (let done = false; !done;) {
        try {
          await call(
            m,
            stage,
            {
              id: step.id,
              title: `Undo: ${step.title}`,
              verb,
              with: args,
              ...undoPatience,
            },
            'back',
          );
          done = true;
        } catch (error) {
          const { message, remedy } = failureOf(error, step.title);
          pauseBySelf(m, `undoing "${step.title}" failed: ${message}${remedy ? `; ${remedy}` : ''}`);
          await waitForResume(m);
          if (m.rollbacks.length > 0) return false;
        }
      }
    }
  }
  return true;
}

/** Unlike `honourPause`, an abort does not end this waiting: the undo has to be done all the same. */
async function waitForResume(m: ClusterState): Promise<void> {
  const { abort } = m;
  m.abort = null;
  await honourPause(m);
  m.abort ??= abort;
}
