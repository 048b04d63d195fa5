import { statusError } from '../api/status-error.ts';
import { createBgp } from '../cni/bgp.ts';
import { createDirectory } from '../cni/directory.ts';
import { createDataPath } from '../network/data-path.ts';
import { createDaemons } from '../programs/daemons.ts';
import { runProgram } from '../programs/run-program.ts';
import { createStreamPrograms } from '../programs/stream.ts';
import { parseCidr, addressAt } from '../scenario/address.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import { createRandom, type Random } from '../scenario/random.ts';
import type { ScenarioTiming } from '../scenario/scenario.ts';
import type {
  DataPath,
  Fault,
  KubeletGateway,
  KubernetesObject,
  ObjectStore,
  SimClock,
  SimNode,
  SimRule,
} from '../types.ts';
import { faultText } from './fault-text.ts';
import { createKubelet, type Kubelet } from './kubelet.ts';
import { createRuntime, type Runtime } from './runtime.ts';
import { CONF_DIR, createSimNode, type NodeControl } from './sim-node.ts';

export interface NodesOptions {
  store: ObjectStore;
  clock: SimClock;
  timing: ScenarioTiming;
  faults: FaultRegistry;
  random?: Random;
  /** Bytes. @default 1500 */
  underlayMtu?: number;
  /** The network that node addresses are taken from. @default 10.99.0.0/16 */
  nodeNetwork?: string;
  /** Of each node's own subnet. @default that of the node network: one subnet for all */
  subnetPrefix?: number;
  /** Routers outside that speak BGP. */
  routers?: readonly { address: string; asNumber: number }[];
  /** What flanneld and Felix write their rules with. @default nft */
  iptablesBackend?: SimRule['backend'];
  kernel?: string;
}

export interface Nodes {
  /** One for each Node object, kept up with the store. */
  nodes: Map<string, SimNode>;
  kubelets: KubeletGateway;
  dataPath: DataPath;
  /** Starts container runtimes and kubelets. */
  start(): void;
  stop(): void;
  /** Whether the node's kubelet posts its status: what the node controller asks. */
  isAlive(node: string): boolean;
}

