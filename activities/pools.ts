import { overlaps, parseCidr, within } from '../src/checks/cidr.ts';
import { CutoverError } from '../src/errors.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { foundSelector, podPoolLabel } from '../src/kubernetes/marks.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { count, some, text } from './args.ts';
import { createOrSet } from './calico.ts';
import { isTerminating } from './daemon-sets.ts';
import { isOurs } from './earlier.ts';
import { inParallel } from './in-parallel.ts';
import { named, podsOfNetwork, renewDaemonPods } from './renew-pods.ts';
import type { Verb, VerbContext } from './types.ts';

const newPool = { ...kinds.ipPool, name: 'new-ipv4-ippool' };
const moved = `has(${podPoolLabel})`;

/**
 * `calico.addPool { cidr }`: a pool with CrossSubnet for nodes that carry the mark, and every other pool for those that do not.
 * No node carries it yet, so nothing moves. The new pool comes first: no node is ever without one.
 *
 * @throws CutoverError DriftFound when something else has addresses of `cidr`
 */
export const addPool: Verb = async (context, input) => {
  const { kubernetes } = context;
  const cidr = text(input, 'cidr');
  await refuseTaken(context, cidr);
  const others = (await kubernetes.list(kinds.ipPool)).filter(isOther);
  const made = await createOrSet(context, {
    apiVersion: newPool.apiVersion,
    kind: newPool.kind,
    metadata: { name: newPool.name },
    spec: {
      cidr,
      blockSize: 26,
      ipipMode: 'Never',
      vxlanMode: 'CrossSubnet',
      natOutgoing: others.some(({ spec }) => spec?.natOutgoing === true),
      nodeSelector: moved,
    },
  });
  let changed = made > 0;
  for (const { metadata } of others.filter(({ spec }) => spec?.disabled !== true)) {
    const kept = await modify(kubernetes, { ...kinds.ipPool, name: metadata.name }, (pool) => {
      if (pool.metadata.annotations?.[foundSelector] !== undefined) return undefined;
      const found = String(pool['spec']?.nodeSelector ?? '');
      return {
        spec: { nodeSelector: found === '' || found === 'all()' ? `!${moved}` : `(${found}) && !${moved}` },
        metadata: { annotations: { [foundSelector]: JSON.stringify(pool['spec']?.nodeSelector ?? null) } },
      };
    });
    changed ||= kept.changed;
  }
  return {
    changed,
    summary: `${newPool.name} ${cidr} (CrossSubnet) for nodes that have moved; ${some(others.map(({ metadata }) => metadata.name))} for the others`,
  };
};

/**
 * `calico.removePool { cidr }`: every pool as it was found, and the new one gone with its blocks. Tolerates that it was never made.
 *
 * @throws CutoverError ChecksFailed while a node or a pod uses it
 */
export const removePool: Verb = async (context, input) => {
  const { kubernetes } = context;
  const cidr = text(input, 'cidr');
  const [marked, pods] = await Promise.all([
    kubernetes.names(kinds.node, { labelSelector: podPoolLabel }),
    podsIn(context, cidr),
  ]);
  if (marked.length + pods.length > 0)
    throw new CutoverError('ChecksFailed', `${newPool.name} is still in use: ${some([...marked, ...pods])}`, {
      remedy: 'take these nodes back first, and delete what pods are left; the rest follows by itself',
    });
  let changed = false;
  for (const { metadata } of (await kubernetes.list(kinds.ipPool)).filter(isOther)) {
    const restored = await modify(kubernetes, { ...kinds.ipPool, name: metadata.name }, (pool) => {
      const kept = pool.metadata.annotations?.[foundSelector];
      return kept === undefined
        ? undefined
        : {
            spec: { nodeSelector: JSON.parse(kept) as string | null },
            metadata: { annotations: { [foundSelector]: null } },
          };
    });
    changed ||= restored.changed;
  }
  const pool = await kubernetes.get(newPool);
  if (pool && isOurs(context, pool)) changed = (await kubernetes.delete(newPool)) || changed;
  // Calico gives up blocks of a pool that it deletes itself, and knows nothing of one that somebody else deletes.
  for (const kind of [kinds.blockAffinity, kinds.ipamBlock]) {
    const inside = (await kubernetes.list(kind)).filter(({ spec }) => within(String(spec?.cidr), cidr));
    await inParallel(inside, 10, ({ metadata: { name } }) => kubernetes.delete({ ...kind, name }));
  }
  return { changed, summary: changed ? 'every pool is as it was found' : 'there was no new pool' };
};

/** `node.usePool`: the new pool selects this node from now on. Its tunnel keeps its address until a pool changes or the agent starts. */
export const usePool: Verb = (context) => mark(context, true);

/** `node.leavePool`: the old pool selects this node again. Tolerates that it never left. */
export const leavePool: Verb = (context) => mark(context, false);

async function mark(context: VerbContext, isNew: boolean): ReturnType<Verb> {
  const { name } = context.node();
  const { changed } = await modify(context.kubernetes, { ...kinds.node, name }, ({ metadata }) =>
    (metadata.labels?.[podPoolLabel] !== undefined) === isNew
      ? undefined
      : { metadata: { labels: { [podPoolLabel]: isNew ? 'new' : null } } },
  );
  return { changed, summary: `pods of ${name} get addresses of the ${isNew ? 'new' : 'old'} pool from now on` };
}

