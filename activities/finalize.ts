import { CutoverError } from '../src/errors.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { createdBy, createdFrom } from '../src/kubernetes/marks.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { ObjectRef } from '../src/kubernetes/types.ts';
import { count, some } from './args.ts';
import { awaitGone } from './bundle.ts';
import { liftStrictAffinity } from './calico.ts';
import { endedMigrations } from './earlier.ts';
import { daemonSetRef, ownedByDaemonSet, podsOf, timeLeft } from './daemon-sets.ts';
import { asCutoverError } from './failures.ts';
import { inParallel } from './in-parallel.ts';
import { plannedNodes } from './plans.ts';
import type { Verb, VerbContext } from './types.ts';

const nodesAtOnce = 10;
const flannelNamespace = 'kube-flannel';
const flannelAnnotation = 'flannel.alpha.coreos.com/';

/** `cluster.deleteDaemonSet { namespace, name }`: and waits until its last pod is gone. @throws CutoverError StepTimedOut */
export const deleteDaemonSet: Verb = async (context, input) => {
  const { kubernetes, signal } = context;
  const ref = daemonSetRef(input);
  const existed = await kubernetes.delete(ref, { propagation: 'Foreground' });
  let left: string[] = [];
  const gone = await kubernetes.waitFor(
    kinds.pod,
    { namespace: ref.namespace, timeoutMs: timeLeft(context), signal },
    (pods) => {
      left = podsOf(pods, ref.name).map(({ metadata }) => metadata.name);
      if (left.length === 0) return true;
      context.progress(`${count(left.length, 'pod')} of ${ref.name} to end`);
      return undefined;
    },
  );
  if (!gone)
    throw new CutoverError(
      'StepTimedOut',
      `${count(left.length, 'pod')} of ${ref.name} ${left.length === 1 ? 'does' : 'do'} not end: ${some(left)}`,
    );
  await awaitGone(context, [{ ...ref, metadata: { name: ref.name, namespace: ref.namespace } }]);
  return { changed: existed, summary: existed ? `${ref.name} and its pods are gone` : `there was no ${ref.name}` };
};

/**
 * `cluster.cleanNodes`: Flannel's files, links, chains and leases go from every node of the stage. Every node gets its
 * turn even when one fails.
 *
 * @throws CutoverError of the first node that fails, naming all that did
 */
export const cleanNodes: Verb = async (context) => {
  const { outcomes, failures } = await onEveryNode(context, 'cleaned', async (node) => {
    const files = await context.onNode('remove-flannel-files', {}, { node });
    const rest = await context.onNode(
      'clean-flannel',
      { keepLeases: false, keepLinks: false, waitSeconds: 0 },
      { node },
    );
    return { files: files.removed.length, found: rest.links.length + rest.rules + rest.leases };
  });
  if (failures.length > 0) throw severalFailed('cleaned', failures);
  const files = outcomes.reduce((sum, each) => sum + each.files, 0);
  const found = outcomes.reduce((sum, each) => sum + each.found, 0);
  return {
    changed: files + found > 0,
    summary: `${count(outcomes.length, 'node')} cleaned: ${count(files, 'file')} and ${count(found, 'link, rule or lease', 'links, rules and leases')} removed`,
  };
};

/**
 * `cluster.removeFlannel`: the rest of Flannel's own objects, its node annotations, and what Cutover kept on nodes. The
 * guard of strict affinity is lifted. Earlier migrations are forgotten, too. The annotations on objects of the new CNI stay: they say where these came from.
 */
export const removeFlannel: Verb = async (context) => {
  const removed = await deleteObjects(context);
  await awaitGone(
    context,
    removed.map(({ apiVersion, kind, ...metadata }) => ({ apiVersion, kind, metadata })),
  );
  const lifted = await liftStrictAffinity(context);

  const nodes = await context.kubernetes.list(kinds.node);
  const ours = (key: string): boolean => key.startsWith(flannelAnnotation) || key === createdBy || key === createdFrom;
  const changes = await inParallel(nodes, nodesAtOnce, ({ metadata: { name } }) =>
    modify(context.kubernetes, { ...kinds.node, name }, ({ metadata }) => {
      const keys = Object.keys(metadata.annotations ?? {}).filter(ours);
      return keys.length === 0
        ? undefined
        : { metadata: { annotations: Object.fromEntries(keys.map((key) => [key, null])) } };
    }),
  );
  const annotated = changes.filter(({ changed }) => changed).length;

  const { failures, outcomes } = await forgetOnNodes(context);
  if (failures.length > 0) throw severalFailed('told to forget the migration', failures);
  return {
    changed: removed.length > 0 || lifted || annotated > 0 || outcomes.some((each) => each.removed),
    summary: `${count(removed.length, 'object')} of Flannel removed, ${count(annotated, 'node')} freed of its annotations${lifted ? ', strict affinity lifted' : ''}`,
    evidence: { removed: removed.map(nameOf), strictAffinityLifted: lifted },
  };
};

