import type { Agent } from '../cni/agent.ts';
import { agentKind, runInitContainer, startAgent } from '../cni/agents.ts';
import type { Bgp } from '../cni/bgp.ts';
import type { ClusterDirectory } from '../cni/directory.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { Random, Range } from '../scenario/random.ts';
import type { ScenarioTiming } from '../scenario/scenario.ts';
import type { KubernetesObject, ObjectStore, SimClock, SimRule } from '../types.ts';
import { faultText } from './fault-text.ts';
import { sandboxId as makeSandboxId } from './identity.ts';
import { newContainer, podStatus, type ContainerRecord } from './pod-status.ts';
import type { Runtime } from './runtime.ts';
import { scheduleRetry, type NodeControl } from './sim-node.ts';

/** How long a container takes to stop after SIGTERM, in ms; pods may say so for the model. */
export const STOP_MS_ANNOTATION = 'simulator.cutover.dev/stop-ms';
const DEFAULT_STOP: Range = [200, 1000];
const CRASH_BACKOFF_MS = 10_000;
const LONGEST_CRASH_BACKOFF_MS = 300_000;
/** kubelet notices a container that died by relisting every second. */
const RELIST_MS = 1000;
const LOG_LINES = 200;

export interface WorkerContext {
  node: NodeControl;
  store: ObjectStore;
  clock: SimClock;
  timing: ScenarioTiming;
  random: Random;
  faults: FaultRegistry;
  directory: ClusterDirectory;
  bgp?: Bgp;
  runtime: Runtime;
  iptablesBackend: SimRule['backend'];
  /** Whether kubelet runs. Containers go on without it; nothing else does. */
  active(): boolean;
  /** Whether the node's own host reaches that address: what an HTTP or TCP probe finds. */
  reaches(ip: string, port: number): boolean;
  forget(uid: string): void;
}

/** What kubelet does about one pod. */
export interface PodWorker {
  readonly uid: string;
  readonly pod: KubernetesObject;
  readonly sandboxId: string | undefined;
  isRunning(container: string): boolean;
  log(container: string, previous: boolean): readonly { time: number; line: string }[];
  /** A new version of the object. */
  update(pod: KubernetesObject): void;
  /** The object is gone: whatever still runs has to stop. */
  removed(): void;
  sandboxGone(id: string): void;
  /** Looks again: kubelet started, or something changed that it may be waiting for. */
  wake(): void;
  /** Runs the readiness probes again. */
  probe(): void;
  /** The machine lost power. */
  powerLost(): void;
}

interface ContainerSpec {
  name: string;
  image: string;
  readinessProbe?: { httpGet?: { port: number | string }; tcpSocket?: { port: number | string } };
  lifecycle?: { preStop?: { sleep?: { seconds: number }; exec?: { command: string[] } } };
  ports?: { name?: string; containerPort: number }[];
}

