import { calico } from '../src/checks/names.ts';
import { calicoNodes, calicoPools, sameSubnet } from '../src/checks/bgp/calico-state.ts';
import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { foundMtu, foundState } from '../src/kubernetes/marks.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import { some } from './args.ts';
import { agents, rollOut, settings } from './bgp.ts';
import { isTerminating, podsOf } from './daemon-sets.ts';
import { putBackFound } from './found-state.ts';
import { inParallel } from './in-parallel.ts';
import { plannedNodes } from './plans.ts';
import { podsOfNetwork, renewDaemonPods } from './renew-pods.ts';
import type { Verb, VerbContext } from './types.ts';

const felix = { ...kinds.felixConfiguration, name: 'default' };
/** On the template of the agents: makes new pods, whose install-cni writes the conf anew. */
const mtuMark = 'cutover.dev/mtu';
const oneByOne = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } };

/**
 * `calico.unpinMtu`: new pods get the MTU of the node's own network. What was found is kept on the ConfigMap and on the
 * FelixConfiguration; the agents are replaced so that install-cni writes the conf. Pods that run keep what they have.
 *
 * Felix takes the 50 bytes of VXLAN off as long as any pool may use it, CrossSubnet too (Felix, determinePodMTU): there `0`
 * would change nothing, and the number itself is written.
 *
 * @throws CutoverError DriftFound when packets between nodes may be encapsulated or the nodes have several MTUs; AgentNotReady
 */
export const unpinMtu: Verb = async (context) => {
  const plain = await refuseEncapsulated(context);
  const mtu = await commonMtu(context);
  const wanted = plain ? '0' : String(mtu);
  const config = await modify(context.kubernetes, settings, ({ data, metadata }) => {
    const kept = metadata.annotations?.[foundMtu];
    const now = (data as JsonObject | undefined)?.['veth_mtu'];
    if (kept !== undefined && now === wanted) return undefined;
    return {
      data: { veth_mtu: wanted },
      metadata: { annotations: { [foundMtu]: kept ?? JSON.stringify({ veth_mtu: now ?? null }) } },
    };
  });
  const tunnel = (await context.kubernetes.get(felix))
    ? await modify(context.kubernetes, felix, ({ spec, metadata }) => {
        const now = (spec as JsonObject | undefined)?.['vxlanMTU'] ?? 0;
        if (now === 0) return undefined;
        const kept = metadata.annotations?.[foundMtu] ?? JSON.stringify({ vxlanMTU: now });
        return { spec: { vxlanMTU: null }, metadata: { annotations: { [foundMtu]: kept } } };
      })
    : { changed: false };
  const rolled = await roll(context, 'host');
  return {
    changed: config.changed || tunnel.changed || rolled,
    summary: `new pods get the MTU of their node's network, ${mtu} bytes; pods that run keep theirs`,
    evidence: { mtu, vethMtu: wanted },
  };
};

/**
 * `calico.repinMtu`: ConfigMap and FelixConfiguration as they were found, and the agents replaced if they had been for it.
 * Tolerates that `calico.unpinMtu` never ran, or only half. Pods keep what they have: nothing is encapsulated.
 *
 * @throws CutoverError AgentNotReady
 */
export const repinMtu: Verb = async (context) => {
  const { kubernetes } = context;
  const restore = async (ref: typeof settings | typeof felix, field: 'data' | 'spec'): Promise<boolean> => {
    if (!(await kubernetes.get(ref))) return false;
    const { changed } = await modify(kubernetes, ref, putBackFound(field, foundMtu));
    return changed;
  };
  const config = await restore(settings, 'data');
  const tunnel = await restore(felix, 'spec');
  const rolled = (await kubernetes.get(agents)) ? await roll(context, null) : false;
  const changed = config || tunnel || rolled;
  return {
    changed,
    summary: changed ? 'new pods get the MTU that they got before' : 'the MTU of new pods had not been changed',
  };
};

/**
 * `node.recyclePods`: DaemonSet pods of the pod network that were started before this node's conf was written are deleted, and
 * their successors waited for: an eviction does not move them. A pod that has the new MTU is left alone, so it may run twice.
 *
 * Told by the clock of one kubelet: the start of a pod, and the end of install-cni of the agent beside it.
 *
 * @throws CutoverError AgentNotReady without an agent; StepTimedOut when a successor gets no network
 */
