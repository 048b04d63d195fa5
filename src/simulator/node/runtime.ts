import { calicoPlugin } from '../cni/calico-plugin.ts';
import type { ClusterDirectory } from '../cni/directory.ts';
import { flannelPlugin } from '../cni/flannel-plugin.ts';
import { parseNetwork, type CniCall, type CniNetwork, type CniPlugin, type CniResult } from '../cni/plugin.ts';
import { portmap } from '../cni/portmap.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { Random } from '../scenario/random.ts';
import type { ScenarioTiming } from '../scenario/scenario.ts';
import type { KubernetesObject, ObjectStore, SimClock, SimSandbox } from '../types.ts';
import { confPaths } from './node-state.ts';
import type { NodeControl } from './sim-node.ts';

const passThrough: CniPlugin = {
  add(_call, previous) {
    if (previous === undefined) throw new Error('must be called as chained plugin');
    return previous;
  },
  del() {},
};

const plugins: { [type: string]: CniPlugin } = {
  flannel: flannelPlugin,
  calico: calicoPlugin,
  portmap,
  bandwidth: passThrough,
  tuning: passThrough,
};

export interface RuntimeOptions {
  node: NodeControl;
  store: ObjectStore;
  clock: SimClock;
  timing: ScenarioTiming;
  random: Random;
  faults: FaultRegistry;
  directory: ClusterDirectory;
}

/** containerd: which conf is loaded, and the sandboxes. ADD and DEL both go to the conf that is loaded *now* (§0.6). */
export interface Runtime {
  loadedNetworks(): readonly string[];
  /** A sandbox for the pod. @throws Error as containerd words it when a plugin is missing or fails */
  addSandbox(pod: KubernetesObject, id: string): SimSandbox;
  /** Stops what runs in it and takes its network away; it is listed until it is collected. @throws Error */
  stopSandbox(id: string): void;
  /** `crictl stopp` + `crictl rmp`, with the time they take. @throws Error */
  removeSandbox(id: string): Promise<void>;
  onSandboxGone(listener: (sandbox: SimSandbox) => void): void;
  /** Calls back when another network is loaded than before, or none. */
  onLoad(listener: () => void): void;
  /** Reads the conf directory now, as at the start of the runtime. */
  load(): void;
  /** Forgets those that are stopped. */
  collectStopped(): void;
  /** After a boot: kubelet collects the sandboxes of before, whose DEL goes to the conf loaded now. */
  collect(dead: readonly SimSandbox[]): void;
  stop(): void;
}

