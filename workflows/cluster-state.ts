import { condition, setCurrentDetails } from '@temporalio/workflow';
import type { PlanOutline } from '../activities/types.ts';
import type { Gate } from './gate.ts';
import type {
  AbortArgs,
  Act,
  ClusterCarry,
  MigrateClusterInput,
  MigrationState,
  NodeDecision,
  OpenGate,
  PauseArgs,
  RollBackArgs,
} from './messages.ts';
import type { Recorder } from './recorder.ts';

export type Stage = PlanOutline['stages'][number];

/** Who a pause is by when no person asked for it. */
export const bySelf = 'cutover';

/** What `migrate-cluster` knows while it runs; `carry` is the part that outlives continue-as-new. */
export interface ClusterState {
  readonly input: MigrateClusterInput;
  readonly carry: ClusterCarry;
  readonly record: Recorder;
  state: MigrationState;
  stage: string;
  wave: string;
  gate: Gate | null;
  openGate: OpenGate | null;
  /** Nodes of the wave that ran last that are not on the new network: what its gate has to say first. */
  missing: string[];
  /** Nodes of the running wave that wait for a person: name -> why. */
  readonly waiting: Map<string, string>;
  // What people asked for and nobody has done yet:
  abort: AbortArgs | null;
  readonly rollbacks: RollBackArgs[];
  readonly nodeDecisions: (NodeDecision & { node: string })[];
  resumed: Act | null;
  /** The pause that is on the record already. */
  pauseReported: PauseArgs | null;
  /** The running wave says that nothing moves any more. */
  waveIsQuiet: boolean;
  /** The point of no return has been passed. */
  noReturn: boolean;
}

const freshCarry: ClusterCarry = {
  version: 1,
  stage: 0,
  phase: 'prepare',
  index: 0,
  failures: 0,
  forgiven: 0,
  pause: null,
  leftovers: [],
  turn: 0,
};

export const createState = (input: MigrateClusterInput, record: Recorder): ClusterState => ({
  input,
  record,
  carry: { ...freshCarry, ...input.carry },
  state: 'preparing',
  stage: '',
  wave: '',
  gate: null,
  openGate: null,
  missing: [],
  waiting: new Map(),
  abort: null,
  rollbacks: [],
  nodeDecisions: [],
  resumed: null,
  pauseReported: null,
  waveIsQuiet: false,
  noReturn: false,
});

/** Something that must not wait for a gate, a pause or the next step. */
export const interrupted = (m: ClusterState): boolean => m.abort !== null || m.rollbacks.length > 0;

export function show(m: ClusterState, state: MigrationState, what: string): void {
  m.state = state;
  setCurrentDetails(`**${state}** ${what}`);
}

export function pauseBySelf(m: ClusterState, reason: string, scope: PauseArgs['scope'] = 'now'): void {
  m.carry.pause = { actor: bySelf, reason, at: new Date().toISOString(), scope };
}

/** Writes down that the pause took effect, once for each pause. */
export async function reportPaused(m: ClusterState): Promise<void> {
  const { pause } = m.carry;
  if (!pause || pause === m.pauseReported) return;
  m.pauseReported = pause;
  show(m, 'paused', pause.reason);
  await m.record('pause.took-effect', { actor: pause.actor, reason: pause.reason, outcome: pause.scope });
}

export async function reportResumed(m: ClusterState): Promise<void> {
  if (!m.resumed) return;
  const { actor, reason } = m.resumed;
  m.resumed = null;
  m.pauseReported = null;
  await m.record('resumed', { actor, reason });
}

/** Waits while the migration is paused; an abort and rollbacks end the waiting. */
export async function honourPause(m: ClusterState): Promise<void> {
  while (m.carry.pause && !interrupted(m)) {
    const { pause } = m.carry;
    await reportPaused(m);
    show(m, 'paused', pause.reason);
    await condition(() => m.carry.pause !== pause || interrupted(m));
  }
  await reportResumed(m);
}
