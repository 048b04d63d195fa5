import { readFile } from 'node:fs/promises';
import { flannel, calico } from '../src/checks/names.ts';
import { standingOf } from '../src/checks/standing.ts';
import { readNetConf } from '../src/checks/cluster/flannel-vxlan.ts';
import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import { createdBy, networkLabel } from '../src/kubernetes/marks.ts';
import type { KubernetesClient, KubernetesObject } from '../src/kubernetes/types.ts';
import type { NodeAccess, NodeState } from '../src/node/types.ts';
import { bundleDocument } from '../src/plan/bundle.ts';
import type { ClusterFacts, NodeFacts } from '../src/plan/facts.ts';
import { parseFlowFile } from '../src/policy/flow-file.ts';
import type { Store } from '../src/store/types.ts';
import { count } from './args.ts';
import { abortedMigrations } from './earlier.ts';
import { asCutoverError } from './failures.ts';
import { fingerprintOf } from './fingerprint.ts';
import { inParallel } from './in-parallel.ts';
import { readFolder } from './read-folder.ts';
import { shortMessage } from './scrub.ts';
import type { ObserveInput } from './types.ts';

const nodesAtOnce = 20;
const inspectTimeoutMs = 30_000;
/** `inspect` changes nothing, so it needs no fencing; this token is older than every step's. */
const noToken = 0;

interface Means {
  kubernetes: KubernetesClient;
  nodes: NodeAccess;
  store: Store;
  now(): number;
  signal: AbortSignal;
  progress(message: string): void;
}

/**
 * Reads what compiling a plan has to know: the cluster from its API, every node over SSH, the bundles from this machine's
 * disk. A node or a bundle that cannot be read is a fact, not an error. Changes nothing on the cluster.
 *
 * @throws CutoverError ClusterUnreachable | KubernetesRefused
 */
export async function observeCluster(
  means: Means,
  { bundles, flows }: Pick<ObserveInput, 'bundles' | 'flows'>,
): Promise<ClusterFacts> {
  const { kubernetes, progress } = means;
  const cluster = await kubernetes.cluster();
  progress(`reading ${cluster.server}`);
  const [nodes, pods, daemonSets, budgets, policies, pools, configs] = await Promise.all([
    kubernetes.list(kinds.node),
    kubernetes.list(kinds.pod),
    kubernetes.list(kinds.daemonSet),
    kubernetes.list(kinds.budget),
    kubernetes.list(kinds.networkPolicy),
    kubernetes.list(kinds.ipPool),
    kubernetes.list(kinds.configMap, { fieldSelector: `metadata.name=${flannel.configMap}` }),
  ]);

  const aborted = abortedMigrations(means.store, cluster.uid).map(({ id }) => id);
  const agent = daemonSets.find(({ metadata }) => metadata.name === calico.daemonSet);
  const ownAgent = aborted.includes(agent?.metadata.annotations?.[createdBy] ?? '');
  let seen = 0;
  const looks = await inParallel(nodes, nodesAtOnce, async (node) => {
    const look = await lookAt(means, node, ownAgent);
    progress(`${++seen} of ${count(nodes.length, 'node')} inspected`);
    return look;
  });
  const active = pods.filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed');
  const placed = active.map(({ spec }) => String(spec?.nodeName ?? '')).filter((name) => name !== '');

  return {
    uid: cluster.uid,
    server: cluster.server,
    kubernetesVersion: cluster.version,
    observedAt: new Date(means.now()).toISOString(),
    nodes: looks.map(({ facts }) => facts),
    flannel: flannelFacts(
      daemonSets,
      nodes,
      configs,
      looks.flatMap(({ state }) => (state ? [state] : [])),
    ),
    calico: calicoFacts(agent, pools),
    aborted,
    workloads: {
      pods: active.length,
      podsByNode: Object.fromEntries(
        [...Map.groupBy(placed, (name) => name)].map(([name, list]) => [name, list.length]),
      ),
    },
    budgets: budgets.map(({ metadata, status }) => ({
      namespace: metadata.namespace ?? 'default',
      name: metadata.name,
      disruptionsAllowed: Number(status?.disruptionsAllowed ?? 0),
      pods: Number(status?.expectedPods ?? 0),
    })),
    networkPolicies: policies.map(({ metadata }) => ({
      namespace: metadata.namespace ?? 'default',
      name: metadata.name,
    })),
    bundles: Object.fromEntries(
      await Promise.all(
        Object.entries(bundles).map(
          async ([name, { path }]) => [name, await readBundleFacts(means.store, path)] as const,
        ),
      ),
    ),
    ...(flows === undefined ? {} : { flows: await readFlows(flows) }),
  };
}