export function createPodWorker(context: WorkerContext, first: KubernetesObject): PodWorker {
  const { node, store, clock, timing, random, faults, runtime } = context;
  let pod = first;
  const { namespace = 'default', name, uid = '' } = pod.metadata;
  const specs = pod['spec'].containers as ContainerSpec[];
  const initSpecs = (pod['spec'].initContainers ?? []) as ContainerSpec[];
  const kind = agentKind(pod);
  const containers = new Map<string, ContainerRecord>(
    specs.map((each) => [each.name, newContainer('ContainerCreating')]),
  );
  const init = new Map<string, ContainerRecord>(initSpecs.map((each) => [each.name, newContainer('PodInitializing')]));
  const startMs = kind === undefined ? random.between(timing.podStart) : random.between(timing.agentStart);
  // The main process of an agent has about half of the whole; the rest goes to the sandbox and to its containers.
  const operations = 2 + initSpecs.length;
  const operationMs = (kind === undefined ? startMs : startMs * 0.5) / operations;

  let sandboxId: string | undefined;
  let sandboxes = 0;
  let initDone = 0;
  let startTime = '';
  let agent: Agent | undefined;
  let started = false;
  let probing = false;
  let agentReady = false;
  let crashes = 0;
  let crashed = false;
  let stopping = false;
  let stopDue = false;
  let isRemoved = false;
  let finished = false;
  let busy = false;
  let again = false;
  /** Changes when what is under way has lost its sense: the sandbox went, or the pod is to stop. */
  let epoch = 0;
  let timer: { cancel(): void } | undefined;
  let readyTimer: { cancel(): void } | undefined;
  let lines: { time: number; line: string }[] = [];
  let previousLines: typeof lines = [];

  const stamp = () => new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  const sandbox = () => (sandboxId === undefined ? undefined : node.sandboxes.get(sandboxId));
  const isTerminating = () => isRemoved || pod.metadata.deletionTimestamp !== undefined;
  const log = (line: string) => {
    lines.push({ time: clock.now(), line });
    if (lines.length > LOG_LINES) lines.shift();
  };
  const warn = (reason: string, message: string) => store.event(pod, 'Warning', reason, message, 'kubelet');
  const tell = (reason: string, message: string) => store.event(pod, 'Normal', reason, message, 'kubelet');

  function wake() {
    timer?.cancel();
    timer = undefined;
    if (busy) again = true;
    else void run();
  }

  async function run() {
    busy = true;
    do {
      again = false;
      if (finished || !node.powered || !context.active()) break;
      const wait = await step();
      if (wait === 0) again = true;
      else if (wait !== undefined && !again) timer = scheduleRetry(clock, wait, wake);
    } while (again);
    busy = false;
  }

  /** Waits; false when what was under way is to be given up. */
  async function spend(ms: number): Promise<boolean> {
    const before = epoch;
    await clock.sleep(ms);
    return epoch === before && node.powered && context.active();
  }

  /** Does the next thing. @returns ms until the next try, 0 to go on at once, undefined to wait for an event */
  async function step(): Promise<number | undefined> {
    if (isTerminating()) return terminate();
    if (startTime === '') startTime = stamp();
    if (sandbox() === undefined) return startSandbox();
    if (initDone < initSpecs.length) return runInit(initSpecs[initDone]!);
    if (!started) return startContainers();
    return undefined;
  }

  async function startSandbox(): Promise<number | undefined> {
    writeStatus();
    if (!(await spend(operationMs))) return 0;
    const isHost = pod['spec'].hostNetwork === true;
    if (!isHost && runtime.loadedNetworks().length === 0) {
      warn(
        'NetworkNotReady',
        'network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized',
      );
      return 1000 + random.between([0, 500]);
    }
    try {
      sandboxId = makeSandboxId(`${uid} ${(sandboxes += 1)}`);
      runtime.addSandbox(pod, sandboxId);
    } catch (error) {
      sandboxId = undefined;
      warn('FailedCreatePodSandBox', `Failed to create pod sandbox: ${(error as Error).message}`);
      // Collected while a fence stands; a change of the conf does not end it (§0a.13 of the migration facts).
      return random.between(timing.sandboxBackoff);
    }
    return 0;
  }

  /** Why the image cannot be had; `` when it is there. */
  function missingImage(image: string): string {
    const fault = kind === undefined ? undefined : faults.peek('agent-image-missing', node.name);
    return fault !== undefined && image.includes(faultText(fault, 'image', 'calico'))
      ? `Back-off pulling image "${image}"`
      : '';
  }

  async function runInit(spec: ContainerSpec): Promise<number | undefined> {
    const record = init.get(spec.name)!;
    const missing = missingImage(spec.image);
    if (missing !== '') return waitForImage(record, spec.image, missing);
    if (record.state !== 'running') {
      Object.assign(record, { state: 'running', startedAt: stamp() });
      writeStatus();
    }
    if (!(await spend(operationMs))) return 0;
    if (kind !== undefined) runInitContainer(kind, spec, node, store, pod);
    Object.assign(record, { state: 'terminated', finishedAt: stamp(), exitCode: 0, ready: true });
    initDone += 1;
    return 0;
  }

  function waitForImage(record: ContainerRecord, image: string, message: string): number {
    const again = record.reason === 'ErrImagePull' || record.reason === 'ImagePullBackOff';
    if (!again) warn('Failed', `Failed to pull image "${image}": not found`);
    else warn('BackOff', message);
    Object.assign(record, { state: 'waiting', reason: again ? 'ImagePullBackOff' : 'ErrImagePull', message });
    writeStatus();
    return CRASH_BACKOFF_MS;
  }

  async function startContainers(): Promise<number | undefined> {
    if (crashed) return undefined;
    for (const spec of specs) {
      const missing = missingImage(spec.image);
      if (missing !== '') return waitForImage(containers.get(spec.name)!, spec.image, missing);
    }
    if (!(await spend(operationMs))) return 0;
    started = true;
    for (const [container, record] of containers) {
      if (record.finishedAt !== '') record.restarts += 1;
      Object.assign(record, { state: 'running', startedAt: stamp(), ready: false, message: '' });
      tell('Started', `Started container ${container}`);
    }
    log(`Started on ${node.name} with address ${sandbox()!.ip}`);
    agentReady = false;
    probing = false;
    if (kind !== undefined) agent = startAgent(kind, agentHost(), pod, context.iptablesBackend, context.bgp);
    const hasProbe = specs.some(({ readinessProbe }) => readinessProbe !== undefined);
    if (kind !== undefined || !hasProbe) judge();
    else {
      writeStatus();
      readyTimer = clock.after(random.between(timing.podReady), () => {
        probing = true;
        judge();
      });
    }
    return undefined;
  }

  const agentHost = () => ({
    node,
    store,
    clock,
    timing,
    random,
    directory: context.directory,
    startMs: startMs * 0.5,
    log,
    crash,
    ready() {
      agentReady = true;
      judge();
    },
  });

  function crash(message: string) {
    log(message);
    agent?.stop();
    agent = undefined;
    started = false;
    crashed = true;
    crashes += 1;
    for (const record of containers.values()) {
      Object.assign(record, {
        state: 'waiting',
        reason: 'CrashLoopBackOff',
        message,
        finishedAt: stamp(),
        exitCode: 1,
        ready: false,
      });
    }
    keepLog();
    warn('BackOff', `Back-off restarting failed container ${specs[0]!.name} in pod ${name}: ${message}`);
    writeStatus();
    const before = epoch;
    scheduleRetry(clock, Math.min(LONGEST_CRASH_BACKOFF_MS, CRASH_BACKOFF_MS * 2 ** (crashes - 1)), () => {
      if (before !== epoch) return;
      crashed = false;
      wake();
    });
  }

  /** Asks each readiness probe and writes the answer. */
  function judge() {
    if (!started) return;
    const ip = sandbox()?.ip;
    for (const spec of specs) {
      const record = containers.get(spec.name)!;
      record.ready = ip !== undefined && isReady(spec, ip);
    }
    writeStatus();
  }

  function isReady({ readinessProbe, ports = [] }: ContainerSpec, ip: string): boolean {
    if (readinessProbe === undefined) return true;
    if (kind !== undefined) {
      const fault = faults.peek('agent-never-ready', node.name);
      return agentReady && (fault === undefined || (fault['agent'] ?? 'calico') !== kind);
    }
    if (!probing) return false;
    const asked = (readinessProbe.httpGet ?? readinessProbe.tcpSocket)?.port;
    if (asked === undefined || pod['spec'].hostNetwork === true) return true;
    const port = typeof asked === 'number' ? asked : (ports.find((each) => each.name === asked)?.containerPort ?? 0);
    return context.reaches(ip, port);
  }

  function writeStatus() {
    if (!context.active() || isRemoved || !node.powered) return;
    const facts = {
      hostIp: node.ip,
      podIp: sandbox()?.ip ?? '',
      startTime,
      now: stamp(),
      initialized: initDone >= initSpecs.length,
      init,
      containers,
    };
    store.mutate('pods', namespace, name, (object) => {
      if (object.metadata.uid === uid) object['status'] = podStatus({ ...facts, pod: object });
    });
  }

  function stopMs(): number {
    const grace = Number(pod.metadata['deletionGracePeriodSeconds'] ?? 0) * 1000;
    const given = Number(pod.metadata.annotations?.[STOP_MS_ANNOTATION]);
    const process =
      kind !== undefined
        ? random.between(timing.agentStop)
        : Number.isFinite(given)
          ? given
          : random.between(DEFAULT_STOP);
    const preStop = Math.max(0, ...specs.map(({ lifecycle }) => preStopMs(lifecycle?.preStop)));
    return Math.min(grace, preStop + process);
  }

  async function terminate(): Promise<number | undefined> {
    if (!stopping) {
      stopping = true;
      epoch += 1;
      readyTimer?.cancel();
      const wait = isRemoved || sandbox() === undefined ? 0 : stopMs();
      if (wait > 0) {
        tell('Killing', `Stopping container ${specs[0]!.name}`);
        // A grace period of 0 leaves a preStop hook no time (§0a.6 of the migration facts).
        agent?.preStop?.();
        clock.after(wait, () => {
          stopDue = true;
          wake();
        });
      } else stopDue = true;
    }
    if (!stopDue && !isRemoved) return undefined;
    stopContainers();
    if (sandboxId !== undefined) {
      await clock.sleep(random.between(timing.sandboxRemoval));
      if (!node.powered || !context.active()) return undefined;
      try {
        runtime.stopSandbox(sandboxId);
      } catch (error) {
        warn(
          'FailedKillPod',
          `error killing pod: failed to "KillPodSandbox" for "${uid}" with KillPodSandboxError: "${(error as Error).message}"`,
        );
        return random.between(timing.sandboxBackoff);
      }
    }
    finished = true;
    context.forget(uid);
    if (!isRemoved && store.get('pods', namespace, name)?.metadata.uid === uid) store.remove('pods', namespace, name);
    return undefined;
  }

  function stopContainers() {
    agent?.stop();
    agent = undefined;
    if (started) keepLog();
    started = false;
    const there = sandbox();
    if (there?.running) there.running = false;
    for (const record of containers.values()) {
      if (record.state === 'running')
        Object.assign(record, { state: 'terminated', finishedAt: stamp(), ready: false, exitCode: 0 });
    }
  }

  function keepLog() {
    previousLines = lines;
    lines = [];
  }

  function lostSandbox() {
    epoch += 1;
    readyTimer?.cancel();
    stopContainers();
    sandboxId = undefined;
    initDone = 0;
    crashed = false;
  }

  return {
    uid,
    get pod() {
      return pod;
    },
    get sandboxId() {
      return sandboxId;
    },
    isRunning: (container) => started && containers.get(container)?.state === 'running',
    log: (_container, previous) => (previous ? previousLines : lines),
    update(next) {
      const wasTerminating = isTerminating();
      pod = next;
      if (isTerminating() && !wasTerminating) wake();
    },
    removed() {
      isRemoved = true;
      wake();
    },
    sandboxGone(id) {
      if (id !== sandboxId || finished) return;
      lostSandbox();
      if (!isTerminating()) timer = clock.after(RELIST_MS, wake);
    },
    wake() {
      // Containers went on while kubelet was away; what became of their probes is written now.
      if (started && !isTerminating()) judge();
      wake();
    },
    probe() {
      if (started && context.active()) judge();
    },
    powerLost() {
      timer?.cancel();
      lostSandbox();
    },
  };
}

function preStopMs(hook: { sleep?: { seconds: number }; exec?: { command: string[] } } | undefined): number {
  if (hook?.sleep !== undefined) return hook.sleep.seconds * 1000;
  const slept = /\bsleep (\d+(?:\.\d+)?)/.exec((hook?.exec?.command ?? []).join(' '))?.[1];
  return Number(slept ?? 0) * 1000;
}