export function createRuntime(options: RuntimeOptions): Runtime {
  const { node, store, clock, timing, random, faults, directory } = options;
  const listeners: ((sandbox: SimSandbox) => void)[] = [];
  const loadListeners: (() => void)[] = [];
  let loaded: CniNetwork | undefined;
  let waiting: { cancel(): void } | undefined;

  /** The first conf by name, and no other; a broken one leaves nothing loaded (go-cni Load resets first). */
  function load() {
    const [first] = confPaths(node);
    const before = loaded?.name;
    try {
      loaded = first === undefined ? undefined : parseNetwork(node.files.get(first)!);
    } catch {
      loaded = undefined;
    }
    if (loaded?.name !== before) loadListeners.forEach((tell) => tell());
  }

  const stopWatching = node.onConfChange(() => {
    if (!node.powered || faults.has('runtime-ignores-conf', node.name)) return;
    waiting ??= clock.after(random.between(timing.confLoad), () => {
      waiting = undefined;
      load();
    });
  });

  function call(network: CniNetwork, sandbox: CniCall['sandbox'], conf: CniCall['conf']): CniCall {
    return { node, store, directory, network: network.name, conf, sandbox };
  }

  function plugin(type: string): CniPlugin {
    const found = plugins[type];
    if (found === undefined || !node.files.has(`/opt/cni/bin/${type}`)) {
      throw new Error(`failed to find plugin "${type}" in path [/opt/cni/bin]`);
    }
    return found;
  }

  function attach(network: CniNetwork, sandbox: CniCall['sandbox']): CniResult {
    let result: CniResult | undefined;
    for (const conf of network.plugins) result = plugin(conf.type!).add(call(network, sandbox, conf), result);
    return result!;
  }

  function detach(sandbox: CniCall['sandbox']) {
    if (loaded === undefined) throw new Error('cni plugin not initialized');
    for (const conf of loaded.plugins.toReversed()) plugin(conf.type!).del(call(loaded, sandbox, conf));
  }

  function addSandbox(pod: KubernetesObject, id: string): SimSandbox {
    const { namespace = 'default', name, uid = '' } = pod.metadata;
    const base = { id, pod: { namespace, name, uid }, running: true, hostPorts: hostPorts(pod) };
    if (pod['spec'].hostNetwork === true) {
      node.sandboxes.set(id, { ...base, network: 'NODE', cni: '', ip: node.ip, link: '' });
      return node.sandboxes.get(id)!;
    }
    const wrap = (reason: string) =>
      new Error(`rpc error: code = Unknown desc = failed to setup network for sandbox "${id}": ${reason}`);
    if (loaded === undefined) throw wrap('cni plugin not initialized');
    let result: CniResult;
    try {
      result = attach(loaded, base);
    } catch (error) {
      try {
        detach(base);
      } catch {
        // What cannot be added usually cannot be deleted either; the first reason is the one to show.
      }
      throw wrap((error as Error).message);
    }
    node.sandboxes.set(id, { ...base, network: 'POD', cni: loaded.name, ip: result.ip, link: result.link });
    return node.sandboxes.get(id)!;
  }

  function stopSandbox(id: string) {
    const sandbox = node.sandboxes.get(id);
    if (sandbox === undefined || sandbox.stopped) return;
    sandbox.running = false;
    if (sandbox.network === 'POD') {
      try {
        detach(sandbox);
      } catch (error) {
        throw new Error(
          `rpc error: code = Unknown desc = failed to destroy network for sandbox "${id}": ${(error as Error).message}`,
          { cause: error },
        );
      }
      // The network namespace goes, and the veth with it, whichever plugin was asked.
      node.deleteLink(sandbox.link);
    }
    sandbox.stopped = true;
    listeners.forEach((tell) => tell(sandbox));
  }

  return {
    loadedNetworks: () => (loaded === undefined ? [] : [loaded.name]),
    addSandbox,
    stopSandbox,
    async removeSandbox(id) {
      const sandbox = node.sandboxes.get(id);
      if (sandbox === undefined) return;
      await clock.sleep(random.between(sandbox.running ? timing.sandboxRemovalRunning : timing.sandboxRemoval));
      stopSandbox(id);
      node.sandboxes.delete(id);
    },
    collectStopped() {
      for (const { id, stopped } of node.sandboxes.values()) if (stopped) node.sandboxes.delete(id);
    },
    onSandboxGone: (listener) => void listeners.push(listener),
    onLoad: (listener) => void loadListeners.push(listener),
    load,
    collect(dead) {
      for (const sandbox of dead) {
        try {
          if (sandbox.network === 'POD' && !sandbox.stopped) detach(sandbox);
        } catch {
          // Left behind, as on a real node: the lease file stays until somebody deletes it.
        }
      }
    },
    stop() {
      waiting?.cancel();
      stopWatching();
    },
  };
}

function hostPorts(pod: KubernetesObject): SimSandbox['hostPorts'] {
  if (pod['spec'].hostNetwork === true) return [];
  const containers = pod['spec'].containers as {
    ports?: { hostPort?: number; containerPort: number; protocol?: string }[];
  }[];
  return containers
    .flatMap(({ ports = [] }) => ports)
    .filter(({ hostPort }) => hostPort !== undefined)
    .map(({ hostPort, containerPort, protocol = 'TCP' }) => ({
      hostPort: hostPort!,
      containerPort,
      protocol: protocol.toLowerCase(),
    }));
}
