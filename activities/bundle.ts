import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { imagesOf } from '../src/plan/images.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import type { KubernetesObject, ObjectRef } from '../src/kubernetes/types.ts';
import { readBundle, type BundleFile } from '../src/plan/bundle.ts';
import type { CompiledPlan } from '../src/plan/types.ts';
import type { Store } from '../src/store/types.ts';
import { count, some, text } from './args.ts';
import { inParallel } from './in-parallel.ts';
import { timeLeft } from './daemon-sets.ts';
import { isOurs, marksFor } from './earlier.ts';
import type { Verb, VerbContext } from './types.ts';

const atOnce = 8;
const goneEveryMs = 300;

/** What has to exist before what; kinds that are not listed come between. Deletion goes the other way. */
const order = [
  'Namespace',
  'CustomResourceDefinition',
  'ServiceAccount',
  'ClusterRole',
  'Role',
  'ClusterRoleBinding',
  'RoleBinding',
  'Secret',
  'ConfigMap',
  'Service',
];
const workloads = ['DaemonSet', 'Deployment', 'StatefulSet', 'Job', 'CronJob'];

export function applyRank(kind: string): number {
  if (order.includes(kind)) return order.indexOf(kind);
  return workloads.includes(kind) ? order.length + 1 : order.length;
}

/** Objects of a bundle by the digest that the plan pins; the store has what the folder held when the plan was made. */
export function bundleObjects(store: Store, plan: CompiledPlan, name: string): KubernetesObject[] {
  const pinned = plan.bundles[name];
  if (!pinned) throw new CutoverError('Internal', `plan ${plan.name} names no bundle ${name}`);
  const document = store.getDocument<{ files: BundleFile[] }>('bundle', pinned.sha256);
  if (!document) {
    throw new CutoverError('NotFound', `the store has no bundle ${name} (${pinned.sha256.slice(0, 12)}…)`, {
      remedy: 'plan again: that stores the content of the folder',
    });
  }
  return readBundle(document.files);
}

/** Images that the DaemonSets of the plan's bundles bring to every node. */
export function bundleImages(store: Store, plan: CompiledPlan): string[] {
  const daemonSets = Object.keys(plan.bundles).flatMap((name) =>
    bundleObjects(store, plan, name).filter(({ kind }) => kind === 'DaemonSet'),
  );
  return [...new Set(daemonSets.flatMap(imagesOf))].filter((image) => image !== '').toSorted();
}

/** What a step picks of its bundle, with `select` written into the DaemonSet that it names. */
function chosen({ store, plan }: VerbContext, input: JsonObject): KubernetesObject[] {
  const { only, except, select } = input as { only?: string; except?: string; select?: Select };
  const objects = bundleObjects(store, plan, text(input, 'bundle')).filter(
    ({ kind }) => (only === undefined || kind === only) && kind !== except,
  );
  if (select && !objects.some((object) => isSelected(object, select))) {
    throw new CutoverError(
      'PlanInvalid',
      `the bundle ${text(input, 'bundle')} has no DaemonSet ${select.namespace}/${select.name}`,
      {
        remedy: 'use the manifests of the CNI that this route installs',
      },
    );
  }
  return objects.map((object) => (select && isSelected(object, select) ? withNodeSelector(object, select) : object));
}

interface Select {
  namespace: string;
  name: string;
  key: string;
  value: string;
}

const isSelected = ({ kind, metadata }: KubernetesObject, select: Select): boolean =>
  kind === 'DaemonSet' && metadata.name === select.name && (metadata.namespace ?? 'default') === select.namespace;

function withNodeSelector(object: KubernetesObject, { key, value }: Select): KubernetesObject {
  const copy = structuredClone(object);
  const pod = copy['spec'].template.spec;
  pod.nodeSelector = { ...pod.nodeSelector, [key]: value };
  return copy;
}

export const refOf = ({ apiVersion, kind, metadata: { name, namespace } }: KubernetesObject): ObjectRef => ({
  apiVersion,
  kind,
  name,
  ...(namespace === undefined ? {} : { namespace }),
});

const nameOf = ({ kind, metadata }: KubernetesObject): string =>
  `${kind} ${metadata.namespace ? `${metadata.namespace}/` : ''}${metadata.name}`;

/**
 * Applies objects, and marks those that did not exist, or that are adopted, as made by this migration, in the same write.
 * What existed before is changed, and keeps the mark that it has, or none.
 */
export async function applyOwned(
  context: VerbContext,
  object: KubernetesObject,
): Promise<'created' | 'updated' | 'same'> {
  const { kubernetes } = context;
  const before = await kubernetes.get(refOf(object));
  const after = await kubernetes.apply(withAnnotations(object, marksFor(context, before)), { force: true });
  if (before === undefined) return 'created';
  return before.metadata.resourceVersion === after.metadata.resourceVersion ? 'same' : 'updated';
}

