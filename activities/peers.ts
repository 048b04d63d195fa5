import { annotation, calicoNodes, calicoPools } from '../src/checks/bgp/calico-state.ts';
import type { Json, JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { createdBy } from '../src/kubernetes/marks.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';
import type { BgpSettings } from '../src/plan/types.ts';
import { count } from './args.ts';
import { applyOwned, deleteOwned } from './bundle.ts';
import { inParallel } from './in-parallel.ts';
import { awaitSessions } from './sessions.ts';
import type { Verb, VerbContext } from './types.ts';

const apiVersion = 'crd.projectcalico.org/v1';
const guardName = 'cutover-export-guard';
const reflectorsName = 'cutover-route-reflectors';
const reflectorLabel = 'route-reflector';
/** Any cluster id will do; Calico's documentation has this one. */
const clusterId = '244.0.0.1';
const bgpDefault = { ...kinds.bgpConfiguration, name: 'default' };

const named = (kind: { kind: string }, name: string, spec: JsonObject): KubernetesObject => ({
  apiVersion,
  kind: kind.kind,
  metadata: { name },
  spec,
});

/** What the plan says about BGP; a route that has none has no such step. */
const settingsOf = ({ stage }: VerbContext): Pick<BgpSettings, 'peers' | 'routeReflectors' | 'mesh'> =>
  stage.bgp ?? { peers: [], routeReflectors: [], mesh: true };

/**
 * `bgp.guardExports`: routers are told no pod route. BIRD tells its peers of VXLAN pools as soon as a session comes up, and a
 * router would then send packets for pods to a node that does not expect them (§2.2 of the migration facts). The filter
 * is written first, then put on every router's BGPPeer that exists.
 */
export const guardExports: Verb = async (context) => {
  const found = await routers(context);
  if (found.length === 0 && settingsOf(context).peers.length === 0)
    return { changed: false, summary: 'there is no router to be guarded from' };
  const pools = await calicoPools(context);
  const rules = pools.map(({ cidr }) => ({ cidr, matchOperator: 'In', action: 'Reject' }));
  const filter = await applyOwned(context, named(kinds.bgpFilter, guardName, { exportV4: rules }));
  const guarded = await inParallel(found, 4, ({ metadata: { name } }) =>
    modify(context.kubernetes, { ...kinds.bgpPeer, name }, ({ spec }) => {
      const filters = (spec?.filters ?? []) as string[];
      if (filters.includes(guardName)) return undefined;
      return { spec: { filters: [...filters, guardName] } };
    }),
  );
  const changed = guarded.filter((each) => each.changed).length;
  return {
    changed: filter !== 'same' || changed > 0,
    summary: `routers are told nothing of ${pools.map(({ cidr }) => cidr).join(', ')}: ${count(guarded.length, 'peering')} guarded`,
  };
};

/** `bgp.liftExports`: routers learn the pods' routes. The filter stays, so that a rollback can put it back at once. */
export const liftExports: Verb = async (context) => {
  const lifted = await inParallel(await routers(context), 4, ({ metadata: { name } }) =>
    modify(context.kubernetes, { ...kinds.bgpPeer, name }, ({ spec }) => {
      const filters = (spec?.filters ?? []) as string[];
      if (!filters.includes(guardName)) return undefined;
      const left = filters.filter((each) => each !== guardName);
      return { spec: { filters: left.length > 0 ? left : null } };
    }),
  );
  const changed = lifted.filter((each) => each.changed).length;
  return { changed: changed > 0, summary: `${count(changed, 'peering')} tells its router the pods' routes` };
};

/** `bgp.unguardExports`: the undo of the guard. Peerings of others are as they were found, and the filter goes. */
export const unguardExports: Verb = async (context) => {
  const { changed, summary } = await liftExports(context, {});
  const gone = await deleteOwned(context, named(kinds.bgpFilter, guardName, {}));
  return { changed: changed || gone, summary: gone ? `${summary}; the filter is gone` : summary };
};

/** `bgp.peer`: a BGPPeer for each router of the plan, guarded from its first moment. */
export const peerWithRouters: Verb = async (context) => {
  const wanted = peerings(context, [guardName]);
  let changed = 0;
  for (const object of wanted) if ((await applyOwned(context, object)) !== 'same') changed++;
  await awaitSessions(context);
  return { changed: changed > 0, summary: `${count(wanted.length, 'router')} peered with, all sessions Established` };
};

/** `bgp.unpeer` */
export const unpeerRouters: Verb = async (context) => {
  const gone = await inParallel(peerings(context, []), 4, (object) => deleteOwned(context, object));
  const many = gone.filter(Boolean).length;
  return { changed: many > 0, summary: `${count(many, 'peering')} with routers removed` };
};

/** One BGPPeer for a router that all nodes speak to, else one for each node. */
function peerings(context: VerbContext, filters: string[]): KubernetesObject[] {
  return settingsOf(context).peers.flatMap(({ address, asNumber, nodes }) => {
    const spec: JsonObject = { peerIP: address, asNumber, ...(filters.length > 0 ? { filters } : {}) };
    const name = `cutover-${address.replaceAll('.', '-')}`;
    if (nodes === undefined) return [named(kinds.bgpPeer, name, spec)];
    return nodes.map((node) => named(kinds.bgpPeer, `${name}-${node}`, { ...spec, node }));
  });
}

/** Peerings with addresses that no node has. */
async function routers({ kubernetes }: VerbContext): Promise<KubernetesObject[]> {
  const [peers, nodes] = await Promise.all([kubernetes.list(kinds.bgpPeer), kubernetes.list(kinds.node)]);
  const own = new Set(calicoNodes(nodes).map(({ ip }) => ip));
  return peers.filter(({ spec }) => spec?.peerIP !== undefined && !own.has(String(spec.peerIP).split(':')[0]!));
}

/**
 * `bgp.reflect`: the named nodes pass routes on. A cluster id takes a node out of the mesh at once, which costs nothing while
 * VXLAN carries the traffic; the mesh goes only when every session with the reflectors is Established.
 *
 * @throws CutoverError StepTimedOut naming the sessions that do not come up
 */
export const reflect: Verb = async (context) => {
  const { kubernetes, place } = context;
  const { routeReflectors, mesh } = settingsOf(context);
  const peer = named(kinds.bgpPeer, reflectorsName, {
    nodeSelector: 'all()',
    peerSelector: `${reflectorLabel} == 'true'`,
  });
  let changed = (await applyOwned(context, peer)) === 'same' ? 0 : 1;
  for (const name of routeReflectors) {
    const marked = await modify(kubernetes, { ...kinds.node, name }, ({ metadata }) =>
      metadata.annotations?.[annotation.clusterId] === undefined
        ? {
            metadata: {
              labels: { [reflectorLabel]: 'true' },
              annotations: { [annotation.clusterId]: clusterId, [reflectedBy]: place.migration },
            },
          }
        : undefined,
    );
    if (marked.changed) changed++;
  }
  await awaitSessions(context);
  if (!mesh) changed += (await setMesh(context, false)) ? 1 : 0;
  await awaitSessions(context);
  return {
    changed: changed > 0,
    summary: `${routeReflectors.join(' and ')} reflect the routes${mesh ? '' : '; the mesh is off'}`,
  };
};

/** On a node that this migration made a reflector. */
const reflectedBy = `${createdBy}-reflector`;

/** `bgp.unreflect`: the mesh comes back first, then the reflectors are nodes like others. */
export const unreflect: Verb = async (context) => {
  const { kubernetes } = context;
  let changed = (await kubernetes.get(bgpDefault)) && (await setMesh(context, true)) ? 1 : 0;
  for (const { metadata } of await kubernetes.list(kinds.node)) {
    if (metadata.annotations?.[reflectedBy] === undefined) continue;
    await modify(kubernetes, { ...kinds.node, name: metadata.name }, () => ({
      metadata: {
        labels: { [reflectorLabel]: null },
        annotations: { [annotation.clusterId]: null, [reflectedBy]: null },
      },
    }));
    changed++;
  }
  if (await deleteOwned(context, named(kinds.bgpPeer, reflectorsName, {}))) changed++;
  return {
    changed: changed > 0,
    summary: changed > 0 ? 'every node is in the mesh again' : 'no node reflected routes',
  };
};

async function setMesh({ kubernetes }: VerbContext, on: boolean): Promise<boolean> {
  const { changed } = await modify(kubernetes, bgpDefault, ({ spec }) =>
    (spec?.nodeToNodeMeshEnabled ?? true) === on ? undefined : { spec: { nodeToNodeMeshEnabled: on as Json } },
  );
  return changed;
}
