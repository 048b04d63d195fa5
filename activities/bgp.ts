import { calico } from '../src/checks/names.ts';
import { calicoPools } from '../src/checks/bgp/calico-state.ts';
import { CutoverError } from '../src/errors.ts';
import type { Json, JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { foundMtu, foundState } from '../src/kubernetes/marks.ts';
import { modify } from '../src/kubernetes/modify.ts';
import type { KubernetesObject, ObjectRef } from '../src/kubernetes/types.ts';
import { count, number, some } from './args.ts';
import { createOrSet, takeBack } from './calico.ts';
import { awaitRollout } from './daemon-sets.ts';
import { flipMark, foundModes } from './encapsulation.ts';
import { putBackFound } from './found-state.ts';
import type { Verb, VerbContext } from './types.ts';

export const agents = { ...kinds.daemonSet, namespace: calico.namespace, name: calico.daemonSet };
export const settings = { ...kinds.configMap, namespace: calico.namespace, name: calico.configMap };
const bgpDefault = { ...kinds.bgpConfiguration, name: 'default' };

const group = 'crd.projectcalico.org/v1';
/** A node that rolls waits for peers that run no BIRD yet: one at a time it waits for ever (§0a.7 of the migration facts). */
const allAtOnce = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '100%', maxSurge: 0 } };

/**
 * `bgp.enable { asNumber }`: BIRD runs on every node, while VXLAN goes on carrying the traffic. Backend, probes of the agent
 * and the mesh are set; then all agents are replaced at once, and the way they are updated is put back as it was found.
 *
 * @throws CutoverError AgentNotReady
 */
export const enableBgp: Verb = async (context, input) => {
  const configured = await createOrSet(context, {
    apiVersion: group,
    kind: bgpDefault.kind,
    metadata: { name: bgpDefault.name },
    spec: { asNumber: number(input, 'asNumber'), nodeToNodeMeshEnabled: true },
  });
  const backend = await setBackend(context, 'bird');
  const { changed } = await modify(context.kubernetes, agents, (daemonSet) => {
    if (daemonSet['spec']?.template?.metadata?.annotations?.[backendMark] === 'bird') return undefined;
    const { liveness, readiness } = probesOf(daemonSet);
    return rolled(daemonSet, {
      liveness: withFlag(liveness, '-bird-live'),
      readiness: withFlag(readiness, '-bird-ready'),
    });
  });
  const { status } = await rollOut(context);
  return {
    changed: changed || backend || configured > 0,
    summary: `BIRD runs on ${count(Number(status?.numberReady ?? 0), 'node')}, and VXLAN still carries the traffic`,
  };
};

/**
 * `bgp.disable`: backend, probes and BGPConfiguration as they were found. Never while a pool depends on routes of BIRD.
 *
 * @throws CutoverError ChecksFailed, AgentNotReady
 */
export const disableBgp: Verb = async (context) => {
  const { kubernetes } = context;
  const plain = (await calicoPools(context)).filter(({ mode }) => mode === 'Never');
  if (plain.length > 0)
    throw new CutoverError(
      'ChecksFailed',
      `BGP stays up: ${some(plain.map(({ name }) => name))} has no encapsulation, so that only BIRD tells the nodes the routes`,
      { remedy: 'set vxlanMode of the pool back first; then resume' },
    );
  const daemonSet = await kubernetes.get(agents);
  if (!daemonSet) return { changed: false, summary: `there is no ${agents.name}` };
  const backend = await restoreBackend(context);
  const { changed } = await modify(kubernetes, agents, (object) => {
    const kept = object.metadata.annotations?.[birdProbes];
    return kept === undefined ? undefined : rolled(object, JSON.parse(kept) as Probes, true);
  });
  await rollOut(context);
  const configured = await takeBack(context, bgpDefault);
  return {
    changed: changed || backend || configured > 0,
    summary: changed ? 'no BIRD runs any more; the agents are as they were found' : 'BGP had not been brought up',
  };
};

/**
 * `bgp.keep`: what was found before is forgotten, on agents, settings and pools, its MTU too. From here on a later migration begins on what
 * this one made, and its rollback ends there.
 */
export const keepBgp: Verb = async ({ kubernetes }) => {
  const forget = async (ref: ObjectRef, keys: string[]): Promise<boolean> => {
    if (!(await kubernetes.get(ref))) return false;
    const { changed } = await modify(kubernetes, ref, ({ metadata }) => {
      const there = keys.filter((key) => metadata.annotations?.[key] !== undefined);
      return there.length === 0
        ? undefined
        : { metadata: { annotations: Object.fromEntries(there.map((key) => [key, null])) } };
    });
    return changed;
  };
  const pools = (await kubernetes.list(kinds.ipPool)).map(({ metadata }) => ({ ...kinds.ipPool, name: metadata.name }));
  const changed = [
    await forget(agents, [foundState, birdProbes]),
    await forget(settings, [foundState, foundMtu]),
    await forget({ ...kinds.felixConfiguration, name: 'default' }, [foundMtu]),
    await forget(bgpDefault, [foundState]),
    ...(await Promise.all(pools.map((pool) => forget(pool, [foundModes, flipMark])))),
  ].filter(Boolean).length;
  return { changed: changed > 0, summary: `what was found before is forgotten on ${count(changed, 'object')}` };
};

