import {
  ParentClosePolicy,
  WorkflowIdReusePolicy,
  condition,
  defineSignal,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
  startChild,
  workflowInfo,
  type ChildWorkflowHandle,
} from '@temporalio/workflow';
import { nodeWorkflowId } from '../src/temporal/ids.ts';
import { abortNode, migrateNode, pauseNode, slotGranted } from './migrate-node.ts';
import type { AbortArgs, MigrateWaveInput, NodeNews, NodeOutcome, PauseArgs, WaveResult } from './messages.ts';
import { tellIfThere } from './failures.ts';
import { createRecorder } from './recorder.ts';
import { loading } from './stubs.ts';

export const pauseWave = defineSignal<[PauseArgs | null]>('pauseWave');
export const abortWave = defineSignal<[AbortArgs]>('abortWave');
/** A person resumed although the failure budget was used up: the failures so far are accepted. */
export const forgive = defineSignal('forgive');
export const nodeNews = defineSignal<[NodeNews]>('nodeNews');

interface Node {
  name: string;
  zone: string;
}

/** Nodes of one wave, at most `maxUnavailable` at a time in all and per zone, under the cumulative failure budget. */
export async function migrateWave(input: MigrateWaveInput): Promise<WaveResult> {
  const record = createRecorder({
    migration: input.migration,
    planHash: input.planHash,
    stage: input.stage,
    wave: input.wave,
  });
  const parent = workflowInfo().parent;

  let pause = input.pause;
  let abort: AbortArgs | null = null;
  let failures = input.failures;
  let forgiven = input.forgiven;
  const news: NodeNews[] = [];
  /** Nodes that take a slot: in flight, or waiting for a person while out of service. */
  const slots = new Map<string, string>();
  const children = new Map<string, ChildWorkflowHandle<typeof migrateNode>>();
  const wantsSlot: Node[] = [];
  const held = new Set<string>();
  const ended: NodeOutcome[] = [];

  setHandler(pauseWave, (next) => void (pause = next));
  setHandler(abortWave, (args) => void (abort = args));
  setHandler(forgive, () => void (forgiven = failures));
  setHandler(nodeNews, (next) => void news.push(next));

  const {
    nodes: planned,
    steps,
    verifyRollback,
    strategy,
  } = await loading.loadWave({ planHash: input.planHash, stage: input.stage, wave: input.wave });
  const nodes = planned.filter(({ name }) => (input.only?.includes(name) ?? true) && !input.except?.includes(name));
  if (nodes.length === 0) return { leftovers: input.leftovers, migrated: 0, failures, forgiven };
  const zoneOf = new Map(planned.map(({ name, zone }) => [name, zone]));
  await record('wave.started', {
    direction: input.direction,
    attempt: input.turn + 1,
    evidence: { nodes: nodes.map(({ name }) => name), turn: input.turn },
  });

  const queue: Node[] = [...nodes];
  const budgetSpent = (): boolean => failures - forgiven > strategy.failureBudget;
  const startsNothing = (): boolean => abort !== null || (pause !== null && pause.scope !== 'wave') || budgetSpent();
  const fits = ({ zone }: Node): boolean =>
    slots.size < strategy.maxUnavailable &&
    [...slots.values()].filter((taken) => taken === zone).length < strategy.maxUnavailablePerZone;
  const takeFirstThatFits = (from: Node[]): Node | undefined => {
    const at = from.findIndex(fits);
    return at < 0 ? undefined : from.splice(at, 1)[0];
  };

  const tellCluster = async (signal: string, ...args: unknown[]): Promise<void> => {
    if (parent) await tellIfThere(getExternalWorkflowHandle(parent.workflowId).signal(signal, ...args));
  };

  const start = async ({ name, zone }: Node): Promise<void> => {
    slots.set(name, zone);
    const settle = (outcome: NodeOutcome): void => {
      ended.push(outcome);
      children.delete(name);
      slots.delete(name);
      held.delete(name);
    };
    /** What the node is like is not known then, so it counts as failed, and a person looks. */
    const lost = async (how: string): Promise<void> => {
      failures++;
      await record('node.ended', {
        node: name,
        outcome: 'held',
        message: `${how}, so what the node is like is not known: look at \`cutover history ${name}\` and at the node, then take it back with \`cutover rollback --node ${name}\``,
      });
      await tellCluster('nodeWaits', name, null);
      if (budgetSpent()) await tellCluster('budgetSpent', failures);
      settle({ node: name, state: 'held', nodeAttempts: 1, failures: 1 });
    };
    const starting = startChild(migrateNode, {
      workflowId: nodeWorkflowId(input.clusterUid, input.migration, input.stage, name, input.turn),
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      // A node in flight finishes or goes back by itself, whatever becomes of its parents.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      args: [
        {
          migration: input.migration,
          planHash: input.planHash,
          clusterUid: input.clusterUid,
          stage: input.stage,
          wave: input.wave,
          node: name,
          zone,
          direction: input.direction,
          steps,
          verifyRollback,
          strategy,
          pause,
        },
      ],
      staticSummary: `${name}: ${input.direction === 'forward' ? 'migrate' : 'roll back'}`,
    });
    const child = await starting.catch((error: unknown) => {
      if (isCancellation(error)) throw error;
      return undefined;
    });
    if (!child) return lost('its workflow could not be started, since one of its name is there already');
    children.set(name, child);
    void child.result().then(settle, () => lost('its workflow was ended outside of Cutover'));
  };

  const read = async ({ node, kind, outOfService, message }: NodeNews): Promise<void> => {
    const budgetWasSpent = budgetSpent();
    if (kind === 'failed') failures++;
    if (kind === 'held') held.add(node);
    if (kind === 'unheld') held.delete(node);
    if (kind === 'wants-slot') wantsSlot.push({ name: node, zone: zoneOf.get(node) ?? '' });
    if (kind === 'goes-on') await tellCluster('nodeWaits', node, null);
    if (kind === 'waiting') {
      if (!outOfService) slots.delete(node);
      await tellCluster('nodeWaits', node, message ?? 'it waits for a person');
    }
    if (budgetSpent() && !budgetWasSpent) await tellCluster('budgetSpent', failures);
  };

  let pauseSent = input.pause;
  let pauseReported: PauseArgs | null = null;
  let abortSent: AbortArgs | null = null;
  const somethingToDo = (): boolean =>
    news.length > 0 ||
    pause !== pauseSent ||
    abort !== abortSent ||
    isQuiet() ||
    (!startsNothing() && [...wantsSlot, ...queue].some(fits));
  /** A pause has taken effect when nothing moves: every node in flight is held, waits, or has ended. */
  const isQuiet = (): boolean =>
    pause !== null &&
    pause.scope !== 'wave' &&
    pause !== pauseReported &&
    [...children.keys()].every((name) => held.has(name) || !slots.has(name));
  const isDone = (): boolean => children.size === 0 && (queue.length === 0 || abort !== null);

  while (!isDone()) {
    while (news.length > 0) await read(news.shift()!);
    if (pause !== pauseSent) {
      pauseSent = pause;
      for (const child of children.values()) await tellIfThere(child.signal(pauseNode, pause));
    }
    if (abort !== abortSent) {
      abortSent = abort;
      for (const child of children.values()) await tellIfThere(child.signal(abortNode, abort!));
    }
    if (!startsNothing()) {
      for (let node = takeFirstThatFits(wantsSlot); node; node = takeFirstThatFits(wantsSlot)) {
        slots.set(node.name, node.zone);
        const child = children.get(node.name);
        if (child) await tellIfThere(child.signal(slotGranted));
      }
      for (let node = takeFirstThatFits(queue); node; node = takeFirstThatFits(queue)) await start(node);
    }
    if (isQuiet()) {
      pauseReported = pause;
      await tellCluster('waveQuiet');
    }
    await condition(() => isDone() || somethingToDo());
  }

  const onNew = new Set(ended.filter(({ state }) => state === 'migrated').map(({ node }) => node));
  const leftovers = nodes.map(({ name }) => name).filter((name) => !onNew.has(name));
  await record('wave.ended', {
    direction: input.direction,
    attempt: input.turn + 1,
    outcome: leftovers.length === 0 || input.direction === 'back' ? 'done' : 'incomplete',
    message: `${onNew.size} of ${nodes.length} nodes migrated`,
    evidence: { leftovers },
  });
  return {
    leftovers: [...new Set([...input.leftovers.filter((name) => !onNew.has(name)), ...leftovers])],
    migrated: onNew.size,
    left: leftovers,
    failures,
    forgiven,
    held: [
      ...(input.held ?? []).filter((name) => !nodes.some((node) => node.name === name)),
      ...ended.filter(({ state }) => state === 'held').map(({ node }) => node),
    ],
  };
}
