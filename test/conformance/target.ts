import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { createObjectStore, type ApiObjectStore } from '../../src/simulator/api/object-store.ts';
import { startApiServer } from '../../src/simulator/api/server.ts';
import { selectorMatcher } from '../../src/simulator/api/selectors.ts';
import { statusError } from '../../src/simulator/api/status-error.ts';
import type { KubeletGateway, KubernetesObject, SimClock } from '../../src/simulator/types.ts';

/** An API server to judge, and the kubeconfig that reaches it. */
export interface Target {
  kubeconfig: string;
  /** Base URL, where it is plain HTTP; the tests that speak HTTP themselves need it. */
  url: string;
  /** The store behind it, when it runs in this process. */
  store?: ApiObjectStore;
  stop(): Promise<void>;
}

/**
 * The cluster of CONFORMANCE_KUBECONFIG, or an API server in this process with three nodes and the smallest control
 * plane that pods need: they are bound, run, and end; budgets are counted.
 */
export async function startTarget(): Promise<Target> {
  const given = process.env['CONFORMANCE_KUBECONFIG'];
  if (given) return { kubeconfig: given, url: serverOf(await readFile(given, 'utf8')), stop: async () => {} };
  const store = createObjectStore(realClock);
  for (const name of ['worker-1', 'worker-2', 'worker-3']) store.create('nodes', nodeObject(name));
  const api = await startApiServer({ store, clock: realClock, kubelets, bookmarkIntervalMs: 200 });
  const stopControl = runPods(store);
  const folder = await mkdtemp(join(tmpdir(), 'cutover-conformance-'));
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigFor(api.url));
  return {
    kubeconfig,
    url: api.url,
    store,
    async stop() {
      stopControl();
      await api.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const serverOf = (kubeconfig: string): string => parse(kubeconfig).clusters[0].cluster.server;

const kubeconfigFor = (server: string) => `apiVersion: v1
kind: Config
clusters: [{ name: target, cluster: { server: ${server} } }]
users: [{ name: admin, user: {} }]
contexts: [{ name: target, context: { cluster: target, user: admin } }]
current-context: target
`;

export const realClock: SimClock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

export const nodeObject = (name: string): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
  spec: { podCIDR: '10.244.1.0/24' },
  status: {
    conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }],
    addresses: [
      { type: 'InternalIP', address: `192.168.10.${name.at(-1)}` },
      { type: 'Hostname', address: name },
    ],
    capacity: { cpu: '4', memory: '8Gi', pods: '110' },
    allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
    nodeInfo: {
      kubeletVersion: 'v1.34.2',
      osImage: 'Debian GNU/Linux 12 (bookworm)',
      kernelVersion: '6.1.0-41-amd64',
      containerRuntimeVersion: 'containerd://2.1.4',
      architecture: 'amd64',
      operatingSystem: 'linux',
      kubeProxyVersion: '',
      machineID: name,
      systemUUID: name,
      bootID: name,
    },
  },
});

/** Binds pods, makes them Running and Ready, ends them when they are deleted; counts budgets. */
export function runPods(store: ApiObjectStore): () => void {
  let last = 10;
  const onPod = (pod: KubernetesObject) => {
    const { name, namespace, deletionTimestamp } = pod.metadata;
    if (deletionTimestamp !== undefined) setTimeout(() => store.remove('pods', namespace, name), 20);
    else if (pod['status'].phase === 'Pending') setTimeout(() => start(namespace, name), 20);
  };
  const start = (namespace: string | undefined, name: string) => {
    const free = store.list('nodes').find(({ spec }) => spec.unschedulable !== true);
    const bound = store.get('pods', namespace, name)?.['spec'].nodeName ?? free?.metadata.name;
    if (bound === undefined) return;
    const podIP = `10.244.1.${(last = (last % 250) + 1)}`;
    store.mutate('pods', namespace, name, (pod) => {
      pod['spec'].nodeName = bound;
      pod['status'] = { ...pod['status'], ...runningStatus(pod, podIP) };
    });
  };
  const stops = [
    store.watch('pods', ({ type, object }) => {
      if (type !== 'DELETED') onPod(object);
      countBudgets(store);
    }),
    store.watch('poddisruptionbudgets.policy', ({ type }) => void (type !== 'DELETED' && countBudgets(store))),
  ];
  return () => stops.forEach((stop) => stop());
}

function runningStatus(pod: KubernetesObject, podIP: string) {
  const startedAt = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    phase: 'Running',
    podIP,
    podIPs: [{ ip: podIP }],
    startTime: startedAt,
    conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({ type, status: 'True' })),
    containerStatuses: pod['spec'].containers.map(({ name, image }: { name: string; image: string }) => ({
      name,
      image,
      imageID: '',
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt } },
    })),
  };
}

function countBudgets(store: ApiObjectStore) {
  for (const { metadata, spec } of store.list('poddisruptionbudgets.policy')) {
    const namespace = metadata.namespace!;
    const pods = store.list('pods', { namespace }).filter(selectorMatcher(spec.selector ?? {}));
    const healthy = pods.filter((pod) => pod['status'].phase === 'Running' && !pod.metadata.deletionTimestamp).length;
    const desired = spec.minAvailable ?? pods.length - spec.maxUnavailable;
    store.mutate('poddisruptionbudgets.policy', namespace, metadata.name, (budget) => {
      budget['status'] = {
        ...budget['status'],
        observedGeneration: metadata.generation,
        expectedPods: pods.length,
        currentHealthy: healthy,
        desiredHealthy: desired,
        disruptionsAllowed: Math.max(0, healthy - desired),
      };
    });
  }
}

/** A few programs, enough to see arguments, streams and exit codes pass. */
const kubelets: KubeletGateway = {
  async exec(pod, container, [program = '', ...args], { stdin, stdout, stderr }) {
    if (program === 'cat') {
      for await (const chunk of stdin ?? []) stdout(chunk.toString());
      return { exitCode: 0 };
    }
    const script = program === 'sh' ? (args.at(-1) ?? '') : [program, ...args].join(' ');
    for (const line of script.split(';').map((each) => each.trim())) {
      const exit = /^exit (\d+)$/.exec(line);
      if (exit !== null) return { exitCode: Number(exit[1]) };
      const echo = /^echo (.*?)( >&2)?$/.exec(line);
      if (echo !== null) (echo[2] === undefined ? stdout : stderr)(`${echo[1]}\n`);
      else if (line === 'hostname') stdout(`${pod.metadata.name}\n`);
      else if (line !== '') {
        throw statusError(
          500,
          'InternalError',
          `exec failed in container ${container}: "${line}": executable file not found in $PATH`,
        );
      }
    }
    return { exitCode: 0 };
  },
  logs(pod, container, { tailLines, previous }) {
    if (previous === true) {
      throw statusError(
        400,
        'BadRequest',
        `previous terminated container "${container}" in pod "${pod.metadata.name}" not found`,
      );
    }
    const lines = ['one', 'two', 'three'];
    return (tailLines === undefined ? lines : lines.slice(lines.length - tailLines))
      .map((line) => `${line}\n`)
      .join('');
  },
};