/**
 * `cluster.deleteFlannel`: asks for the rest of Flannel's own objects to go, and does not wait: Kubernetes looks at a
 * deleted namespace only after 5 s, in which the next steps work. `cluster.removeFlannel` waits for them.
 */
export const deleteFlannel: Verb = async (context) => {
  const removed = await deleteObjects(context);
  return {
    changed: removed.length > 0,
    summary: `${count(removed.length, 'object')} of Flannel asked to go`,
    evidence: { removed: removed.map(nameOf) },
  };
};

/** What Cutover keeps on nodes goes, of this migration and of those that ended before it. */
function forgetOnNodes(context: VerbContext) {
  const ended = endedMigrations(context.store, context.plan.cluster.uid).map(({ id }) => id);
  return onEveryNode(context, 'told to forget the migration', async (node) => {
    let removed = false;
    for (const migration of [...ended, context.place.migration])
      removed = (await context.onNode('forget', { migration }, { node })).removed || removed;
    return { removed };
  });
}

/**
 * `cluster.forget`: the end of a rollback, when nothing needs the snapshots any more. A node that cannot be reached keeps
 * them: the cluster is back as it was, and that is not worth a person's night.
 */
export const forget: Verb = async (context) => {
  const { failures, outcomes } = await forgetOnNodes(context);
  const kept =
    failures.length === 0 ? '' : `; not reached, and still with it: ${some(failures.map(({ node }) => node))}`;
  return {
    changed: outcomes.some((each) => each.removed),
    summary: `${count(outcomes.length, 'node')} told to forget the migration${kept}`,
  };
};

/** The namespace as a whole when only Flannel lives in it, else Flannel's objects one by one. @returns those that were there */
async function deleteObjects(context: VerbContext): Promise<ObjectRef[]> {
  const { kubernetes } = context;
  const configs = await kubernetes.list(kinds.configMap, { fieldSelector: 'metadata.name=kube-flannel-cfg' });
  const namespaces = [
    ...new Set([...configs.map(({ metadata }) => metadata.namespace ?? 'default'), flannelNamespace]),
  ];
  const candidates: ObjectRef[] = [
    ...namespaces.flatMap((namespace) => [
      { ...kinds.configMap, namespace, name: 'kube-flannel-cfg' },
      { ...kinds.serviceAccount, namespace, name: 'flannel' },
    ]),
    { ...kinds.clusterRoleBinding, name: 'flannel' },
    { ...kinds.clusterRole, name: 'flannel' },
  ];
  const strangers = (await kubernetes.list(kinds.pod, { namespace: flannelNamespace })).filter(
    (pod) => !ownedByDaemonSet(pod),
  );
  const others = (await kubernetes.list(kinds.daemonSet, { namespace: flannelNamespace })).length;
  if (strangers.length === 0 && others === 0) candidates.push({ ...kinds.namespace, name: flannelNamespace });

  const removed: ObjectRef[] = [];
  for (const ref of candidates) if (await kubernetes.delete(ref)) removed.push(ref);
  return removed;
}

const nameOf = ({ kind, namespace, name }: ObjectRef): string => `${kind} ${namespace ? `${namespace}/` : ''}${name}`;

interface NodeFailure {
  node: string;
  error: CutoverError;
}

async function onEveryNode<T>(
  context: VerbContext,
  done: string,
  work: (node: string) => Promise<T>,
): Promise<{ outcomes: T[]; failures: NodeFailure[] }> {
  const nodes = plannedNodes(context.stage);
  const outcomes: T[] = [];
  const failures: NodeFailure[] = [];
  await inParallel(nodes, nodesAtOnce, async ({ name }) => {
    context.signal.throwIfAborted();
    try {
      outcomes.push(await work(name));
    } catch (error) {
      context.signal.throwIfAborted();
      failures.push({ node: name, error: asCutoverError(error) });
    }
    context.progress(
      `${outcomes.length} of ${nodes.length} nodes ${done}${failures.length > 0 ? `, ${failures.length} failed` : ''}`,
    );
  });
  return { outcomes, failures };
}

function severalFailed(done: string, failures: NodeFailure[]): CutoverError {
  const [{ error }] = failures as [NodeFailure];
  const list = failures.map((each) => `${each.node}: ${each.error.message}`);
  return new CutoverError(error.type, `${count(failures.length, 'node')} could not be ${done}: ${some(list)}`, {
    remedy: error.remedy,
    details: {
      nodes: failures.map((each) => ({ node: each.node, type: each.error.type, message: each.error.message })),
    },
  });
}
