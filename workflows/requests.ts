import { defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { pauseBySelf, type ClusterState } from './cluster-state.ts';
import { refuse } from './failures.ts';
import { validateDecision, validateRefresh } from './gate.ts';
import type {
  AbortArgs,
  Act,
  ClusterStatus,
  DecideArgs,
  NodeArgs,
  NodeDecision,
  OpenGate,
  PauseArgs,
  RefreshArgs,
  RollBackArgs,
} from './messages.ts';

const decide = defineUpdate<OpenGate, [DecideArgs]>('decide');
const refresh = defineUpdate<string, [RefreshArgs]>('refresh');
const pause = defineUpdate<string, [PauseArgs]>('pause');
const resume = defineUpdate<string, [Act]>('resume');
const abort = defineUpdate<string, [AbortArgs]>('abort');
const rollBack = defineUpdate<string, [RollBackArgs]>('rollBack');
const retryNode = defineUpdate<string, [NodeArgs]>('retryNode');
const skipNode = defineUpdate<string, [NodeArgs]>('skipNode');
const status = defineQuery<ClusterStatus>('status');
// What waves tell their cluster:
const nodeWaits = defineSignal<[string, string | null]>('nodeWaits');
const budgetSpent = defineSignal<[number]>('budgetSpent');
const waveQuiet = defineSignal('waveQuiet');

const whatPauseDoes: { [scope in PauseArgs['scope']]: string } = {
  now: 'nodes stop before their next step, as soon as they have a network',
  node: 'nodes in flight finish first',
  wave: 'the wave finishes first',
};

/**
 * Everything that people and waves say to a migration. Handlers are synchronous: a request is accepted and answered in
 * one workflow task, and the walk of `migrate-cluster` does it. Validators refuse with a type of `src/errors.ts`; a
 * refusal leaves no trace in Temporal's history, so the server records it.
 */
export function listenToRequests(m: ClusterState): void {
  const { migration, planHash, requester } = m.input;
  const notEnded = (): void => {
    if (m.state === 'completed' || m.state === 'aborted' || m.state === 'rolled-back')
      throw refuse('MigrationEnded', `${migration} has ended: ${m.state}`);
  };
  const stillRunning = (): void => {
    notEnded();
    if (m.abort) throw refuse('MigrationEnded', `${migration} is being aborted on request of ${m.abort.actor}`);
  };

  setHandler(decide, (args) => m.gate!.decide(args), {
    validator: (args) => validateDecision(m.openGate, args, requester, planHash),
  });
  setHandler(
    refresh,
    (args) => {
      m.gate!.refresh(args);
      return `the checks of gate ${args.gate} are asked again; what they say is shown as soon as they have answered`;
    },
    { validator: (args) => validateRefresh(m.openGate, args) },
  );
  setHandler(
    pause,
    (args) => {
      m.carry.pause = args;
      return whatPauseDoes[args.scope];
    },
    { validator: (_args: PauseArgs) => stillRunning() },
  );
  setHandler(
    resume,
    (args) => {
      m.resumed = args;
      m.carry.pause = null;
      m.carry.forgiven = m.carry.failures;
      return 'it goes on';
    },
    {
      validator: (_args: Act) => {
        stillRunning();
        if (!m.carry.pause) throw refuse('Usage', `${migration} is not paused`);
      },
    },
  );
  setHandler(
    abort,
    (args) => {
      m.abort = args;
      return args.mode === 'rollback'
        ? 'nodes in flight go back; migrated nodes stay'
        : 'nodes in flight stop where their pods have a network';
    },
    { validator: (_args: AbortArgs) => stillRunning() },
  );
  setHandler(
    rollBack,
    (args) => {
      m.rollbacks.push(args);
      return 'node' in args.scope
        ? `node ${args.scope.node} goes back`
        : 'wave' in args.scope
          ? `wave ${args.scope.wave} goes back`
          : 'everything goes back';
    },
    {
      validator: (_args: RollBackArgs) => {
        stillRunning();
        if (m.noReturn)
          throw refuse(
            'NotAllowed',
            'the old network is gone from the cluster: going back is a migration of its own now',
          );
      },
    },
  );
  const decideNode =
    (what: NodeDecision['what']) =>
    ({ node, actor, reason, at }: NodeArgs): string => {
      m.waiting.delete(node);
      m.nodeDecisions.push({ node, actor, reason, at, what });
      return what === 'retry' ? `node ${node} is tried again` : `node ${node} stays as it is`;
    };
  const validateNode = ({ node }: NodeArgs): void => {
    // Also while it is aborted: a rollback that fails then needs somebody.
    notEnded();
    if (!m.waiting.has(node)) throw refuse('NodeNotWaiting', `node ${node} does not wait for a person`);
  };
  setHandler(retryNode, decideNode('retry'), { validator: validateNode });
  setHandler(skipNode, decideNode('skip'), { validator: validateNode });

  setHandler(status, () => ({
    state: m.state,
    stage: m.stage,
    wave: m.wave,
    failures: m.carry.failures,
    pause: m.carry.pause,
    gate: m.openGate,
    waiting: Object.fromEntries(m.waiting),
  }));
  setHandler(nodeWaits, (node, why) => void (why === null ? m.waiting.delete(node) : m.waiting.set(node, why)));
  setHandler(budgetSpent, (failures) => {
    m.carry.failures = failures;
    if (!m.carry.pause) pauseBySelf(m, `${failures} failures: the failure budget is used up`, 'node');
  });
  setHandler(waveQuiet, () => void (m.waveIsQuiet = true));
}
