import { createClock } from '../../src/simulator/clock.ts';
import { createSimNode } from '../../src/simulator/node/sim-node.ts';
import type { NodeControl } from '../../src/simulator/node/sim-node.ts';
import type { SimSandbox } from '../../src/simulator/types.ts';
import { confFiles, confNetwork, revertUnit } from '../../src/simulator/ssh/verbs/model.ts';
import { runVerb } from '../../src/simulator/ssh/verbs/run-verb.ts';
import type { Ended, Given, GivenSandbox, Host, HostKind } from './host.ts';

/** The models, on a bare SimNode with a runtime and a kubelet that do what the fakes of the real host do. */
export const modelHost: HostKind = { name: 'model', missing: '', open: (given) => Promise.resolve(openModel(given)) };

const killed = new Error('killed');

function openModel(given: Given): Host {
  const clock = createClock({ speed: 0 });
  const node = createSimNode(
    {
      name: 'worker-1',
      ip: '192.0.2.11',
      prefixLength: 24,
      gateway: '192.0.2.1',
      zone: 'a',
      kernel: '6.1.0',
      underlayMtu: 1500,
    },
    clock,
  );
  let kubelet = given.kubelet !== 'inactive';
  node.attach({
    loadedNetworks() {
      const [first] = confFiles(node);
      return first === undefined || given.deafRuntime ? [] : [confNetwork(node, first)];
    },
    removeSandbox: (id) => removeSandbox(node, id),
    kubelet: {
      get active() {
        return kubelet;
      },
      start: async () => void (kubelet = true),
      stop: async () => void (kubelet = false),
    },
  });
  fill(node, given);

  let fire: (() => Promise<void>) | undefined;
  const { startTimer } = node;
  node.startTimer = (unit, seconds, command, run) => {
    fire = run;
    startTimer(unit, seconds, command, run);
  };

  return {
    async run(verb, input, { killAt } = {}): Promise<Ended> {
      let effects = 0;
      try {
        const end = await runVerb(node, clock, verb, input, () => {
          effects += 1;
          if (effects === killAt) throw killed;
        });
        return { ...end, killed: false };
      } catch (error) {
        if (error !== killed) throw error;
        return { exitCode: 137, answer: {}, killed: true };
      }
    },
    state: async () => {
      const { exitCode, answer } = await runVerb(node, clock, 'inspect', {});
      if (exitCode !== 0) throw new Error(JSON.stringify(answer));
      return answer as unknown as ReturnType<NodeControl['state']>;
    },
    files: async () =>
      Object.fromEntries([...node.files].filter(([path]) => watched.some((folder) => path.startsWith(folder)))),
    rules: async () =>
      node.rules
        .map(({ backend, family, table, chain, text }) => `${backend} ${family} ${table} ${chain} ${text}`)
        .sort(),
    conntrack: async () => node.conntrack.map(({ state, dport }) => `${state} ${dport}`).sort(),
    async fireTimer() {
      const timer = node.timers.get(revertUnit);
      if (timer === undefined || fire === undefined) throw new Error('no timer is armed');
      timer.fired = true;
      await fire();
    },
    close: async () => {
      for (const timer of node.timers.values()) timer.cancel();
      clock.stop();
    },
  };
}

const watched = [
  '/etc/cni/net.d/',
  '/var/lib/cni/',
  '/run/flannel/',
  '/var/lib/cutover/',
  '/opt/cni/bin/flannel',
  '/opt/cni/bin/calico',
];

function fill(node: NodeControl, given: Given): void {
  node.rules = [...(given.rules ?? [])];
  Object.assign(node.host, {
    // The network namespace of a real host has none of these.
    listeners: [],
    sysctls: { ...given.sysctls },
    services: [...(given.services ?? [])],
    icmp: given.pathMtu !== undefined,
    ...(given.pathMtu === undefined ? {} : { pathMtu: given.pathMtu }),
    conntrackCount: given.conntrackTable?.count ?? 0,
    conntrackMax: given.conntrackTable?.max ?? 0,
    conntrackDrops: 0,
    images: [...(given.images ?? [])],
  });
  for (const [path, content] of Object.entries(given.files ?? {})) node.write(path, content);
  for (const { name, kind, master } of given.links ?? []) {
    node.links.set(name, {
      name,
      kind,
      mac: '0a:00:00:00:00:01',
      mtu: 1450,
      up: true,
      addresses: [],
      ...(kind === 'vxlan' ? { vni: 1, dstPort: 8472 } : {}),
      ...(master === undefined ? {} : { master }),
    });
  }
  node.routes = [
    ...node.routes,
    ...(given.routes ?? []).map((route) => ({ ...route, ...(route.type === 'unicast' ? { dev: 'eth0' } : {}) })),
  ];
  for (const name of given.ipsets ?? []) node.ipsets.add(name);
  const entry = (state: string) => (each: { dport: number }) => ({
    protocol: 'tcp' as const,
    state,
    src: '192.0.2.99',
    dst: '192.0.2.11',
    dport: each.dport,
  });
  node.conntrack = [
    ...(given.synSent ?? []).map(entry('SYN_SENT')),
    ...(given.established ?? []).map(entry('ESTABLISHED')),
    ...(given.translated ?? []).map(({ dport, to }) => ({
      ...entry('ESTABLISHED')({ dport }),
      realDst: to.split(':')[0]!,
      realPort: Number(to.split(':')[1]),
    })),
  ];
  const { late } = given;
  if (late)
    setTimeout(() => {
      node.conntrack = [...node.conntrack, entry('SYN_SENT')(late)];
      node.routes = [...node.routes, { dst: '198.51.100.0/26', type: 'unicast', proto: '80', dev: late.link }];
    }, 1_000);
  for (const sandbox of given.sandboxes ?? []) {
    node.sandboxes.set(sandbox.id, toSandbox(sandbox));
    if (sandbox.lease !== undefined) node.write(`/var/lib/cni/networks/cbr0/${sandbox.lease}`, `${sandbox.id}\r\neth0`);
    if (sandbox.link !== undefined) {
      const master = sandbox.cni === 'cbr0' && node.links.has('cni0') ? { master: 'cni0' } : {};
      node.links.set(sandbox.link, {
        name: sandbox.link,
        kind: 'veth',
        mac: '0a:00:00:00:00:02',
        mtu: 1450,
        up: true,
        addresses: [],
        ...master,
      });
    }
  }
}

function toSandbox({ id, pod, network, ready = true, cni = 'cbr0', lease = '', link = '' }: GivenSandbox): SimSandbox {
  const [namespace = '', name = ''] = pod.split('/');
  return {
    id,
    pod: { namespace, name, uid: id },
    network,
    cni: network === 'POD' ? cni : '',
    ip: lease,
    link,
    running: ready,
    hostPorts: [],
  };
}

/** CNI DEL through the conf that is loaded now. */
async function removeSandbox(node: NodeControl, id: string): Promise<void> {
  const sandbox = node.sandboxes.get(id);
  if (sandbox === undefined) return;
  if (sandbox.network === 'POD') {
    const [loaded] = node.loadedNetworks;
    if (loaded === 'cutover-fence') throw new Error('failed to find plugin "cutover-fence" in path [/opt/cni/bin]');
    if (loaded === sandbox.cni) node.unlink(`/var/lib/cni/networks/cbr0/${sandbox.ip}`);
    node.deleteLink(sandbox.link);
  }
  node.sandboxes.delete(id);
}
