import { rm } from 'node:fs/promises';

import { startApiServer } from './api/server.ts';
import { createObjectStore } from './api/object-store.ts';
import { privateDirectory, writeKubeconfig, writeSshConfig } from './access-files.ts';
import { apiFaults } from './api-faults.ts';
import { createClock } from './clock.ts';
import { startControllers } from './controllers/start-controllers.ts';
import { startControlServer } from './control-server.ts';
import { wearOffVxlanBlocked } from './fault-wear.ts';
import { createNodes } from './node/create-nodes.ts';
import type { NodeControl } from './node/sim-node.ts';
import { createFaults } from './scenario/faults.ts';
import { loadScenario } from './scenario/load.ts';
import { createRandom } from './scenario/random.ts';
import type { Scenario } from './scenario/scenario.ts';
import { imagesOf, seedSystem, seedWorkloads } from './scenario/seed.ts';
import { settled } from './settled.ts';
import { generateHostKey } from './ssh/host-key.ts';
import { startSshServers } from './ssh/start-ssh-servers.ts';
import { planStreams } from './traffic/streams.ts';
import { startTraffic } from './traffic/traffic.ts';
import type { ObjectStore, SimNode, Simulation } from './types.ts';

export interface SimulationOptions {
  /** Where kubeconfig, SSH config, known_hosts and the client key go. @default a new temporary folder, removed by `stop` */
  directory?: string;
  /** Simulated seconds in a real one, instead of the scenario's. */
  speed?: number;
  /** Of everything that is left to chance, instead of the scenario's. */
  seed?: number;
  /** Real ms for the nodes to come up, and again for what runs on them; both at full speed. @default 60000 */
  bootTimeoutMs?: number;
}

const SETTLE_TIMEOUT_MS = 60_000;

/**
 * Runs a cluster: control plane, nodes, network, traffic, with an HTTP API and an SSH server for each node. It boots as
 * fast as it can, without the scenario's faults, and answers when everything is Ready; from then on time runs at the
 * scenario's speed.
 *
 * @param scenarioOrPath a scenario, the name of a shipped one (`six-nodes`), or the path of a YAML file
 * @throws CutoverError NotFound | PlanInvalid for the scenario; StepTimedOut when the cluster does not come up
 */
export async function startSimulation(
  scenarioOrPath: string | Scenario,
  options: SimulationOptions = {},
): Promise<Simulation> {
  const scenario = typeof scenarioOrPath === 'string' ? loadScenario(scenarioOrPath) : scenarioOrPath;
  const directory = await privateDirectory(options.directory);
  const clock = createClock({ speed: 0 });
  const random = createRandom(options.seed ?? scenario.seed);
  const faults = createFaults();
  const store = createObjectStore(clock, { serviceCidr: scenario.serviceNetwork });
  const stops: (() => void | Promise<void>)[] = [];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
    clock.stop();
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
  };

  try {
    seedSystem(store, scenario, clock);
    const { timing, underlayMtu, nodeNetwork, routers, subnetPrefix } = scenario;
    const subnets = subnetPrefix === undefined ? {} : { subnetPrefix };
    const world = createNodes({
      store,
      clock,
      timing,
      faults,
      random,
      underlayMtu,
      nodeNetwork,
      routers,
      ...subnets,
    });
    stops.push(world.stop);
    const machines = [...world.nodes.values()] as NodeControl[];
    const controllers = startControllers({
      store,
      clock,
      faults,
      random,
      isAlive: world.isAlive,
      nodeGraceMs: timing.nodeGrace[0],
    });
    stops.push(controllers.stop);
    world.start();
    const settle = (timeoutMs = SETTLE_TIMEOUT_MS) => settled(store, () => controllers.idle, timeoutMs);
    await settle(options.bootTimeoutMs);
    seedWorkloads(store, scenario);
    await settle(options.bootTimeoutMs);

    clock.setSpeed(options.speed ?? scenario.speed);
    const realLatency = () => (clock.speed === 0 ? 0 : scenario.latency.api / clock.speed);
    const api = await startApiServer({
      store,
      clock,
      kubelets: world.kubelets,
      faults: apiFaults(faults),
      latencyMs: realLatency,
    });
    stops.push(api.stop);
    const ssh = await startSshServers({ nodes: world.nodes, clock, faults, directory });
    stops.push(ssh.stop);
    const traffic = startTraffic({
      streams: planStreams(scenario, store),
      store,
      clock,
      dataPath: world.dataPath,
      nodes: world.nodes,
      onChange: networkChanges(store, machines),
    });
    stops.push(traffic.stop);
    const control = await startControlServer({ faults, nodes: world.nodes, traffic: traffic.report });
    stops.push(control.stop);

    for (const node of scenario.nodes) {
      const machine = world.nodes.get(node.name)!;
      machine.host.images = imagesOf(node, scenario);
      for (const [file, content] of Object.entries(node.leftoverConfs))
        machine.write(`/etc/cni/net.d/${file}`, content);
    }
    scenario.faults.forEach(faults.inject);
    stops.push(wearOffVxlanBlocked(faults, machines));
    return {
      server: api.url,
      kubeconfig: await writeKubeconfig(directory, scenario.name, api.url),
      sshConfig: await writeSshConfig(directory, sshTargets(scenario, world.nodes, ssh.ports), ssh.clientKeyPath),
      control: control.url,
      store,
      clock,
      nodes: world.nodes,
      dataPath: world.dataPath,
      node(name) {
        const node = world.nodes.get(name);
        if (node === undefined)
          throw new RangeError(`the simulation has no node ${name}; it has ${[...world.nodes.keys()].join(', ')}`);
        return node;
      },
      traffic: traffic.report,
      inject: faults.inject,
      clearFaults: faults.clear,
      settled: settle,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Tells of whatever a packet could notice: the nodes' own state, and which pods stand behind which address. */
function networkChanges(store: ObjectStore, nodes: readonly NodeControl[]) {
  return (listener: () => void) => {
    const stops = [
      ...['pods', 'services', 'endpointslices.discovery.k8s.io', 'networkpolicies.networking.k8s.io'].map((resource) =>
        store.watch(resource, listener),
      ),
      ...nodes.map((node) => node.onChange(listener)),
    ];
    return () => stops.forEach((stop) => stop());
  };
}

function sshTargets({ nodes }: Scenario, simulated: ReadonlyMap<string, SimNode>, ports: ReadonlyMap<string, number>) {
  return nodes.map(({ name, hostKeyChanged }) => ({
    name,
    port: ports.get(name)!,
    publicKey: hostKeyChanged ? generateHostKey().publicKey : simulated.get(name)!.hostKey.publicKey,
  }));
}
