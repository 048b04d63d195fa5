import { calico, flannel } from '../src/checks/names.ts';
import { CutoverError } from '../src/errors.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import type { NodeState } from '../src/node/types.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { isReady } from '../src/probe/pods.ts';
import { count, some, text } from './args.ts';
import { isTerminating, ownedByDaemonSet, timeLeft, whyNotReady } from './daemon-sets.ts';
import { inParallel } from './in-parallel.ts';
import { keepRevertArmed, notLoaded } from './node.ts';
import type { Verb, VerbContext } from './types.ts';

const loadMs = 60_000;
const lookEveryMs = 500;
/** How long the node's DaemonSet pods get to become Ready; one that has its address by then is its owner's affair. */
const readyMs = 90_000;
/** How long the unanswered SYNs stay when no route of the new network comes, seconds. */
const routesSeconds = 10;

/**
 * `node.settle { expect }`: waits until the runtime has loaded the network `expect`; drops the unanswered SYNs of the dark
 * window once it has routes; starts afresh the DaemonSet pods that wait behind kubelet's back-off; waits until all of them are Ready.
 *
 * Without it a node costs 9 to 12 s more of back-off collected behind the fence (§0a.13 of the migration facts), and
 * NodePort connections fail for 60 to 109 s after everything is up (§0a.23).
 *
 * @throws CutoverError RuntimeNotLoaded, StepTimedOut when a pod gets no network
 */
export const settle: Verb = async (context, input) => {
  const expect = text(input, 'expect');
  const state = await context.waiting('runtime', () => awaitLoaded(context, expect));
  const { loadedNetworks: loaded, sandboxes, missingTools = [] } = state;
  // A node without it was warned about before the launch (node-tools); that is no reason to take it back.
  const keepsSyns = missingTools.includes('conntrack');
  const link = expect === flannel.network ? flannel.link : calico.link;
  const [flushed, armed, { restarted, late }] = await Promise.all([
    keepsSyns ? 0 : flushSynSent(context, link),
    keepRevertArmed(context, state),
    restartWaiting(context, sandboxes).then(async (pods) => ({
      restarted: pods,
      late: await context.waiting('pods', () => awaitDaemonPods(context, pods)),
    })),
  ]);
  const parts = [
    `the runtime has loaded ${expect}`,
    keepsSyns
      ? 'unanswered connections stay for two minutes: the node has no conntrack'
      : `${count(flushed, 'unanswered connection')} dropped`,
    ...(restarted.length > 0 ? [`${count(restarted.length, 'waiting pod')} started afresh`] : []),
    late.length === 0 ? 'every DaemonSet pod is Ready' : `${some(late)} not Ready, but connected`,
  ];
  return {
    changed: flushed > 0 || restarted.length > 0,
    summary: parts.join('; ') + armed,
    evidence: { loaded, flushed, restarted: restarted.map(({ pod }) => pod), late },
  };
};

async function awaitLoaded(context: VerbContext, expect: string): Promise<NodeState> {
  const endsAt = Math.min(Date.now() + loadMs, context.deadline);
  for (;;) {
    const state = await context.onNode('inspect', { routes: false });
    const { loadedNetworks } = state;
    if (loadedNetworks.includes(expect)) return state;
    if (Date.now() + lookEveryMs >= endsAt) throw notLoaded(context.node().name, expect, loadedNetworks);
    context.progress(`the runtime has loaded ${loadedNetworks.join(', ') || 'no network'}; waiting for ${expect}`);
    await context.sleep(lookEveryMs);
  }
}

async function flushSynSent(context: VerbContext, link: string): Promise<number> {
  const services = await context.kubernetes.list(kinds.service);
  const ports = services
    .flatMap(({ spec }) => (spec?.ports ?? []) as { nodePort?: number; protocol?: string }[])
    .filter(({ nodePort, protocol = 'TCP' }) => nodePort !== undefined && protocol === 'TCP')
    .map(({ nodePort }) => nodePort!);
  if (ports.length === 0) return 0;
  const unique = [...new Set(ports)].toSorted((a, b) => a - b);
  return (await context.onNode('flush-syn-sent', { ports: unique.join(','), link, waitSeconds: routesSeconds }))
    .flushed;
}

/**
 * Pods of the pod network that have none since the purge: kubelet tries again only after its back-off. The runtime is asked,
 * because the API still shows what these pods were before: Running, with their old address.
 */
async function restartWaiting(context: VerbContext, sandboxes: NodeState['sandboxes']): Promise<Restarted[]> {
  const pods = await context.kubernetes.list(kinds.pod, { fieldSelector: `spec.nodeName=${context.node().name}` });
  const connected = new Set(
    sandboxes.filter(({ ready }) => ready).map(({ namespace, name }) => `${namespace}/${name}`),
  );
  const waiting = pods.filter(
    (pod) =>
      ownedByDaemonSet(pod) &&
      !isTerminating(pod) &&
      pod['spec']?.hostNetwork !== true &&
      !connected.has(`${pod.metadata.namespace}/${pod.metadata.name}`),
  );
  await inParallel(waiting, 10, ({ metadata: { name, namespace = 'default', uid } }) =>
    context.kubernetes.delete({ ...kinds.pod, namespace, name }, uid === undefined ? {} : { preconditionUid: uid }),
  );
  return waiting.map(({ metadata }) => ({ pod: `${metadata.namespace}/${metadata.name}`, owner: ownerOf(metadata) }));
}

interface Restarted {
  pod: string;
  owner: string;
}

export const ownerOf = ({ namespace, ownerReferences = [] }: KubernetesObject['metadata']): string =>
  `${namespace}/${ownerReferences.find(({ controller }) => controller)?.name ?? ''}`;

/** @returns the pods that are connected but not Ready at the end of the time */
export async function awaitDaemonPods(context: VerbContext, restarted: Restarted[]): Promise<string[]> {
  const node = context.node().name;
  let pods: KubernetesObject[] = [];
  let words = '';
  const timeoutMs = Math.min(readyMs, timeLeft(context));
  const ready = await context.kubernetes.waitFor(
    kinds.pod,
    { fieldSelector: `spec.nodeName=${node}`, timeoutMs, signal: context.signal },
    (all) => {
      pods = all.filter(ownedByDaemonSet);
      const late = pods.filter((pod) => isTerminating(pod) || !isReady(pod));
      // Between the deletion of a pod and its successor there is a moment in which nothing is late.
      const missing = restarted.filter(({ owner }) => !pods.some(({ metadata }) => ownerOf(metadata) === owner));
      const now = [
        ...late.map(({ metadata }) => metadata.name),
        ...missing.map(({ owner }) => `a pod of ${owner}`),
      ].join(', ');
      if (now !== words && now !== '') context.progress(`waiting for ${now}`);
      words = now;
      return now === '' ? true : undefined;
    },
  );
  if (ready) return [];
  const late = pods.filter((pod) => isTerminating(pod) || !isReady(pod));
  const unconnected = late.filter((pod) => isTerminating(pod) || !pod['status']?.podIP);
  const named = (pod: KubernetesObject): string => `${pod.metadata.namespace}/${pod.metadata.name}`;
  if (unconnected.length === 0) return late.map(named);
  const reasons = unconnected.map((pod) => `${named(pod)}: ${whyNotReady(pod)}`);
  throw new CutoverError(
    'StepTimedOut',
    `${count(unconnected.length, 'DaemonSet pod')} of ${node} got no network: ${some(reasons)}`,
    {
      remedy: `look at \`kubectl get events -A\` about these pods, and at the runtime's log on ${node}`,
      details: { node, pods: reasons },
    },
  );
}
