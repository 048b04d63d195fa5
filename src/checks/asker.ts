import { setTimeout as sleep } from 'node:timers/promises';
import { CutoverError } from '../errors.ts';
import type { Json } from '../json.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import type { NodeState, NodeSurvey } from '../node/types.ts';
import type { PlannedNode } from '../plan/types.ts';
import { curlCommand, parseCurl } from '../probe/curl.ts';
import type { CurlAnswer } from '../probe/curl.ts';
import { hostProbeName, probeContainer, probeName, probePorts } from '../probe/manifests.ts';
import { partnerOrder } from '../probe/peers.ts';
import { readyProbe, runningProbe } from '../probe/pods.ts';
import type { ProbePod } from '../probe/pods.ts';
import type { CheckContext } from './types.ts';

export type Cni = 'flannel' | 'calico';

/** A node that is asked from or to, with the network it has now and its two probe pods. */
export interface Party {
  node: string;
  cni: Cni;
  ip: string;
  pod: ProbePod;
  host: ProbePod;
}

/** What `survey` said of a node, or why it said nothing. */
export interface Surveyed {
  node: PlannedNode;
  survey?: NodeSurvey;
  /** How far the clock of the node is ahead of ours, in seconds; both are whole seconds, so one means nothing. */
  clockAhead?: number;
  error?: string;
}

/** The node under test and its partners: at most one that has the old network and one that has the new. */
export interface Parties {
  own: Party;
  partners: Party[];
}

/**
 * What the checks of one run ask through. It remembers: checks that run side by side inspect a node once, list its
 * probe pods once, and their questions to one pod travel in one exec. One asker is one moment: asking again needs a new one.
 */
export interface Asker extends CheckContext {
  ports: ReturnType<typeof probePorts>;
  /** Every node of the stage. */
  planned: PlannedNode[];
  /** What `inspect` says of a node. @throws CutoverError NodeUnreachable | HostKeyMismatch | VerbFailed */
  inspect(node: string): Promise<NodeState>;
  /** Inspects many nodes, 20 at a time and without their routes; one that fails has its error instead. */
  inspectAll(
    nodes: readonly PlannedNode[],
  ): Promise<{ node: PlannedNode; state?: Omit<NodeState, 'routes'>; error?: string }[]>;
  /** Surveys many nodes, 20 at a time, once for all checks of the run; one that fails has its error instead. */
  surveyAll(): Promise<Surveyed[]>;
  nodeObject(name: string): Promise<KubernetesObject>;
  /** Every object of a kind, listed once for all checks of the run; none of a kind that the cluster does not serve. */
  all(kind: { apiVersion: string; kind: string }): Promise<KubernetesObject[]>;
  /** Every Node of the cluster whole: for checks that are asked once, not for those of each node. */
  nodeObjects(): Promise<KubernetesObject[]>;
  nodeNames(): Promise<string[]>;
  /** Which network a node has now. */
  cniOf(node: string): Promise<Cni>;
  /** Its probe pods run, and need not be Ready. @throws CutoverError ChecksFailed when one does not run */
  party(node: PlannedNode): Promise<Party>;
  /** Whether a node can be a partner: taking pods, probes Ready. Nodes under migration are cordoned. */
  ready(node: PlannedNode): Promise<Party | undefined>;
  parties(node: PlannedNode): Promise<Parties>;
  /** Asks one URL from a probe pod. All questions of a moment travel together. */
  curl(from: ProbePod, url: string): Promise<CurlAnswer>;
  exec(
    from: ProbePod,
    command: string[],
    timeoutMs: number,
  ): Promise<{ stdout: string; stderr: string; exitCode: number }>;
}

/**
 * More questions make a second exec: the command travels in the URL of the API request, and proxies before an API server
 * refuse long ones (8 KB is a common limit).
 */
const execLimits = { urls: 24, characters: 6_000 };
const curlTimeoutSeconds = 2;
const partnersTried = 6;
const inspectTimeoutMs = 30_000;

