import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { isReady } from '../src/probe/pods.ts';
import { some, text } from './args.ts';
import { daemonSetRef, isTerminating, podsOf, timeLeft, whyNotReady } from './daemon-sets.ts';
import { keepRevertArmed } from './node.ts';
import type { Verb, VerbContext } from './types.ts';

/** How long a node waits for the first routes of the new agent before the old links go all the same, seconds. */
const handOverSeconds = 5;
/** Between two looks at the node's own list of containers. */
const lookEveryMs = 500;

/**
 * `node.stopAgent { namespace, name, key, value }`: marks the node so that the DaemonSet leaves it, and waits until its
 * pod is gone for the API **and** for the node's runtime. flanneld re-creates flannel.1 without its routes when the
 * link is deleted under it (flannel #2247, §0a.5 of the migration facts), so "nearly gone" is not gone.
 *
 * @throws CutoverError StepTimedOut
 */
export const stopAgent: Verb = async (context, input) => {
  const { namespace, name } = daemonSetRef(input);
  const node = context.node().name;
  const marked = await mark(context, input);

  const onNode = `spec.nodeName=${node}`;
  let left: KubernetesObject[] = [];
  const gone = await context.waiting('agent', () =>
    context.kubernetes.waitFor(
      kinds.pod,
      { namespace, fieldSelector: onNode, timeoutMs: timeLeft(context), signal: context.signal },
      (pods) => {
        left = podsOf(pods, name);
        if (left.length === 0) return true;
        context.progress(`${some(left.map(({ metadata }) => metadata.name))} has to leave ${node}`);
        return undefined;
      },
    ),
  );
  if (!gone)
    throw stillThere(
      node,
      left.map(({ metadata }) => `${namespace}/${metadata.name}`),
    );

  // The API forgets a pod when kubelet says so; a kubelet that was restarted meanwhile may be wrong.
  const pattern = new RegExp(`^${name.replaceAll('.', '\\.')}-[a-z0-9]{5,}$`);
  for (let looks = 0; ; looks++) {
    const { sandboxes } = await context.onNode('inspect', { routes: false });
    const running = sandboxes.filter(
      (sandbox) => sandbox.ready && sandbox.namespace === namespace && pattern.test(sandbox.name),
    );
    if (running.length === 0) return { changed: marked || looks > 0, summary: `${name} is gone from ${node}` };
    if (Date.now() + lookEveryMs >= context.deadline)
      throw stillThere(
        node,
        running.map((sandbox) => `${namespace}/${sandbox.name} (for the runtime)`),
      );
    context.progress(`the runtime of ${node} still has ${running.map((sandbox) => sandbox.name).join(', ')}`);
    await context.waiting('agent', () => context.sleep(lookEveryMs));
  }
};

const stillThere = (node: string, pods: string[]): CutoverError =>
  new CutoverError('StepTimedOut', `${some(pods)} does not leave ${node}`, {
    remedy: `look at \`kubectl get pods -A --field-selector spec.nodeName=${node}\`, and at kubelet and the runtime on the node`,
    details: { pods },
  });

/**
 * `node.startAgent { namespace, name, key, value, replaces? }`: marks the node so that the DaemonSet comes, and waits until
 * its pod is Ready. With `replaces: 'flannel'` the links of Flannel are deleted as soon as the agent runs.
 *
 * @throws CutoverError AgentNotReady with the reason that the pod gives, and its last events
 */
export const startAgent: Verb = async (context, input) => {
  const { namespace, name } = daemonSetRef(input);
  const node = context.node().name;
  const marked = await mark(context, input);

  const handsOver = input['replaces'] === 'flannel';
  let { done, last } = await awaitAgent(context, { namespace, name }, handsOver ? hasRunningContainer : isReady);
  let armed = '';
  // An agent that does not come keeps the old links.
  if (handsOver && done) {
    [armed] = await context.waiting('agent', () =>
      Promise.all([
        // Not before: a node that boots is waited for through the API, and answers here once its agent runs.
        keepRevertArmed(context),
        context.onNode('clean-flannel', { keepLeases: true, keepLinks: false, waitSeconds: handOverSeconds }),
      ]),
    );
    ({ done, last } = await awaitAgent(context, { namespace, name }, isReady));
  }
  if (done && last)
    return {
      changed: marked,
      summary: `${last.metadata.name} is Ready on ${node}${armed}`,
      evidence: { pod: last.metadata.name },
    };

  const events = last ? await lastEvents(context, last) : [];
  const why = last
    ? `${last.metadata.name}: ${whyNotReady(last)}`
    : `DaemonSet ${namespace}/${name} makes no pod on it`;
  throw new CutoverError('AgentNotReady', `${name} does not become ready on ${node}: ${why}`, {
    remedy: last
      ? `look at \`kubectl -n ${namespace} describe pod ${last.metadata.name}\` and its logs`
      : `compare the nodeSelector and tolerations of DaemonSet ${namespace}/${name} with labels and taints of ${node}`,
    details: { pod: last?.metadata.name ?? null, why, events },
  });
};

