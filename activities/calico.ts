import { isDeepStrictEqual } from 'node:util';
import { within } from '../src/checks/cidr.ts';
import { CutoverError } from '../src/errors.ts';
import type { Json, JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { createdBy, createdFrom, foundState, networkLabel } from '../src/kubernetes/marks.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { KubernetesObject, ObjectRef } from '../src/kubernetes/types.ts';
import { putBackFound } from './found-state.ts';
import { count } from './args.ts';
import { refOf, withAnnotations } from './bundle.ts';
import {
  blockSizeFor,
  calicoAnnotations,
  clusterIdentity,
  identityOf,
  nodeAnnotations,
  nodeIdentity,
  type FlannelNetwork,
} from './flannel-identity.ts';
import { isOurs, marksUnlessMarked, ownMarks } from './earlier.ts';
import { inParallel } from './in-parallel.ts';
import { plannedNodes } from './plans.ts';
import type { Verb, VerbContext } from './types.ts';

const atOnce = 10;

/**
 * `calico.adoptFlannelIpam`: writes each node's Flannel identity into Calico's address management, before any agent
 * runs. A block is only ever created: once Calico has it, its allocations are pods.
 *
 * @throws CutoverError DriftFound when Flannel does not run everywhere, or another pool of that name exists
 */
export const adoptFlannelIpam: Verb = async (context) => {
  const { kubernetes } = context;
  if (plannedNodes(context.stage).every(({ adopted }) => adopted))
    return { changed: false, summary: 'every node has been adopted, and its addresses with it' };
  const [network, nodes] = await Promise.all([flannelNetwork(context), kubernetes.list(kinds.node)]);
  const identities = nodes.map(identityOf);
  // A node that has moved is Calico's own to describe.
  const moved = new Set(nodes.filter(hasMoved).map(({ metadata }) => metadata.name));
  const blockSize = blockSizeFor(identities.map(({ podCIDR }) => podCIDR));
  const { pool, felix, ipam } = clusterIdentity(network, blockSize);
  let written = 0;

  // The pool is written first and removed last: while it is there and ours, everything inside it is ours.
  written += await createPool(context, pool);
  written += await createOrSet(context, felix);
  written += await createOrSet(context, ipam);

  const wanted = identities
    .filter(({ name }) => !moved.has(name))
    .flatMap((identity) => nodeIdentity(identity, blockSize));
  const existing = new Set<string>();
  for (const kind of [kinds.blockAffinity, kinds.ipamHandle, kinds.ipamBlock]) {
    for (const { metadata } of await kubernetes.list(kind)) existing.add(`${kind.kind} ${metadata.name}`);
  }
  const missing = wanted.filter(({ kind, metadata }) => !existing.has(`${kind} ${metadata.name}`));
  let made = 0;
  await inParallel(missing, atOnce, async (object) => {
    await create(context, object);
    if (++made % 20 === 0 || made === missing.length)
      context.progress(`${made} of ${missing.length} blocks, affinities and handles written`);
  });

  const annotated = await inParallel(identities, atOnce, async (identity) => {
    const { changed } = await modify(kubernetes, { ...kinds.node, name: identity.name }, (node) => {
      const annotations = { ...nodeAnnotations(identity), ...marksUnlessMarked(context, node) };
      const there = Object.entries(annotations).every(([key, value]) => node.metadata.annotations?.[key] === value);
      return hasMoved(node) || there ? undefined : { metadata: { annotations } };
    });
    return changed;
  });
  const nodesChanged = annotated.filter(Boolean).length;
  return {
    changed: written + missing.length + nodesChanged > 0,
    summary: `${count(identities.length, 'node')} of ${network.cidr} in blocks of /${blockSize}: ${count(missing.length, 'object')} written, ${wanted.length - missing.length} were there`,
    evidence: { network: { ...network }, blockSize, nodes: identities.length, created: missing.length },
  };
};

const hasMoved = ({ metadata }: KubernetesObject): boolean => metadata.labels?.[networkLabel] === 'calico';

/** Measured on a node, not read from a ConfigMap that may have been edited since flanneld started. */
async function flannelNetwork(context: VerbContext): Promise<FlannelNetwork> {
  const first = plannedNodes(context.stage).find(({ adopted }) => !adopted);
  if (!first) throw new CutoverError('WaveEmpty', `stage ${context.stage.id} has no node`);
  const { subnetEnv, links } = await context.onNode('inspect', { routes: false }, { node: first.name });
  const link = links.find(({ name }) => name === 'flannel.1');
  const cidr = subnetEnv['FLANNEL_NETWORK'];
  if (!cidr || !link) {
    throw new CutoverError(
      'DriftFound',
      `${first.name} has ${cidr ? 'no link flannel.1' : 'no FLANNEL_NETWORK in /run/flannel/subnet.env'}: Flannel's VXLAN does not run there`,
      {
        remedy: `look at the Flannel pod of ${first.name}`,
      },
    );
  }
  return { cidr, vni: link.vni, port: link.dstPort, mtu: link.mtu, masquerade: subnetEnv['FLANNEL_IPMASQ'] === 'true' };
}

const create = (context: VerbContext, object: KubernetesObject): Promise<KubernetesObject> =>
  context.kubernetes.apply(withAnnotations(object, ownMarks(context)));

/** A pool of another shape under that name has made Calico's own controller fail as well (calico #3706, #5186). */
async function createPool(context: VerbContext, pool: KubernetesObject): Promise<number> {
  const found = await context.kubernetes.get(refOf(pool));
  if (!found) {
    await create(context, pool);
    return 1;
  }
  const differing = ['cidr', 'blockSize', 'natOutgoing', 'vxlanMode', 'ipipMode'].filter(
    (key) => !isDeepStrictEqual(found['spec']?.[key], pool['spec'][key]),
  );
  if (differing.length === 0) return 0;
  const words = differing.map(
    (key) =>
      `${key} is ${JSON.stringify(found['spec']?.[key] ?? null)}, needed is ${JSON.stringify(pool['spec'][key])}`,
  );
  throw new CutoverError('DriftFound', `IPPool ${pool.metadata.name} exists and does not fit: ${words.join('; ')}`, {
    remedy: 'delete the pool if nothing uses it, then retry',
  });
}

/** Settings that may exist for another reason: set ours, keep what was found. @returns 1 when something was written */
export async function createOrSet(context: VerbContext, wanted: KubernetesObject): Promise<number> {
  const found = await context.kubernetes.get(refOf(wanted));
  if (!found) {
    await create(context, wanted);
    return 1;
  }
  const spec = wanted['spec'] as JsonObject;
  const { changed } = await modify(context.kubernetes, refOf(wanted), (object) => {
    if (Object.entries(spec).every(([key, value]) => isDeepStrictEqual(object['spec']?.[key], value))) return undefined;
    const { annotations = {} } = object.metadata;
    if (isOurs(context, object) || annotations[foundState] !== undefined) return { spec };
    const before = Object.fromEntries(Object.keys(spec).map((key) => [key, (object['spec']?.[key] ?? null) as Json]));
    return { spec, metadata: { annotations: { [foundState]: JSON.stringify(before) } } };
  });
  return changed ? 1 : 0;
}

/** `calico.releaseFlannelIpam`: takes back what `adoptFlannelIpam` wrote; tolerates that it never ran, or only half. */
export const releaseFlannelIpam: Verb = async (context) => {
  const { kubernetes } = context;
  const mine = (object: KubernetesObject): boolean => isOurs(context, object);

  const marked = (await kubernetes.list(kinds.node)).filter(mine);
  await inParallel(marked, atOnce, ({ metadata: { name } }) =>
    modify(kubernetes, { ...kinds.node, name }, (node) =>
      mine(node)
        ? {
            metadata: {
              annotations: Object.fromEntries([...calicoAnnotations, createdBy, createdFrom].map((key) => [key, null])),
            },
          }
        : undefined,
    ),
  );

  const pools = (await kubernetes.list(kinds.ipPool)).filter(mine);
  // Calico drops annotations when it writes a block, so what lies in our own pool is ours whether it says so or not.
  const inOurPool = (cidr: unknown): boolean =>
    typeof cidr === 'string' && /^\d+\./.test(cidr) && pools.some(({ spec }) => within(cidr, String(spec.cidr)));
  const handles = (await kubernetes.list(kinds.ipamHandle)).filter(
    (each) => mine(each) || Object.keys(each['spec']?.block ?? {}).some(inOurPool),
  );
  const affinities = (await kubernetes.list(kinds.blockAffinity)).filter(
    (each) => mine(each) || inOurPool(each['spec']?.cidr),
  );
  const blocks = (await kubernetes.list(kinds.ipamBlock)).filter((each) => mine(each) || inOurPool(each['spec']?.cidr));
  const inside = [...handles, ...affinities, ...blocks];
  let done = 0;
  await inParallel(inside, atOnce, async (object) => {
    await remove(context, object);
    if (++done % 20 === 0 || done === inside.length)
      context.progress(`${done} of ${inside.length} blocks, affinities and handles removed`);
  });

  let settings = 0;
  for (const kind of [kinds.felixConfiguration, kinds.ipamConfig])
    settings += await takeBack(context, { ...kind, name: 'default' });
  for (const pool of pools) await remove(context, pool);
  return {
    changed: marked.length + inside.length + settings + pools.length > 0,
    summary: `${count(inside.length, 'object')} of Calico's address management removed, ${count(marked.length, 'node')} no longer described for it`,
  };
};

const remove = ({ kubernetes }: VerbContext, object: KubernetesObject): Promise<boolean> =>
  kubernetes.delete(refOf(object), object.metadata.uid === undefined ? {} : { preconditionUid: object.metadata.uid });

/** Deletes settings that this migration made, or puts back what was found in them. @returns 1 when something was written */
export async function takeBack(context: VerbContext, ref: ObjectRef): Promise<number> {
  const found = await context.kubernetes.get(ref);
  if (!found) return 0;
  if (isOurs(context, found)) return (await remove(context, found)) ? 1 : 0;
  const { changed } = await modify(context.kubernetes, ref, putBackFound('spec'));
  return changed ? 1 : 0;
}

/**
 * At the end of a migration the guard goes: without Flannel no address can be taken twice, so IPAMConfig gets back what
 * was found, or Calico's own default. Everything else that was adopted stays: it is how the cluster works now.
 */
export async function liftStrictAffinity(context: VerbContext): Promise<boolean> {
  const ref = { ...kinds.ipamConfig, name: 'default' };
  if (!(await context.kubernetes.get(ref))) return false;
  const { changed } = await modify(context.kubernetes, ref, (object) => {
    const { metadata, spec } = object;
    const kept = metadata.annotations?.[foundState];
    if (kept === undefined && (!isOurs(context, object) || spec?.strictAffinity === false)) return undefined;
    const before = kept === undefined ? {} : (JSON.parse(kept) as { strictAffinity?: boolean | null });
    return {
      spec: { strictAffinity: before.strictAffinity ?? false },
      metadata: { annotations: { [foundState]: null } },
    };
  });
  return changed;
}