/** What runs on the nodes: a container runtime, a kubelet and CNI agents for each, and the network between them. */
export function createNodes(options: NodesOptions): Nodes {
  const {
    store,
    clock,
    timing,
    faults,
    random = createRandom(1),
    underlayMtu = 1500,
    iptablesBackend = 'nft',
  } = options;
  const network = parseCidr(options.nodeNetwork ?? '10.99.0.0/16');
  const nodes = new Map<string, SimNode>();
  const machines = new Map<string, { node: NodeControl; runtime: Runtime; kubelet: Kubelet }>();
  const directory = createDirectory(store);
  const daemons = createDaemons(clock);
  const bgp = createBgp({ store, clock, directory, faults, random, routers: options.routers ?? [] });
  const dataPath = createDataPath({
    bgp,
    store,
    clock,
    directory,
    faults,
    timing,
    random,
    nodes: () => [...machines.values()].map(({ node }) => node),
    node: (name) => machines.get(name)?.node,
    daemonListens: (node, port, protocol) => daemons.onNode(node, port, protocol) !== undefined,
  });
  const streams = createStreamPrograms({
    store,
    clock,
    dataPath,
    faults,
    nodes: () => [...machines.values()].map(({ node }) => node),
  });
  const stops: (() => void)[] = [];
  let running = false;

  function add(object: KubernetesObject) {
    const { name, labels = {} } = object.metadata;
    if (machines.has(name)) return;
    const addresses = (object['status']?.addresses ?? []) as { type: string; address: string }[];
    const ip = addresses.find(({ type }) => type === 'InternalIP')?.address;
    if (ip === undefined) return;
    const node = createSimNode(
      {
        name,
        ip,
        prefixLength: options.subnetPrefix ?? network.length,
        gateway: addressAt(network, 1),
        zone: labels['topology.kubernetes.io/zone'] ?? '',
        kernel: object['status']?.nodeInfo?.kernelVersion ?? options.kernel ?? '6.12.48-amd64',
        underlayMtu,
      },
      clock,
    );
    const parts = { node, store, clock, timing, random, faults, directory, bgp };
    const runtime = createRuntime(parts);
    const kubelet = createKubelet({
      ...parts,
      runtime,
      iptablesBackend,
      reaches: (to, port) => dataPath.send({ from: `node:${name}`, to, port, protocol: 'tcp', bytes: 60 }).delivered,
    });
    node.attach({
      removeSandbox: runtime.removeSandbox,
      loadedNetworks: runtime.loadedNetworks,
      kubelet: kubelet.service,
      tcp: {
        listener: (port) => (port === 179 ? bgp.listener(name) : ''),
        ask(address, port) {
          const other = [...machines.values()].find((each) => each.node.ip === address)?.node;
          if (other === undefined || !other.powered) return 'silent';
          if (port === 179 && (bgp.blocked(name) || bgp.blocked(other.name))) return 'silent';
          const { delivered, reason } = dataPath.send({
            from: `node:${name}`,
            to: address,
            port,
            protocol: 'tcp',
            bytes: 60,
          });
          return delivered ? 'open' : reason.includes('connection refused') ? 'refused' : 'silent';
        },
      },
    });
    nodes.set(name, node);
    machines.set(name, { node, runtime, kubelet });
    dataPath.topologyChanged();
    for (const fault of faults.list()) if (concerns(fault, name)) applyFault(fault, name);
    if (running) startMachine(name);
  }

  function startMachine(name: string) {
    const { node, runtime, kubelet } = machines.get(name)!;
    if (!node.powered) return;
    runtime.load();
    kubelet.boot();
  }

  function remove(name: string) {
    machines.get(name)?.kubelet.stop();
    machines.get(name)?.runtime.stop();
    machines.delete(name);
    nodes.delete(name);
    dataPath.topologyChanged();
  }

  const concerns = (fault: Fault, name: string) => fault.nodes === undefined || fault.nodes.includes(name);

  /** Faults that are events on a node; the others are asked for where they act. */
  function applyFault(fault: Fault, name: string) {
    const { kubelet, node } = machines.get(name)!;
    if (fault.name === 'leftover-conf') {
      const cilium = '{"cniVersion":"0.3.1","name":"cilium","plugins":[{"type":"cilium-cni"}]}';
      node.write(`${CONF_DIR}/${faultText(fault, 'file', '05-cilium.conflist')}`, faultText(fault, 'content', cilium));
    }
    if (fault.name !== 'node-dead') return;
    kubelet.powerCut();
    if (fault['seconds'] !== undefined) clock.after(Number(fault['seconds']) * 1000, kubelet.powerOn);
  }

  function endFault(fault: Fault, name: string) {
    const { kubelet, node } = machines.get(name)!;
    if (fault.name === 'leftover-conf') node.unlink(`${CONF_DIR}/${faultText(fault, 'file', '05-cilium.conflist')}`);
    if (fault.name === 'node-dead' && !faults.has('node-dead', name)) kubelet.powerOn();
  }

  const podOf = (pod: KubernetesObject) => machines.get(pod['spec']?.nodeName ?? '');

  const kubelets: KubeletGateway = {
    async exec(pod, container, command, io) {
      const machine = reachableKubelet(pod);
      const worker = machine.kubelet.worker(pod.metadata.uid!);
      const named = container || pod['spec'].containers[0].name;
      if (worker === undefined || !worker.isRunning(named)) {
        throw statusError(500, 'InternalError', `unable to upgrade connection: container not found ("${named}")`);
      }
      return runProgram({
        store,
        clock,
        dataPath,
        bgp,
        random,
        faults,
        daemons,
        node: machine.node,
        pod: worker.pod,
        container: named,
        nodeOf: (name) => machines.get(name)?.node,
        written: (path) => streams.file(worker.pod, named, path),
        command,
        io,
      });
    },
    logs(pod, container, { tailLines, previous = false, timestamps = false }) {
      const machine = reachableKubelet(pod);
      const worker = machine.kubelet.worker(pod.metadata.uid!);
      const named = container || pod['spec'].containers[0].name;
      if (worker === undefined)
        throw statusError(
          400,
          'BadRequest',
          `container "${named}" in pod "${pod.metadata.name}" is waiting to start: ContainerCreating`,
        );
      const lines = worker
        .log(named, previous)
        .map(({ time, line }) => (timestamps ? `${new Date(time).toISOString()} ${line}` : line));
      return lines
        .slice(tailLines === undefined ? 0 : -tailLines || lines.length)
        .map((line) => `${line}\n`)
        .join('');
    },
  };

  function reachableKubelet(pod: KubernetesObject) {
    const machine = podOf(pod);
    if (machine === undefined)
      throw statusError(400, 'BadRequest', `pod ${pod.metadata.name} does not have a host assigned`);
    const { node } = machine;
    if (node.kubelet.active) return machine;
    const what = node.powered ? 'connect: connection refused' : 'i/o timeout';
    throw statusError(500, 'InternalError', `error dialing backend: dial tcp ${node.ip}:10250: ${what}`);
  }

  for (const object of store.list('nodes')) add(object);
  stops.push(
    store.watch('nodes', ({ type, object }) => (type === 'DELETED' ? remove(object.metadata.name) : add(object))),
    store.watch('pods', (event) => podOf(event.object)?.kubelet.podChanged(event)),
    faults.onChange(({ type, fault }) => {
      for (const name of machines.keys()) {
        if (!concerns(fault, name)) continue;
        if (type === 'injected') applyFault(fault, name);
        else endFault(fault, name);
      }
      machines.forEach(({ kubelet }) => kubelet.faultsChanged());
    }),
  );

  return {
    nodes,
    kubelets,
    dataPath,
    start() {
      running = true;
      for (const name of machines.keys()) startMachine(name);
    },
    stop() {
      running = false;
      stops.forEach((stop) => stop());
      machines.forEach(({ kubelet, runtime, node }) => {
        kubelet.stop();
        runtime.stop();
        for (const timer of node.timers.values()) timer.cancel();
      });
      streams.stop();
      bgp.stop();
      dataPath.stop();
      directory.stop();
    },
    isAlive: (name) => nodes.get(name)?.kubelet.active ?? false,
  };
}
