import {
  ParentClosePolicy,
  WorkflowIdReusePolicy,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  sleep,
  startChild,
  type ChildWorkflowHandle,
} from '@temporalio/workflow';
import { nodeWorkflowId, waveWorkflowId } from '../src/temporal/ids.ts';
import { pauseBySelf, reportPaused, reportResumed, show, type ClusterState, type Stage } from './cluster-state.ts';
import type { Act, NodeDecision, RollBackArgs, WaveResult } from './messages.ts';
import { tellIfThere } from './failures.ts';
import { decideNode } from './migrate-node.ts';
import { abortWave, forgive, migrateWave, pauseWave } from './migrate-wave.ts';
import { orphaned } from './stubs.ts';

/** Which nodes of a wave: all, only these, or all but these. */
export interface Choice {
  only?: string[];
  except?: string[];
}

/** Runs one wave forward or back, and passes on to it what people ask for meanwhile. */
export async function runWave(
  m: ClusterState,
  stage: Stage,
  wave: string,
  direction: 'forward' | 'back',
  choice: Choice = {},
): Promise<void> {
  const { carry, waiting, rollbacks } = m;
  const { migration, planHash, clusterUid } = m.input;
  const moving = direction === 'forward' ? 'migrating' : 'rolling-back';
  m.wave = wave;
  show(m, moving, `wave ${wave}`);
  const { pause, failures, forgiven, leftovers } = carry;
  const startUnder = (turn: number): Promise<ChildWorkflowHandle<typeof migrateWave>> =>
    startChild(migrateWave, {
      workflowId: waveWorkflowId(clusterUid, migration, stage.id, wave, turn),
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      // A wave in flight ends by itself, whatever becomes of the migration.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: `wave ${wave}`,
      args: [
        {
          migration,
          planHash,
          clusterUid,
          stage: stage.id,
          wave,
          turn,
          direction,
          ...choice,
          leftovers,
          failures,
          forgiven,
          pause: pause?.scope === 'wave' ? null : pause,
          ...(carry.held === undefined ? {} : { held: carry.held }),
        },
      ],
    });
  /** A name that is taken, by whoever reaches Temporal, is left to them: no gate opens on a wave that never ran. */
  const startWave = async (): Promise<{ turn: number; handle: ChildWorkflowHandle<typeof migrateWave> }> => {
    for (let waitMs = 1_000; ; waitMs = Math.min(waitMs * 2, 60_000)) {
      const next = carry.turn++;
      try {
        return { turn: next, handle: await startUnder(next) };
      } catch (error) {
        if (isCancellation(error)) throw error;
        show(m, moving, `wave ${wave} cannot be started: ${String(error)}`);
        await sleep(waitMs);
      }
    }
  };
  const { turn, handle } = await startWave();
  let result: WaveResult | undefined;
  const done = handle
    .result()
    .catch(async (error: unknown): Promise<WaveResult> => {
      if (isCancellation(error)) throw error;
      pauseBySelf(
        m,
        `wave ${wave} was ended outside of Cutover: its nodes in flight finish alone, and resume goes on with what is left`,
      );
      const left = await orphaned.awaitNodes({ migration, planHash, stage: stage.id, wave, ...choice });
      return {
        leftovers: [...new Set([...leftovers, ...left])],
        migrated: 0,
        left,
        failures: carry.failures,
        forgiven: carry.forgiven,
        // What they are like is not known.
        held: [...new Set([...(carry.held ?? []), ...left])],
      };
    })
    .then((value) => void (result = value));

  const sent = { pause, forgiven, abort: false };
  // A rollback of a wave or of everything ends this wave first; nodes in flight go back by themselves.
  const mustEnd = (): boolean => m.abort !== null || rollbacks.some(({ scope }) => !('node' in scope));
  /** Rollbacks of one node that its workflow was to be told of, and those that it has heard. */
  const told = new Set<RollBackArgs>();
  const heard = new Set<RollBackArgs>();
  const backNow = (): boolean =>
    rollbacks.some((asked) => 'node' in asked.scope && (waiting.has(asked.scope.node) || tellsNow(asked)));
  const tellsNow = (asked: RollBackArgs): boolean =>
    direction === 'forward' && 'node' in asked.scope && !told.has(asked);
  const news = (): boolean =>
    carry.pause !== sent.pause ||
    carry.forgiven !== sent.forgiven ||
    (mustEnd() && !sent.abort) ||
    m.nodeDecisions.length > 0 ||
    m.waveIsQuiet ||
    backNow();
  /** A node that has ended, or has not begun, hears nothing. */
  const tellNode = (node: string, decision: NodeDecision): Promise<boolean> =>
    tellIfThere(
      getExternalWorkflowHandle(nodeWorkflowId(clusterUid, migration, stage.id, node, turn)).signal(
        decideNode,
        decision,
      ),
    );

  while (!result) {
    if (carry.forgiven !== sent.forgiven) {
      sent.forgiven = carry.forgiven;
      await tellIfThere(handle.signal(forgive));
    }
    if (carry.pause !== sent.pause) {
      sent.pause = carry.pause;
      show(m, carry.pause ? 'pausing' : moving, carry.pause?.reason ?? `wave ${wave}`);
      await tellIfThere(handle.signal(pauseWave, carry.pause));
      await reportResumed(m);
    }
    if (m.waveIsQuiet) {
      m.waveIsQuiet = false;
      await reportPaused(m);
    }
    if (mustEnd() && !sent.abort) {
      sent.abort = true;
      const { actor, reason, at }: Act = m.abort ?? rollbacks[0]!;
      show(m, m.abort ? 'aborting' : 'rolling-back', reason);
      await tellIfThere(handle.signal(abortWave, { actor, reason, at, mode: m.abort?.mode ?? 'rollback' }));
    }
    for (const { node, ...decision } of m.nodeDecisions.splice(0)) await tellNode(node, decision);
    for (const asked of rollbacks.filter(({ scope }) => 'node' in scope && waiting.has(scope.node))) {
      rollbacks.splice(rollbacks.indexOf(asked), 1);
      const { node } = asked.scope as { node: string };
      waiting.delete(node);
      await tellNode(node, { actor: asked.actor, reason: asked.reason, at: asked.at, what: 'roll-back' });
    }
    // A node in flight turns round now. One that has ended, or has not begun, hears nothing: that waits for the wave's end.
    for (const asked of rollbacks.filter(tellsNow)) {
      told.add(asked);
      const { node } = asked.scope as { node: string };
      const decision = { actor: asked.actor, reason: asked.reason, at: asked.at, what: 'roll-back' } as const;
      if (await tellNode(node, decision)) heard.add(asked);
    }
    await condition(() => result !== undefined || news());
  }
  await done;
  for (const asked of heard)
    if ('node' in asked.scope && result.leftovers.includes(asked.scope.node) && rollbacks.includes(asked))
      rollbacks.splice(rollbacks.indexOf(asked), 1);
  carry.leftovers = result.leftovers;
  m.missing = direction === 'forward' ? (result.left ?? []) : [];
  if (result.held) carry.held = result.held;
  carry.failures = result.failures;
  carry.forgiven = result.forgiven;
  waiting.clear();
}
