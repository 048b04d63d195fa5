import { createObjectStore } from '../../src/simulator/api/object-store.ts';
import { createClock } from '../../src/simulator/clock.ts';
import { isReady } from '../../src/simulator/controllers/pods.ts';
import { createNodes, type NodesOptions } from '../../src/simulator/node/create-nodes.ts';
import type { NodeControl } from '../../src/simulator/node/sim-node.ts';
import { addressAt, parseCidr } from '../../src/simulator/scenario/address.ts';
import { createFaults } from '../../src/simulator/scenario/faults.ts';
import { buildScenario } from '../../src/simulator/scenario/load.ts';
import type { ScenarioTiming } from '../../src/simulator/scenario/scenario.ts';
import type { KubernetesObject, Packet } from '../../src/simulator/types.ts';

/**
 * A few nodes driven by hand, straight on the store: no API server, no controllers. Time runs two hundred times as fast
 * as it does in a cluster; tests wait for conditions.
 */
const FLANNEL = 'ghcr.io/flannel-io/flannel:v0.28.9';
const AGNHOST = 'registry.k8s.io/e2e-test-images/agnhost:2.53';
const crd = (plural: string) => `${plural}.crd.projectcalico.org`;
const calicoVersion = 'crd.projectcalico.org/v1';
export const FENCE = '{"cniVersion":"0.3.1","name":"cutover-fence","plugins":[{"type":"cutover-fence"}]}';
export const CALICO_CONF = '/etc/cni/net.d/10-calico.conflist';

export interface PodOptions {
  labels?: { [key: string]: string };
  spec?: { [key: string]: unknown };
  container?: { [key: string]: unknown };
}

export type TestCluster = Awaited<ReturnType<typeof startCluster>>;

