import { setCondition } from '../controllers/pods.ts';
import { debounced } from '../cni/agent.ts';
import type { KubernetesObject, SimNode, SimSandbox, WatchEvent } from '../types.ts';
import { createPodWorker, type PodWorker, type WorkerContext } from './pod-worker.ts';

/** Readiness that changed is seen at the next probe; the model looks after each burst of changes instead. */
const PROBE_MS = 2000;
/** From power to kubelet: its pods were Ready again after 36 s on a real cluster. */
const BOOT_MS = 15_000;

export interface Kubelet {
  /** What a person or a verb does with systemctl. */
  readonly service: SimNode['kubelet'];
  worker(uid: string): PodWorker | undefined;
  podChanged(event: WatchEvent): void;
  /** Runs from now on, without the time that a start takes. */
  boot(): void;
  powerCut(): void;
  /** Power is back: the machine boots, which takes its time. */
  powerOn(): void;
  /** A fault came or went: whoever waits looks again. */
  faultsChanged(): void;
  stop(): void;
}

export function createKubelet(options: Omit<WorkerContext, 'active' | 'forget'>): Kubelet {
  const { node, store, clock, timing, random, runtime } = options;
  const workers = new Map<string, PodWorker>();
  let active = false;
  let dead: SimSandbox[] = [];
  let booting: { cancel(): void } | undefined;
  let collecting: { cancel(): void } | undefined;

  const context: WorkerContext = {
    ...options,
    active: () => active && node.powered,
    forget: (uid) => void workers.delete(uid),
  };

  function begin() {
    active = true;
    writeNodeStatus();
    collectSoon();
    const own = new Map(
      store.list('pods', { fieldSelector: `spec.nodeName=${node.name}` }).map((pod) => [pod.metadata.uid!, pod]),
    );
    for (const worker of workers.values()) {
      const pod = own.get(worker.uid);
      if (pod === undefined) worker.removed();
      else worker.update(pod);
      worker.wake();
    }
    for (const pod of own.values()) if (!workers.has(pod.metadata.uid!)) take(pod);
  }

  function take(pod: KubernetesObject) {
    if (['Succeeded', 'Failed'].includes(pod['status']?.phase)) return;
    const worker = createPodWorker(context, pod);
    workers.set(worker.uid, worker);
    worker.wake();
  }

  /** Dead sandboxes are collected once a minute; until then the runtime lists them (§0b.2 of docs/facts.md). */
  function collectSoon() {
    collecting ??= clock.after(random.between(timing.sandboxCollection), () => {
      collecting = undefined;
      if (context.active()) runtime.collectStopped();
    });
  }

  /** Ready says that the runtime has a network; the data path behind it is nobody's business here. */
  function writeNodeStatus() {
    if (!context.active()) return;
    const hasNetwork = runtime.loadedNetworks().length > 0;
    store.mutate('nodes', undefined, node.name, (object) => {
      const now = clock.now();
      const pressure = (type: string, reason: string) =>
        setCondition(object, { type, status: 'False', reason, message: `kubelet has no ${type}` }, now);
      pressure('MemoryPressure', 'KubeletHasSufficientMemory');
      pressure('DiskPressure', 'KubeletHasNoDiskPressure');
      pressure('PIDPressure', 'KubeletHasSufficientPID');
      setCondition(
        object,
        hasNetwork
          ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
          : {
              type: 'Ready',
              status: 'False',
              reason: 'KubeletNotReady',
              message:
                'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized',
            },
        now,
      );
      for (const each of object['status'].conditions)
        each.lastHeartbeatTime = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
    });
  }

  const probes = debounced(clock, PROBE_MS, () => workers.forEach((worker) => worker.probe()));
  const stopWatching = node.onChange(() => {
    if (context.active()) probes.request();
  });
  runtime.onLoad(writeNodeStatus);
  runtime.onSandboxGone((sandbox) => {
    collectSoon();
    workers.get(sandbox.pod.uid)?.sandboxGone(sandbox.id);
  });

  return {
    service: {
      get active() {
        return context.active();
      },
      async start() {
        if (context.active()) return;
        await clock.sleep(random.between(timing.kubeletStart));
        if (!context.active() && node.powered) begin();
      },
      async stop() {
        if (!context.active()) return;
        await clock.sleep(random.between(timing.kubeletStop));
        active = false;
      },
    },
    worker: (uid) => workers.get(uid),
    podChanged({ type, object }) {
      if (!context.active()) return;
      const worker = workers.get(object.metadata.uid!);
      if (type === 'DELETED') worker?.removed();
      else if (worker === undefined) take(object);
      else worker.update(object);
    },
    boot() {
      if (!context.active()) begin();
    },
    powerCut() {
      booting?.cancel();
      booting = undefined;
      active = false;
      dead = [...dead, ...[...node.sandboxes.values()].map((each) => ({ ...each }))];
      node.powered = false;
      workers.forEach((worker) => worker.powerLost());
      node.reset();
    },
    powerOn() {
      if (node.powered) return;
      booting ??= clock.after(BOOT_MS, () => {
        booting = undefined;
        node.powered = true;
        runtime.load();
        runtime.collect(dead);
        dead = [];
        begin();
      });
    },
    faultsChanged: probes.request,
    stop() {
      active = false;
      booting?.cancel();
      collecting?.cancel();
      probes.cancel();
      stopWatching();
    },
  };
}