type Probes = { liveness: string[]; readiness: string[] };

/** Commands of the agent's probes as they were found, on its DaemonSet. */
const birdProbes = 'cutover.dev/found-probes';
/** On the template of the agents: makes new pods, and says that these have the backend. */
const backendMark = 'cutover.dev/backend';

function probesOf(daemonSet: KubernetesObject): Probes {
  const container = agentContainer(daemonSet);
  const commandOf = (probe: { exec?: { command?: string[] } } | undefined): string[] => probe?.exec?.command ?? [];
  return { liveness: commandOf(container?.livenessProbe), readiness: commandOf(container?.readinessProbe) };
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- Kubernetes objects are open
const agentContainer = ({ spec }: KubernetesObject): any =>
  (spec?.template?.spec?.containers ?? []).find(({ name }: { name: string }) => name === calico.daemonSet);

const withFlag = (command: string[], flag: string): string[] =>
  command.length === 0 || command.includes(flag) ? command : [...command, flag];

/** The DaemonSet with other probes, replaced all at once. Containers are a list: a merge patch carries it whole. */
function rolled(daemonSet: KubernetesObject, probes: Probes, back = false): JsonObject {
  const { annotations = {} } = daemonSet.metadata;
  const containers = structuredClone(daemonSet['spec'].template.spec.containers) as KubernetesObject[];
  const agent = containers.find((each) => each['name'] === calico.daemonSet);
  if (agent) {
    if (probes.liveness.length > 0) agent['livenessProbe'].exec.command = probes.liveness;
    if (probes.readiness.length > 0) agent['readinessProbe'].exec.command = probes.readiness;
  }
  const strategy = annotations[foundState] ?? JSON.stringify(daemonSet['spec'].updateStrategy ?? {});
  return {
    metadata: {
      annotations: {
        [foundState]: strategy,
        [birdProbes]: back ? null : (annotations[birdProbes] ?? JSON.stringify(probesOf(daemonSet))),
      },
    },
    spec: {
      updateStrategy: allAtOnce,
      // The backend is read when the container starts: a template that differs makes new pods, whatever the probes are.
      template: {
        metadata: { annotations: { [backendMark]: back ? null : 'bird' } },
        spec: { containers: containers as unknown as Json },
      },
    },
  };
}

/** Waits for the agents, then updates them again as it was found. */
export async function rollOut(context: VerbContext): Promise<KubernetesObject> {
  const rolledOut = await awaitRollout(context, agents);
  await modify(context.kubernetes, agents, ({ metadata }) => {
    const found = metadata.annotations?.[foundState];
    if (found === undefined) return undefined;
    const strategy = JSON.parse(found) as { type?: string; rollingUpdate?: JsonObject };
    return {
      metadata: { annotations: { [foundState]: null } },
      spec: { updateStrategy: { ...strategy, rollingUpdate: strategy.rollingUpdate ?? null } as JsonObject },
    };
  });
  return rolledOut;
}

/**
 * The backend, and with it the MTU of new pods: left to Felix (`0`) it becomes the host's own the moment no pool uses VXLAN,
 * and pods made then would not fit through the tunnel after a rollback (Felix, determinePodMTU).
 */
async function setBackend({ kubernetes }: VerbContext, backend: string): Promise<boolean> {
  const felix = await kubernetes.get({ ...kinds.felixConfiguration, name: 'default' });
  const tunnelMtu = Number(felix?.['spec']?.vxlanMTU ?? 0);
  const { changed } = await modify(kubernetes, settings, (config) => {
    const { calico_backend: now = '', veth_mtu: mtu = '0' } = (config['data'] ?? {}) as { [key: string]: string };
    const pin = tunnelMtu > 0 && mtu === '0' ? { veth_mtu: String(tunnelMtu) } : {};
    if (now === backend && Object.keys(pin).length === 0) return undefined;
    const found = { calico_backend: now, ...(pin.veth_mtu === undefined ? {} : { veth_mtu: mtu }) };
    const kept = config.metadata.annotations?.[foundState] ?? JSON.stringify(found);
    return { data: { calico_backend: backend, ...pin }, metadata: { annotations: { [foundState]: kept } } };
  });
  return changed;
}

async function restoreBackend({ kubernetes }: VerbContext): Promise<boolean> {
  if (!(await kubernetes.get(settings as ObjectRef))) return false;
  const { changed } = await modify(kubernetes, settings, putBackFound('data'));
  return changed;
}