async function readFlows({
  path,
  file,
}: NonNullable<ObserveInput['flows']>): Promise<NonNullable<ClusterFacts['flows']>> {
  try {
    return { path, flows: parseFlowFile(await readFile(path, 'utf8'), file) };
  } catch (error) {
    if (error instanceof CutoverError) return { path, flows: [], error: error.message, remedy: error.remedy };
    const { code = String(error) } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`;
    return { path, flows: [], error: `the flows of ${file} are not known: ${why} at ${path}` };
  }
}

async function lookAt(
  { nodes, signal }: Means,
  node: KubernetesObject,
  ownAgent: boolean,
): Promise<{ facts: NodeFacts; state?: NodeState }> {
  const { name, labels = {}, annotations = {} } = node.metadata;
  let state: NodeState | undefined;
  let hostKey = '';
  let unreachable = '';
  try {
    state = await nodes.run(
      name,
      'inspect',
      { routes: false },
      { token: noToken, timeoutMs: inspectTimeoutMs, signal },
    );
    hostKey = await nodes.hostKey(name);
  } catch (error) {
    signal.throwIfAborted();
    unreachable = shortMessage(asCutoverError(error).message);
  }
  const ready = (node['status']?.conditions ?? []).some(
    ({ type, status }: { type: string; status: string }) => type === 'Ready' && status === 'True',
  );
  const standing = state && standingOf(node, state);
  const halfWay = standing?.halfWay.join(', ') ?? '';
  const adopted = ownAgent && halfWay === '' && standing?.network === 'calico' && labels[networkLabel] !== undefined;
  const facts: NodeFacts = {
    name,
    zone: labels['topology.kubernetes.io/zone'] ?? '',
    controlPlane: 'node-role.kubernetes.io/control-plane' in labels || 'node-role.kubernetes.io/master' in labels,
    ready,
    unschedulable: node['spec']?.unschedulable === true,
    labels,
    // Whatever else is written on a node is not ours to keep: it may be a secret.
    annotations: Object.fromEntries(Object.entries(annotations).filter(([key]) => key.startsWith(flannel.annotations))),
    fingerprint: fingerprintOf(node, adopted ? withoutCalico(state!) : state, hostKey),
    ...(state?.addresses === undefined ? {} : { addresses: state.addresses }),
    unreachable,
    adopted,
    halfWay,
  };
  return state ? { facts, state } : { facts };
}

/** An adopted node as it is once it has gone back: what a later try compares it with. */
const withoutCalico = (state: NodeState): NodeState => ({
  ...state,
  confs: state.confs.filter(({ network }) => network !== calico.network),
  links: state.links.map((link) => (link.name === calico.link ? { ...link, name: flannel.link } : link)),
});

/** k3s and RKE2 have flanneld inside their own binary: annotations and no DaemonSet. */
function flannelFacts(
  daemonSets: KubernetesObject[],
  nodes: KubernetesObject[],
  configs: KubernetesObject[],
  states: NodeState[],
): ClusterFacts['flannel'] {
  const daemonSet = daemonSets.find(
    ({ metadata }) => metadata.name.startsWith(flannel.daemonSet) || metadata.labels?.['app'] === 'flannel',
  );
  const annotated = nodes.some(({ metadata }) => `${flannel.annotations}backend-type` in (metadata.annotations ?? {}));
  if (!daemonSet && !annotated) return null;
  const config = configs.find(({ metadata }) => metadata.namespace === daemonSet?.metadata.namespace) ?? configs[0];
  const { network, backend, directRouting } = readNetConf(config?.['data']?.['net-conf.json']);
  const mtus = states
    .map(({ links }) => links.find(({ name }) => name === flannel.link)?.mtu ?? 0)
    .filter((mtu) => mtu > 0);
  return {
    daemonSet: daemonSet ? `${daemonSet.metadata.namespace}/${daemonSet.metadata.name}` : '',
    network,
    backend,
    mtu: mtus.length > 0 ? Math.min(...mtus) : 0,
    directRouting,
    addonManaged: daemonSet?.metadata.labels?.['addonmanager.kubernetes.io/mode'] !== undefined,
  };
}

function calicoFacts(daemonSet: KubernetesObject | undefined, pools: KubernetesObject[]): ClusterFacts['calico'] {
  if (!daemonSet && pools.length === 0) return null;
  return {
    daemonSet: daemonSet ? `${daemonSet.metadata.namespace}/${daemonSet.metadata.name}` : '',
    pools: pools.map(({ spec }) => String(spec?.cidr ?? '')),
  };
}

/** The content goes to the store now: what is applied later is what was read here, whatever happens to the folder. */
async function readBundleFacts(store: Store, path: string): Promise<ClusterFacts['bundles'][string]> {
  try {
    const files = await readFolder(path);
    const sha256 = store.putDocument('bundle', bundleDocument(files));
    return { path, sha256, files: files.length };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined || error instanceof CutoverError) throw error;
    return {
      path,
      sha256: '',
      files: 0,
      error: code === 'ENOENT' ? 'there is no such folder' : `it cannot be read (${code})`,
    };
  }
}

export const factsDocument = (facts: ClusterFacts): JsonObject => facts as unknown as JsonObject;