/** What kubelet says of a container that will not start by waiting longer. */
const broken = new Set([
  'CrashLoopBackOff',
  'CreateContainerConfigError',
  'CreateContainerError',
  'ErrImageNeverPull',
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'RunContainerError',
]);
/** An agent that says so for this long is given up before the step's time is over: meanwhile the node is out of service. */
const patienceMs = 60_000;
/** Nothing changes about a pod that is broken, so nothing is heard of it either. */
const lookAgainMs = 5_000;

/** Waits for the DaemonSet's pod on the node until `done` is true of it, the time is over, or it stays broken. */
async function awaitAgent(
  context: VerbContext,
  { namespace, name }: { namespace: string; name: string },
  done: (pod: KubernetesObject) => boolean,
): Promise<{ done: boolean; last: KubernetesObject | undefined }> {
  let last: KubernetesObject | undefined;
  let words = '';
  let brokenSince: number | undefined;
  const look = (pods: KubernetesObject[]): true | undefined => {
    const own = podsOf(pods, name);
    last = own.find((pod) => !isTerminating(pod)) ?? own[0];
    if (last && !isTerminating(last) && done(last)) return true;
    brokenSince = last && isBroken(last) ? (brokenSince ?? Date.now()) : undefined;
    const now = last ? `${last.metadata.name}: ${whyNotReady(last)}` : `no pod of ${name} yet`;
    if (now !== words) context.progress(now);
    words = now;
    return undefined;
  };
  return context.waiting('agent', async () => {
    for (;;) {
      const timeoutMs = Math.min(lookAgainMs, timeLeft(context));
      const options = { namespace, fieldSelector: `spec.nodeName=${context.node().name}`, timeoutMs };
      if (await context.kubernetes.waitFor(kinds.pod, { ...options, signal: context.signal }, look))
        return { done: true, last };
      const givenUp = brokenSince !== undefined && Date.now() - brokenSince >= patienceMs;
      if (givenUp || Date.now() >= context.deadline) return { done: false, last };
    }
  });
}

const isBroken = ({ status }: KubernetesObject): boolean =>
  [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].some(
    (each: { state?: { waiting?: { reason?: string } } }) => broken.has(each.state?.waiting?.reason ?? ''),
  );

const hasRunningContainer = ({ status }: KubernetesObject): boolean =>
  (status?.containerStatuses ?? []).some((each: { state?: { running?: object } }) => each.state?.running !== undefined);

/** Sets the mark that the agents' DaemonSets select by. @returns whether it was another */
async function mark({ kubernetes, node }: VerbContext, input: JsonObject): Promise<boolean> {
  const key = text(input, 'key');
  const value = text(input, 'value');
  const { changed } = await modify(kubernetes, { ...kinds.node, name: node().name }, ({ metadata }) =>
    metadata.labels?.[key] === value ? undefined : { metadata: { labels: { [key]: value } } },
  );
  return changed;
}

/** The newest events about a pod, as `kubectl describe` words them. */
async function lastEvents({ kubernetes }: VerbContext, { metadata }: KubernetesObject): Promise<string[]> {
  const fieldSelector = `involvedObject.name=${metadata.name}`;
  const events = await kubernetes.list(kinds.event, {
    ...(metadata.namespace ? { namespace: metadata.namespace } : {}),
    fieldSelector,
  });
  const at = (event: KubernetesObject): string =>
    String(event['lastTimestamp'] ?? event['eventTime'] ?? event.metadata.creationTimestamp ?? '');
  return events
    .toSorted((a, b) => (at(a) < at(b) ? -1 : 1))
    .slice(-5)
    .map((event) => `${event['type']} ${event['reason']}: ${event['message']}`);
}