export async function startCluster({
  count = 3,
  speed = 200,
  pods = true,
  network = {},
  timing: other = {},
}: {
  count?: number;
  speed?: number;
  pods?: boolean;
  /** Subnets and routers of the underlay. */
  network?: Pick<NodesOptions, 'subnetPrefix' | 'routers'>;
  timing?: Partial<ScenarioTiming>;
} = {}) {
  const clock = createClock({ speed });
  const store = createObjectStore(clock);
  const faults = createFaults();
  const timing = { ...buildScenario({ name: 'test', nodes: [{ name: 'any' }] }).timing, ...other };
  const names = Array.from({ length: count }, (_, at) => `n${at + 1}`);
  names.forEach((name, at) =>
    store.create('nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': `z${at % 3}` } },
      spec: { podCIDR: `10.244.${at}.0/24` },
      status: { addresses: [{ type: 'InternalIP', address: `10.99.0.${11 + at}` }] },
    }),
  );
  const world = createNodes({ store, clock, timing, faults, ...network });

  const get = (name: string, namespace = 'default') => store.get('pods', namespace, name);
  const ready = (name: string, namespace = 'default') => {
    const found = get(name, namespace);
    return found !== undefined && isReady(found);
  };
  const node = (name: string) => world.nodes.get(name) as NodeControl;

  function pod(
    name: string,
    nodeName: string,
    { labels = {}, spec = {}, container = {} }: PodOptions = {},
    namespace = 'default',
  ): KubernetesObject {
    return store.create('pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels },
      spec: {
        nodeName,
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'main',
            image: AGNHOST,
            args: ['netexec', '--http-port=8080', '--udp-port=8081'],
            readinessProbe: { httpGet: { path: '/hostname', port: 8080 } },
            ...container,
          },
        ],
        ...spec,
      },
    });
  }

  const agentSpec = (image: string, init: string[]) => ({
    hostNetwork: true,
    initContainers: init.map((name) => ({ name, image })),
    tolerations: [{ operator: 'Exists' }],
  });

  function flannel(nodeName: string) {
    return pod(
      `flannel-${nodeName}`,
      nodeName,
      {
        labels: { app: 'flannel' },
        spec: agentSpec(FLANNEL, ['install-cni-plugin', 'install-cni']),
        container: { name: 'kube-flannel', image: FLANNEL, args: [], readinessProbe: undefined },
      },
      'kube-flannel',
    );
  }

  function calico(nodeName: string, grace = 0, bird = false) {
    const image = 'docker.io/calico/node:v3.28.5';
    return pod(
      `calico-${nodeName}`,
      nodeName,
      {
        labels: { 'k8s-app': 'calico-node' },
        spec: { ...agentSpec('docker.io/calico/cni:v3.28.5', ['install-cni']), terminationGracePeriodSeconds: grace },
        container: {
          name: 'calico-node',
          image,
          args: [],
          readinessProbe: {
            exec: { command: ['/bin/calico-node', '-felix-ready', ...(bird ? ['-bird-ready'] : [])] },
          },
          env: [{ name: 'CALICO_NETWORKING_BACKEND', value: bird ? 'bird' : 'vxlan' }],
        },
      },
      'kube-system',
    );
  }

  const stopPod = async (name: string, namespace = 'default') => {
    store.delete('pods', namespace, name);
    await until(() => get(name, namespace) === undefined, `${name} is gone`);
  };

  function service(
    name: string,
    {
      clusterIP,
      nodePort,
      backends,
      port = 80,
      targetPort = 8080,
      sessionAffinity = 'None',
    }: {
      clusterIP: string;
      nodePort?: number;
      backends: string[];
      port?: number;
      targetPort?: number;
      sessionAffinity?: 'None' | 'ClientIP';
    },
  ) {
    if (store.get('services', 'default', name) === undefined) {
      store.create('services', {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: 'default' },
        spec: {
          type: nodePort ? 'NodePort' : 'ClusterIP',
          clusterIP,
          sessionAffinity,
          ports: [{ port, targetPort, protocol: 'TCP', ...(nodePort ? { nodePort } : {}) }],
        },
      });
      store.create('endpoints', { apiVersion: 'v1', kind: 'Endpoints', metadata: { name, namespace: 'default' } });
    }
    store.mutate('endpoints', 'default', name, (object) => {
      const addresses = backends.map((each) => ({
        ip: get(each)!['status'].podIP,
        nodeName: get(each)!['spec'].nodeName,
      }));
      object['subsets'] = [{ addresses, ports: [{ port: targetPort, protocol: 'TCP' }] }];
    });
  }

  /** What the migration writes before the first node: each node's Flannel identity as Calico's own (lab.md §3). */
  function adopt() {
    const create = (plural: string, kind: string, name: string, spec: object) =>
      store.create(crd(plural), { apiVersion: calicoVersion, kind, metadata: { name }, spec });
    create('ippools', 'IPPool', 'default-ipv4-ippool', {
      cidr: '10.244.0.0/16',
      blockSize: 26,
      natOutgoing: true,
      ipipMode: 'Never',
      vxlanMode: 'Always',
    });
    create('felixconfigurations', 'FelixConfiguration', 'default', { vxlanVNI: 1, vxlanPort: 8472, vxlanMTU: 1450 });
    create('ipamconfigs', 'IPAMConfig', 'default', { strictAffinity: true, autoAllocateBlocks: true });
    for (const name of names) {
      const object = store.get('nodes', undefined, name)!;
      const { base } = parseCidr(object['spec'].podCIDR);
      const vtep = addressAt({ base, length: 24 }, 0);
      for (let at = 0; at < 4; at += 1) {
        const cidr = `${addressAt({ base, length: 24 }, at * 64)}/26`;
        const id = cidr.replace(/[./]/g, '-');
        const handle = `vxlan-tunnel-addr-${name}`;
        const isFirst = at === 0;
        create('blockaffinities', 'BlockAffinity', `${name}-${id}`, {
          cidr,
          node: name,
          state: 'confirmed',
          deleted: 'false',
        });
        create('ipamblocks', 'IPAMBlock', id, {
          cidr,
          affinity: `host:${name}`,
          allocations: Array.from({ length: 64 }, (_, index) => (isFirst && index === 0 ? 0 : null)),
          unallocated: Array.from({ length: isFirst ? 63 : 64 }, (_, index) => index + (isFirst ? 1 : 0)),
          attributes: isFirst ? [{ handle_id: handle, secondary: { node: name, type: 'vxlanTunnelAddress' } }] : [],
          strictAffinity: false,
          deleted: false,
        });
        if (isFirst)
          create('ipamhandles', 'IPAMHandle', handle, { handleID: handle, block: { [cidr]: 1 }, deleted: false });
      }
      const data = JSON.parse(object.metadata.annotations!['flannel.alpha.coreos.com/backend-data']!) as {
        VtepMAC: string;
      };
      store.mutate('nodes', undefined, name, ({ metadata }) => {
        metadata.annotations = {
          ...metadata.annotations,
          'projectcalico.org/IPv4Address': `${object['status'].addresses[0].address}/32`,
          'projectcalico.org/IPv4VXLANTunnelAddr': vtep,
          'projectcalico.org/VXLANTunnelMACAddr': data.VtepMAC,
        };
      });
    }
  }

  const send = (from: string, to: string, more: Partial<Packet> = {}) =>
    world.dataPath.send({ from, to, port: 8080, protocol: 'tcp', bytes: 512, ...more });
  const ip = (name: string) => get(name)?.['status']?.podIP as string;
  const toPod = (from: string, to: string, more: Partial<Packet> = {}) => send(from, ip(to), more);

  const loaded = (nodeName: string, network: string) =>
    until(() => node(nodeName).loadedNetworks.join() === network, `${nodeName} has loaded ${network || 'nothing'}`);

  async function purge(nodeName: string) {
    const before = [...node(nodeName).sandboxes.values()];
    for (const { id, network } of before) if (network === 'POD') await node(nodeName).removeSandbox(id);
  }

  /** What the verb `clean-flannel` does. */
  function cleanFlannel(nodeName: string) {
    const machine = node(nodeName);
    machine.deleteLink('cni0');
    machine.deleteLink('flannel.1');
    machine.rules = machine.rules.filter(({ chain, text }) => !/FLANNEL-/.test(`${chain} ${text}`));
    for (const path of machine.files.keys()) if (path.startsWith('/var/lib/cni/networks/cbr0/')) machine.unlink(path);
  }

  /** What the verb `clean-calico` does; the parts that a rollback must not forget can be left out. */
  function cleanCalico(nodeName: string, { routes = true } = {}) {
    const machine = node(nodeName);
    if (routes) machine.routes = machine.routes.filter(({ proto, dev }) => proto !== '80' && dev !== 'vxlan.calico');
    for (const name of machine.links.keys())
      if (name === 'vxlan.calico' || name.startsWith('cali')) machine.deleteLink(name);
    machine.rules = machine.rules.filter(({ chain, text }) => !/cali[-:]/.test(`${chain} ${text}`));
    machine.ipsets.clear();
  }

  /** The right order for one node, as the route has it. */
  async function migrate(nodeName: string) {
    const machine = node(nodeName);
    await stopPod(`flannel-${nodeName}`, 'kube-flannel');
    await machine.kubelet.stop();
    await purge(nodeName);
    machine.write(CALICO_CONF, FENCE);
    await loaded(nodeName, 'cutover-fence');
    cleanFlannel(nodeName);
    await machine.kubelet.start();
    calico(nodeName);
    await until(() => ready(`calico-${nodeName}`, 'kube-system'), `calico-node on ${nodeName} is Ready`);
    await loaded(nodeName, 'k8s-pod-network');
    await until(() => machine.links.has('vxlan.calico'), 'vxlan.calico is there');
  }

  /** And back. */
  async function rollBack(nodeName: string, options: { routes?: boolean } = {}) {
    const machine = node(nodeName);
    await machine.kubelet.stop();
    await purge(nodeName);
    machine.write(CALICO_CONF, FENCE);
    await loaded(nodeName, 'cutover-fence');
    await machine.kubelet.start();
    await stopPod(`calico-${nodeName}`, 'kube-system');
    cleanCalico(nodeName, options);
    flannel(nodeName);
    await until(() => machine.links.has('flannel.1'), 'flannel.1 is back');
    machine.unlink(CALICO_CONF);
    machine.unlink('/etc/cni/net.d/calico-kubeconfig');
    await loaded(nodeName, 'cbr0');
  }

  world.start();
  names.forEach(flannel);
  const hasFlannel = ({ routes, loadedNetworks, files }: NodeControl) =>
    routes.filter(({ dev }) => dev === 'flannel.1').length === count - 1 &&
    loadedNetworks.join() === 'cbr0' &&
    files.has('/run/flannel/subnet.env');
  await until(() => names.every((name) => hasFlannel(node(name))), 'Flannel is up');
  if (pods) {
    for (const name of names)
      for (const suffix of ['a', 'b']) pod(`${suffix}-${name}`, name, { labels: { app: suffix } });
    await until(() => names.every((name) => ready(`a-${name}`) && ready(`b-${name}`)), 'pods are Ready');
  }

  return {
    clock,
    store,
    faults,
    world,
    names,
    node,
    pod,
    get,
    ready,
    ip,
    flannel,
    calico,
    stopPod,
    service,
    adopt,
    send,
    toPod,
    loaded,
    purge,
    cleanFlannel,
    cleanCalico,
    migrate,
    rollBack,
    stop() {
      world.stop();
      clock.stop();
    },
  };
}

/** Waits for a condition; says what it waited for when it never comes. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