export const recyclePods: Verb = async (context) => {
  const { kubernetes } = context;
  const node = context.node().name;
  const pods = await kubernetes.list(kinds.pod, { fieldSelector: `spec.nodeName=${node}` });
  const since = confWrittenAt(pods, node);
  // Whole seconds: a pod of the same second may have either.
  const old = podsOfNetwork(pods).filter((pod) => !(Date.parse(String(pod['status']?.startTime)) > since));
  return renewDaemonPods(context, old, 'the MTU that it was made with');
};

/** When the agent of a node had written the CNI conf, ms since the epoch by the node's own clock. */
function confWrittenAt(pods: readonly KubernetesObject[], node: string): number {
  type Status = { name: string; state?: { running?: { startedAt?: string }; terminated?: { finishedAt?: string } } };
  const agent = podsOf(pods, calico.daemonSet).find((pod) => !isTerminating(pod));
  const init = (agent?.['status']?.initContainerStatuses ?? []) as Status[];
  const main = (agent?.['status']?.containerStatuses ?? []) as Status[];
  const at =
    init.find(({ name }) => name === 'install-cni')?.state?.terminated?.finishedAt ??
    main.find(({ name }) => name === calico.daemonSet)?.state?.running?.startedAt;
  if (at !== undefined) return Date.parse(at);
  throw new CutoverError(
    'AgentNotReady',
    `no calico-node pod runs on ${node}, so nobody knows which conf its pods had`,
    {
      remedy: `look at \`kubectl -n ${calico.namespace} get pods -l ${calico.podSelector} -o wide\``,
    },
  );
}

/** @returns whether no pool may use VXLAN at all */
async function refuseEncapsulated(context: VerbContext): Promise<boolean> {
  const [pools, objects] = await Promise.all([calicoPools(context), context.kubernetes.list(kinds.node)]);
  const nodes = calicoNodes(objects);
  const remote = nodes.flatMap((from) => nodes.filter((to) => !sameSubnet(from, to)).map((to) => [from, to] as const));
  const cut = pools.find(({ mode }) => mode === 'Always' || (mode === 'CrossSubnet' && remote.length > 0));
  if (cut === undefined) return pools.every(({ mode }) => mode === 'Never');
  const [pair] = remote;
  const where =
    cut.mode === 'Always' || !pair ? '' : `, and ${pair[0].name} and ${pair[1].name} are in different subnets`;
  throw new CutoverError(
    'DriftFound',
    `packets between nodes may be encapsulated: the pool ${cut.name} has vxlanMode ${cut.mode}${where}`,
    { remedy: 'keep the MTU of pods, or take the encapsulation away first (encapsulation: Never)' },
  );
}

/** Of the links between the nodes, bytes. @throws CutoverError DriftFound when they have several, or one is not known */
async function commonMtu(context: VerbContext): Promise<number> {
  const found = await inParallel(plannedNodes(context.stage), 10, async ({ name, fingerprint: { internalIP } }) => {
    const { uplink } = await context.onNode('survey', { address: internalIP, peers: '', bytes: 1500 }, { node: name });
    return { name, mtu: uplink.mtu };
  });
  const groups = [...Map.groupBy(found, ({ mtu }) => mtu)];
  const [first] = groups;
  if (groups.length === 1 && first !== undefined && first[0] > 0) return first[0];
  const words = groups.map(([mtu, own]) => `${mtu || 'unknown'} on ${some(own.map(({ name }) => name))}`);
  throw new CutoverError('DriftFound', `the links of the nodes do not have one known MTU: ${words.join('; ')}`, {
    remedy: 'give all of them one MTU, then resume; or `cutover rollback --all`: pods then keep what they have',
  });
}

/** Replaces the agents, one by one unless their DaemonSet says how. @returns whether they had to be */
async function roll(context: VerbContext, mark: 'host' | null): Promise<boolean> {
  const { changed } = await modify(context.kubernetes, agents, ({ metadata, spec }) => {
    if ((spec?.template?.metadata?.annotations?.[mtuMark] ?? null) === mark) return undefined;
    const onDelete = spec?.updateStrategy?.type === 'OnDelete';
    return {
      ...(onDelete
        ? {
            metadata: {
              annotations: { [foundState]: metadata.annotations?.[foundState] ?? JSON.stringify(spec.updateStrategy) },
            },
          }
        : {}),
      spec: {
        template: { metadata: { annotations: { [mtuMark]: mark } } },
        ...(onDelete ? { updateStrategy: oneByOne } : {}),
      },
    };
  });
  await rollOut(context);
  return changed;
}