export function createAsker(context: CheckContext): Asker {
  const remembered = new Map<string, Promise<unknown>>();
  const once = <T>(key: string, make: () => Promise<T>): Promise<T> => {
    const known = remembered.get(key);
    if (known !== undefined) return known as Promise<T>;
    const made = make();
    remembered.set(key, made);
    return made;
  };

  const planned = context.stage.waves.flatMap((wave) => wave.nodes);
  const ports = probePorts(context.plan.probe);
  const { namespace } = context.plan.probe;
  const migrated = () => once('migrated', async () => new Set(await context.migratedNodes()));

  const inspect = (node: string, input: { routes?: false } = {}) =>
    once(`inspect ${node} ${JSON.stringify(input)}`, () =>
      context.nodes.run(node, 'inspect', input, {
        token: context.token(),
        timeoutMs: inspectTimeoutMs,
        signal: context.signal,
      }),
    );

  const all = (kind: { apiVersion: string; kind: string }) =>
    once(`all ${kind.apiVersion} ${kind.kind}`, () => context.kubernetes.list(kind));

  const cniOf = async (node: string): Promise<Cni> => ((await migrated()).has(node) ? 'calico' : 'flannel');

  const probePods = (node: string) =>
    once(`probes ${node}`, async () => {
      const pods = await context.kubernetes.list(
        { apiVersion: 'v1', kind: 'Pod' },
        { namespace, labelSelector: `app in (${probeName},${hostProbeName})`, fieldSelector: `spec.nodeName=${node}` },
      );
      const named = (app: string) => pods.filter((pod) => pod.metadata.labels?.['app'] === app);
      const [own, host] = [named(probeName), named(hostProbeName)];
      const ready = [own, host].every((each) => typeof readyProbe(each) !== 'string');
      return { pod: runningProbe(own), host: runningProbe(host), ready };
    });

  const party = async ({ name, fingerprint }: PlannedNode): Promise<Party> => {
    const [{ pod, host }, cni] = await Promise.all([probePods(name), cniOf(name)]);
    if (typeof pod === 'string') throw probeMissing(probeName, name, namespace, pod);
    if (typeof host === 'string') throw probeMissing(hostProbeName, name, namespace, host);
    return { node: name, cni, ip: fingerprint.internalIP || pod.hostIP, pod, host };
  };

  const nodeObject = (name: string) =>
    once(`node ${name}`, async () => {
      const node = await context.kubernetes.get({ apiVersion: 'v1', kind: 'Node', name });
      if (node === undefined) {
        throw new CutoverError('ChecksFailed', `the cluster has no node ${name}`, {
          remedy: 'find out who removed the node; then plan again without it',
        });
      }
      return node;
    });

  const ready = async (node: PlannedNode): Promise<Party | undefined> => {
    const object = await context.kubernetes.get({ apiVersion: 'v1', kind: 'Node', name: node.name });
    if (object === undefined || object['spec']?.unschedulable === true) return undefined;
    return (await probePods(node.name)).ready ? party(node) : undefined;
  };

  const firstReady = async (candidates: readonly PlannedNode[]): Promise<Party | undefined> => {
    for (const candidate of candidates.slice(0, partnersTried)) {
      const found = await ready(candidate);
      if (found !== undefined) return found;
    }
    return undefined;
  };

  const parties = (node: PlannedNode) =>
    once(`parties ${node.name}`, async () => {
      const names = await migrated();
      const order = partnerOrder(node, planned);
      const [own, oldPartner, newPartner] = await Promise.all([
        party(node),
        firstReady(order.filter((candidate) => !names.has(candidate.name))),
        firstReady(order.filter((candidate) => names.has(candidate.name))),
      ]);
      const partners = [oldPartner, newPartner].filter((partner) => partner !== undefined);
      if (partners.length === 0) {
        throw new CutoverError(
          'ChecksFailed',
          `no other node can answer the probes of ${node.name}: all are cordoned or without Ready probe pods`,
          {
            remedy: `look at \`kubectl -n ${namespace} get pods -o wide\``,
          },
        );
      }
      return { own, partners };
    });

  const exec = (from: ProbePod, command: string[], timeoutMs: number) =>
    context.kubernetes.exec({ namespace: from.namespace, name: from.name, container: probeContainer }, command, {
      timeoutMs,
      signal: context.signal,
    });

  const curl = createCurlBatches(async (from, urls) =>
    parseCurl(
      await exec(
        from,
        curlCommand(urls, { timeoutSeconds: curlTimeoutSeconds }),
        (urls.length * curlTimeoutSeconds + 10) * 1000,
      ),
      urls,
    ),
  );

  return {
    ...context,
    ports,
    planned,
    inspect: (node) => inspect(node),
    inspectAll: (nodes) =>
      mapLimit(nodes, 20, async (node) => {
        try {
          return { node, state: await inspect(node.name, { routes: false }) };
        } catch (error) {
          context.signal.throwIfAborted();
          return { node, error: error instanceof Error ? error.message : String(error) };
        }
      }),
    surveyAll: () =>
      once('survey', () =>
        mapLimit(planned, 20, async (node): Promise<Surveyed> => {
          const before = Date.now();
          try {
            const survey = await context.nodes.run(node.name, 'survey', surveyInput(node, planned), {
              token: context.token(),
              timeoutMs: inspectTimeoutMs,
              signal: context.signal,
            });
            return { node, survey, clockAhead: aheadBy(survey.clock, before / 1000, Date.now() / 1000) };
          } catch (error) {
            context.signal.throwIfAborted();
            return { node, error: error instanceof Error ? error.message : String(error) };
          }
        }),
      ),
    nodeObject,
    nodeNames: () => once('node names', () => context.kubernetes.names({ apiVersion: 'v1', kind: 'Node' })),
    nodeObjects: () => all({ apiVersion: 'v1', kind: 'Node' }),
    all,
    cniOf,
    party,
    ready,
    parties,
    curl,
    exec,
  };
}

