import type { JsonObject } from '../../../json.ts';
import { isMutating, isVerbName } from '../../../node/verb-program.ts';
import type { VerbName } from '../../../node/types.ts';
import type { SimClock, SimNode } from '../../types.ts';
import { cleanCalico, cleanFlannel } from './clean.ts';
import { counters } from './counters.ts';
import { fence, unfence } from './fence.ts';
import { forget, removeFlannelFiles, snapshot } from './files.ts';
import { flows } from './flows.ts';
import { portList } from './input.ts';
import { withLock } from './lock.ts';
import type { VerbModel, VerbRun } from './model.ts';
import { VerbExit, awaitRoute, failure, latency } from './model.ts';
import { purge } from './purge.ts';
import { armRevert, disarmRevert } from './revert.ts';
import { survey } from './survey.ts';
import { claimToken, readCaller, refuse } from './token.ts';

const inspect: VerbModel<'inspect'> = async ({ node, clock }, { routes = true }) => {
  await clock.sleep(latency.inspect);
  const state = node.state();
  // inspect.sh leaves the loopback out: it belongs to no CNI.
  return {
    ...state,
    links: state.links.filter(({ name }) => name !== 'lo'),
    routes: routes ? state.routes : [],
  };
};

const startKubelet: VerbModel<'start-kubelet'> = async ({ node, guard }) => {
  if (node.kubelet.active) return { active: true, changed: false };
  guard();
  await node.kubelet.start();
  if (!node.kubelet.active)
    throw failure('KubeletFails', 'kubelet was started and is not active: see journalctl -u kubelet');
  return { active: true, changed: true };
};

const flushSynSent: VerbModel<'flush-syn-sent'> = async (run, input) => {
  const { node, guard } = run;
  await awaitRoute(run, input.waitSeconds, ({ dev }) => dev === input.link);
  let flushed = 0;
  for (const port of portList(input, 'ports')) {
    guard();
    const kept = node.conntrack.filter(
      ({ protocol, state, dport }) => protocol !== 'tcp' || state !== 'SYN_SENT' || dport !== port,
    );
    flushed += node.conntrack.length - kept.length;
    node.conntrack = kept;
  }
  return { flushed };
};

const askPeers: VerbModel<'ask-peers'> = async ({ node, clock }, { port, peers, waitSeconds }) => {
  const answers = peers
    .split(',')
    .filter((address) => address !== '')
    .map((address) => ({ address, answer: node.tcp.ask(address, port) }));
  await clock.sleep(answers.some(({ answer }) => answer === 'silent') ? waitSeconds * 1000 : latency.command);
  return { listener: node.tcp.listener(port), answers, strictRpFilter: [] };
};

const models: { [V in VerbName]: VerbModel<V> } = {
  inspect,
  survey,
  counters,
  flows,
  snapshot,
  'arm-revert': armRevert,
  'disarm-revert': disarmRevert,
  purge,
  fence,
  unfence,
  'start-kubelet': startKubelet,
  'clean-flannel': cleanFlannel,
  'clean-calico': cleanCalico,
  'flush-syn-sent': flushSynSent,
  'ask-peers': askPeers,
  'remove-flannel-files': removeFlannelFiles,
  forget,
};

export interface VerbEnd {
  exitCode: number;
  answer: JsonObject;
}

/**
 * Runs the model of a verb on a node. `onEffect` is called before each effect, after the token was looked at; what it
 * throws ends the run there, as SIGKILL would (used by tests, and by the fault ssh-lost).
 */
export async function runVerb(
  node: SimNode,
  clock: SimClock,
  verb: string,
  input: JsonObject,
  onEffect: () => void = () => {},
): Promise<VerbEnd> {
  if (!isVerbName(verb))
    return { exitCode: 127, answer: { error: 'UnknownVerb', message: `no verb is named ${verb}` } };
  const model = models[verb] as (run: VerbRun, input: object) => Promise<object>;
  try {
    await clock.sleep(latency.start);
    if (!isMutating(verb)) {
      return { exitCode: 0, answer: (await model({ node, clock, guard: () => {} }, input)) as JsonObject };
    }
    const caller = readCaller(input);
    const guard = () => refuse(node, caller, clock.now());
    claimToken(node, caller, clock.now());
    return await withLock(node, async () => {
      guard();
      const answer = await model(
        {
          node,
          clock,
          guard() {
            guard();
            onEffect();
          },
        },
        input,
      );
      return { exitCode: 0, answer: answer as JsonObject };
    });
  } catch (error) {
    if (error instanceof VerbExit) return { exitCode: error.exitCode, answer: error.answer };
    throw error;
  }
}