/**
 * `node.readdressPods`: DaemonSet pods of this node with an address of the pool that does not select it are made anew.
 *
 * @throws CutoverError StepTimedOut when a successor gets no network
 */
export const readdressPods: Verb = async (context) => {
  const { kubernetes } = context;
  const { name } = context.node();
  const cidr = context.stage.bgp?.newPool?.cidr ?? '';
  const [node, pods] = await Promise.all([
    kubernetes.get({ ...kinds.node, name }),
    kubernetes.list(kinds.pod, { fieldSelector: `spec.nodeName=${name}` }),
  ]);
  const isNew = node?.metadata.labels?.[podPoolLabel] !== undefined;
  const astray = podsOfNetwork(pods).filter(
    ({ status }) => status?.podIP && within(String(status.podIP), cidr) !== isNew,
  );
  return renewDaemonPods(context, astray, 'its address');
};

/**
 * `calico.retirePools { cidr }`: the new pool is for every node, the others give out nothing any more. They stay, disabled, for
 * whoever wants to look; nothing uses them.
 *
 * @throws CutoverError ChecksFailed while a node has not moved or a pod has an address of another pool
 */
export const retirePools: Verb = async (context, input) => {
  const { kubernetes } = context;
  const cidr = text(input, 'cidr');
  const selected = await kubernetes.get(newPool);
  if (selected?.['spec']?.nodeSelector === moved) {
    const unmarked = await kubernetes.names(kinds.node, { labelSelector: `!${podPoolLabel}` });
    const pods = podsOfNetwork(await kubernetes.list(kinds.pod)).filter(
      ({ status }) => status?.podIP && !within(String(status.podIP), cidr),
    );
    if (unmarked.length + pods.length > 0)
      throw new CutoverError(
        'ChecksFailed',
        `the old pool is still in use: ${some([...unmarked, ...pods.map(named)])}`,
        {
          remedy:
            'delete these pods, so that they are made anew; a node that was skipped keeps the old pool, and with it this stage open',
        },
      );
  }
  const opened = await modify(kubernetes, newPool, ({ spec }) =>
    spec?.nodeSelector === moved ? { spec: { nodeSelector: 'all()' } } : undefined,
  );
  const others = (await kubernetes.list(kinds.ipPool)).filter(isOther);
  for (const { metadata } of others)
    await modify(kubernetes, { ...kinds.ipPool, name: metadata.name }, (pool) => {
      const kept = pool.metadata.annotations?.[foundSelector];
      return kept === undefined
        ? undefined
        : {
            spec: { disabled: true, nodeSelector: JSON.parse(kept) as string | null },
            metadata: { annotations: { [foundSelector]: null } },
          };
    });
  const marked = await kubernetes.names(kinds.node, { labelSelector: podPoolLabel });
  await inParallel(marked, 10, (name) =>
    kubernetes.mergePatch({ ...kinds.node, name }, { metadata: { labels: { [podPoolLabel]: null } } }),
  );
  return {
    changed: opened.changed || marked.length > 0,
    summary: `${newPool.name} is for every node; ${some(others.map(({ metadata }) => metadata.name))} is disabled and has no pod`,
  };
};

const isOther = ({ metadata }: KubernetesObject): boolean => metadata.name !== newPool.name;

async function podsIn({ kubernetes }: VerbContext, cidr: string): Promise<string[]> {
  const pods = await kubernetes.list(kinds.pod);
  return pods.filter((pod) => !isTerminating(pod) && within(String(pod['status']?.podIP ?? ''), cidr)).map(named);
}

/** @throws CutoverError DriftFound naming who has addresses of the range */
async function refuseTaken(context: VerbContext, cidr: string): Promise<void> {
  const { kubernetes } = context;
  const range = parseCidr(cidr)!;
  const takes = (text: string): boolean => {
    const other = parseCidr(text);
    return other !== undefined && overlaps(range, other);
  };
  const [pools, services] = await Promise.all([kubernetes.list(kinds.ipPool), kubernetes.list(kinds.service)]);
  const taken = [
    // A pool of that name which an earlier migration left is in use: it keeps its range.
    ...pools
      .filter((pool) => (takes(String(pool['spec']?.cidr)) || !isOther(pool)) && !isOurs(context, pool))
      .map(({ metadata, spec }) => `the pool ${metadata.name} (${spec?.cidr})`),
    ...services
      .filter(({ spec }) => takes(String(spec?.clusterIP)))
      .map(({ metadata, spec }) => `the Service ${metadata.namespace}/${metadata.name} (${spec?.clusterIP})`),
  ];
  if (taken.length > 0)
    throw new CutoverError(
      'DriftFound',
      `${cidr} is not free: ${count(taken.length, 'thing')} ${taken.length === 1 ? 'has' : 'have'} addresses of it: ${some(taken)}`,
      {
        remedy: 'plan again with a range that nothing uses',
      },
    );
}
