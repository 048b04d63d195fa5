import { createKubernetesClient } from '../../src/kubernetes/client.ts';
import { startSimulation } from '../../src/simulator/simulate.ts';
import type { SimHost, SimNode, SimRoute } from '../../src/simulator/types.ts';
import { until } from '../support/until.ts';
import type { HostCase } from './cases.ts';
import {
  damageObjects,
  firstPartner,
  leftoverConf,
  otherMac,
  plannedNode,
  restartFlannel,
  rulesOf,
  type Damage,
  type Mend,
  type Rule,
  type Site,
} from './damages.ts';
import { inspectThrough, planNodes, sshTo, startProbes, type CheckTarget } from './target.ts';

export interface SimulatedTarget extends CheckTarget {
  /** Makes the machine what the case says. Answers the way back. */
  setHost(one: HostCase): Mend;
}

/** A simulated cluster, asked through the real clients: HTTP to the API, SSH to the nodes, exec in pods. */
export async function simulatedTarget(speed = 50): Promise<SimulatedTarget> {
  const simulation = await startSimulation('three-nodes', { speed });
  const { sshConfig, kubeconfig } = simulation;
  const kubernetes = createKubernetesClient({ kubeconfig, context: '' });
  const nodes = sshTo({ sshConfig });
  const planned = await planNodes(kubernetes, nodes);
  await startProbes(kubernetes, planned);

  /** The SSH servers are no state of a node. */
  const injected = (name: string, node: string): Mend => {
    simulation.inject({ name, nodes: [node] });
    return async () => simulation.clearFaults(name);
  };

  async function damage(name: Damage, node: string): Promise<Mend> {
    const site: Site = { node, kubernetes, planned, inspect: (each) => inspectThrough(nodes, each) };
    const machine = simulation.node(node);
    const rules = await rulesOf(name, site);
    if (rules !== undefined) return putRules(machine, rules);
    if (name === 'ssh-refused' || name === 'host-key-changed') return injected(name, node);
    return (await damageObjects(name, site)) ?? damageState(name, site, machine);
  }

  return {
    kubernetes,
    sshConfig,
    planned,
    patienceMs: 0,
    damage: async (name, node) => {
      const mend = await damage(name, node);
      return async () => {
        await mend();
        // Endpoints and rules follow a moment later.
        await simulation.clock.sleep(5_000);
      };
    },
    setHost: ({ node, host, link, rule }) => {
      const machine = simulation.node(node);
      const before = { ...machine.host };
      Object.assign(machine.host, host);
      if (link !== undefined)
        machine.links.set(link, { name: link, kind: 'device', mac: otherMac, mtu: 1500, up: true, addresses: [] });
      const mendRule =
        rule === undefined ? undefined : putRules(machine, [{ table: 'filter', chain: 'FORWARD', text: rule }]);
      return async () => {
        for (const key of Object.keys(host)) delete (machine.host as Partial<SimHost>)[key as keyof SimHost];
        Object.assign(machine.host, before);
        if (link !== undefined) machine.links.delete(link);
        await mendRule?.();
      };
    },
    stop: async () => {
      await nodes.close();
      await simulation.stop();
    },
  };
}

function putRules(machine: SimNode, rules: readonly Rule[]): Mend {
  const put = rules.map((rule) => ({ ...rule, backend: 'nft', family: 'ip' }) as const);
  machine.rules = [...put, ...machine.rules];
  return async () => {
    machine.rules = machine.rules.filter(
      (rule) => !put.some(({ chain, text }) => chain === rule.chain && text === rule.text),
    );
  };
}

/** What a person would do on the node with `ip` and `systemctl`, on the state that stands for it. */
async function damageState(name: Damage, site: Site, machine: SimNode): Promise<Mend> {
  const { podCIDR } = plannedNode(site).fingerprint;
  const withoutRoutes = (gone: (route: SimRoute) => boolean): void => {
    machine.routes = machine.routes.filter((route) => !gone(route));
  };
  switch (name) {
    case 'felix-blackholes': {
      const blocks = [0, 64, 128, 192].map((last) => podCIDR.replace('.0/24', `.${last}/26`));
      for (const dst of blocks) machine.routes.push({ dst, proto: '80', type: 'blackhole' });
      return async () => withoutRoutes(({ type }) => type === 'blackhole');
    }
    case 'route-missing': {
      const lost = machine.routes.find(({ dst }) => dst === firstPartner(site).fingerprint.podCIDR)!;
      withoutRoutes(({ dst }) => dst === lost.dst);
      return async () => void machine.routes.push(lost);
    }
    case 'flannel-link-deleted':
      machine.deleteLink('flannel.1');
      await until(() => machine.links.has('flannel.1'), 'flanneld brings flannel.1 back');
      return () => restartFlannel(site);
    case 'vtep-mac-changed': {
      const link = machine.links.get('flannel.1')!;
      const { mac } = link;
      link.mac = otherMac;
      return async () => void (link.mac = mac);
    }
    case 'leftover-conf': {
      const loads = (network: string) =>
        until(() => machine.loadedNetworks.join() === network, `the runtime has loaded ${network}`);
      machine.write(leftoverConf.path, leftoverConf.content);
      await loads(leftoverConf.network);
      return async () => {
        machine.unlink(leftoverConf.path);
        await loads('cbr0');
      };
    }
    case 'kubelet-stopped':
      await machine.kubelet.stop();
      return () => machine.kubelet.start();
    default:
      throw new Error(`nobody knows how to do ${name} to a simulated node`);
  }
}