export const withAnnotations = (object: KubernetesObject, annotations: { [key: string]: string }): KubernetesObject =>
  Object.keys(annotations).length === 0
    ? object
    : { ...object, metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } } };

/**
 * `cluster.applyBundle { bundle, only?, except?, select? }`: server-side apply of the bundle's objects, by rank;
 * definitions are waited for until they are Established.
 *
 * @throws CutoverError KubernetesRefused, StepTimedOut
 */
export const applyBundle: Verb = async (context, input) => {
  const objects = chosen(context, input);
  const counts = { created: 0, updated: 0, same: 0 };
  for (const rank of ranks(objects)) {
    await inParallel(rank, atOnce, async (object) => {
      context.progress(`applying ${nameOf(object)}`);
      counts[await applyOwned(context, object)]++;
    });
    await awaitEstablished(
      context,
      rank.filter(({ kind }) => kind === 'CustomResourceDefinition'),
    );
  }
  return {
    changed: counts.created + counts.updated > 0,
    summary: `${count(objects.length, 'object')} applied: ${counts.created} created, ${counts.updated} changed, ${counts.same} as they were`,
    evidence: { ...counts },
  };
};

function ranks(objects: readonly KubernetesObject[]): KubernetesObject[][] {
  const groups = Map.groupBy(objects, ({ kind }) => applyRank(kind));
  return [...groups.entries()].toSorted(([a], [b]) => a - b).map(([, group]) => group);
}

async function awaitEstablished(context: VerbContext, definitions: KubernetesObject[]): Promise<void> {
  if (definitions.length === 0) return;
  const wanted = definitions.map(({ metadata }) => metadata.name);
  let missing = wanted;
  const options = { timeoutMs: timeLeft(context), signal: context.signal };
  const done = await context.kubernetes.waitFor(kinds.definition, options, (all) => {
    const established = all.filter(({ status }) =>
      (status?.conditions ?? []).some(
        ({ type, status: is }: { type: string; status: string }) => type === 'Established' && is === 'True',
      ),
    );
    missing = wanted.filter((name) => !established.some(({ metadata }) => metadata.name === name));
    return missing.length === 0 ? true : undefined;
  });
  if (!done)
    throw new CutoverError(
      'StepTimedOut',
      `${count(missing.length, 'resource definition')} not Established: ${some(missing)}`,
    );
}

/**
 * `cluster.deleteBundle { bundle, only?, except? }`: deletes what this migration created of the bundle, and nothing
 * else, and waits until it is gone.
 */
export const deleteBundle: Verb = async (context, input) => {
  const objects = chosen(context, { ...input, select: undefined });
  const deleted: string[] = [];
  for (const rank of ranks(objects).reverse()) {
    const gone = await inParallel(rank, atOnce, (object) => deleteOwned(context, object));
    const names = rank.filter((_, index) => gone[index]).map(nameOf);
    deleted.push(...names);
    await awaitGone(
      context,
      rank.filter((_, index) => gone[index]),
    );
  }
  const left = objects.length - deleted.length;
  return {
    changed: deleted.length > 0,
    summary: `${count(deleted.length, 'object')} deleted; ${left} left alone, not made by this migration or gone already`,
    evidence: { deleted },
  };
};

/** @returns whether it was ours and has been asked to go */
export async function deleteOwned(context: VerbContext, object: KubernetesObject): Promise<boolean> {
  const { kubernetes } = context;
  const found = await kubernetes.get(refOf(object));
  if (!found || !isOurs(context, found)) return false;
  const { uid } = found.metadata;
  return kubernetes.delete(refOf(object), {
    propagation: 'Background',
    ...(uid === undefined ? {} : { preconditionUid: uid }),
  });
}

/** @throws CutoverError StepTimedOut naming what stays, which is usually held by a finalizer */
export async function awaitGone(context: VerbContext, objects: readonly KubernetesObject[]): Promise<void> {
  let left = [...objects];
  for (;;) {
    const found = await inParallel(left, atOnce, (object) => context.kubernetes.get(refOf(object)));
    left = left.filter((_, index) => found[index] !== undefined);
    if (left.length === 0) return;
    if (Date.now() + goneEveryMs >= context.deadline) {
      throw new CutoverError('StepTimedOut', `${some(left.map(nameOf))} does not go away`, {
        remedy: 'look at its finalizers',
      });
    }
    context.progress(`waiting until ${some(left.map(nameOf))} is gone`);
    await context.sleep(goneEveryMs);
  }
}