const vxlanOverhead = 50;

/** Each node sends to the next two of the plan: every one is asked from somewhere, and the cost does not grow. */
function surveyInput(node: PlannedNode, planned: readonly PlannedNode[]) {
  const at = planned.findIndex(({ name }) => name === node.name);
  const peers = [1, 2]
    .map((step) => planned[(at + step) % planned.length]!)
    .filter((peer, index, all) => peer.name !== node.name && all.indexOf(peer) === index)
    .map((peer) => peer.fingerprint.internalIP);
  const { internalIP: address, overlayMtu } = node.fingerprint;
  return { address, peers: peers.join(' '), bytes: overlayMtu > 0 ? overlayMtu + vxlanOverhead : 1500 };
}

/** How far a clock lies outside of the time in which it was read. */
const aheadBy = (clock: number, from: number, until: number): number =>
  clock > until ? clock - until : clock + 1 < from ? clock + 1 - from : 0;

const probeMissing = (app: string, node: string, namespace: string, why: string) =>
  new CutoverError('ChecksFailed', `the probe pod ${app} on ${node} cannot be used: ${why}`, {
    remedy: `look at \`kubectl -n ${namespace} describe pods -l app=${app} --field-selector spec.nodeName=${node}\``,
  });

/**
 * Checks look at some objects before they ask, so their questions come some milliseconds apart; an exec costs a node's runtime
 * 60 to 100 ms of processor (measured on two cores), which is what a moment of waiting saves.
 */
const collectMs = 30;

/** Collects the questions of a moment and asks each pod all of its own at once. */
function createCurlBatches(ask: (from: ProbePod, urls: string[]) => Promise<CurlAnswer[]>) {
  interface Question {
    url: string;
    resolve(answer: CurlAnswer): void;
    reject(error: unknown): void;
  }
  let waiting = new Map<string, { from: ProbePod; questions: Question[] }>();

  const flush = async () => {
    await sleep(collectMs);
    const batches = [...waiting.values()];
    waiting = new Map();
    await Promise.all(
      batches.flatMap(({ from, questions }) =>
        chunks(questions).map(async (chunk) => {
          try {
            const answers = await ask(
              from,
              chunk.map((question) => question.url),
            );
            for (const [index, question] of chunk.entries()) question.resolve(answers[index]!);
          } catch (error) {
            for (const question of chunk) question.reject(error);
          }
        }),
      ),
    );
  };

  return (from: ProbePod, url: string) =>
    new Promise<CurlAnswer>((resolve, reject) => {
      if (waiting.size === 0) void flush();
      const key = `${from.namespace}/${from.name}`;
      const batch = waiting.get(key) ?? { from, questions: [] };
      batch.questions.push({ url, resolve, reject });
      waiting.set(key, batch);
    });
}

function chunks<T extends { url: string }>(questions: readonly T[]): T[][] {
  const all: T[][] = [];
  let characters = Infinity;
  for (const question of questions) {
    characters += question.url.length;
    if (characters > execLimits.characters || all.at(-1)!.length === execLimits.urls) {
      all.push([]);
      characters = question.url.length;
    }
    all.at(-1)!.push(question);
  }
  return all;
}

/** Runs `work` over `items`, at most `limit` at a time; results in the order of the items. */
export async function mapLimit<T, R>(items: readonly T[], limit: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

/** Facts as JSON, with what is `undefined` left out. */
export const toJson = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;
