import type { NodeControl } from '../node/sim-node.ts';
import type { FaultRegistry } from '../scenario/faults.ts';
import type { SimLink, SimRoute, SimSandbox } from '../types.ts';
import { droppedBy, type DropRule, type Header } from './firewall.ts';
import { viewNode, type NodeView } from './node-view.ts';

/** Where a packet got to: a pod, a host (no sandbox), or out of the cluster (no node). */
export interface Arrival {
  lost?: undefined;
  node: NodeControl | undefined;
  sandbox: SimSandbox | undefined;
  /** Device by which it left the first node; `` when it stayed there. */
  device: string;
  encapsulated: boolean;
}

export interface Loss {
  /** Place and reason: `worker-2: blackhole route 10.244.2.0/26`. */
  lost: string;
}

/** Outer Ethernet, IP, UDP and VXLAN headers on an IPv4 underlay, in bytes. */
const VXLAN_OVERHEAD = 50;
const MAX_HOPS = 4;
const ETHERNET_BYTES = 14;
const UNDERLAY = 'eth0';

export interface Walker {
  view(node: NodeControl): NodeView;
  /** From the node's own stack. */
  fromHost(node: NodeControl, destination: string, bytes: number): Arrival | Loss;
  /** From a pod's interface. */
  fromPod(node: NodeControl, sandbox: SimSandbox, destination: string, bytes: number): Arrival | Loss;
  /** From a node or a client outside to a node's own address. */
  toNodeAddress(address: string, bytes: number): Arrival | Loss;
  /** Why the packet filter of a node takes no such packet in (PREROUTING) or lets none out of the node itself (OUTPUT). */
  filtered(node: NodeControl, chain: DropRule['chain'], header: Header): Loss | undefined;
  topologyChanged(): void;
  /** How the devices count what is followed from now on: so many frames alike, and of that size when it is given. */
  countAs(times: number, bytes?: number): void;
}

export interface WalkerOptions {
  nodes(): NodeControl[];
  faults: FaultRegistry;
  /** Whether the underlay would have to carry a pod's address. */
  isPodAddress(address: string): boolean;
  /** Whether the routers of the underlay have learnt a pod's address. */
  routerKnows?(address: string): NodeControl | undefined;
}

/** Follows one packet of a given size through routes, bridges, tunnels and the underlay, as the nodes' state has it. */
export function createWalker({ nodes, faults, isPodAddress, routerKnows }: WalkerOptions): Walker {
  const views = new Map<NodeControl, NodeView>();
  let byAddress: Map<string, NodeControl> | undefined;
  let counted: { times: number; bytes?: number } = { times: 1 };

  const count = (node: NodeControl, link: string, direction: 'rx' | 'tx', bytes: number, overhead = 0) =>
    node.count(link, direction, (counted.bytes ?? bytes) + overhead + ETHERNET_BYTES, counted.times);

  const nodeAt = (address: string) => (byAddress ??= new Map(nodes().map((node) => [node.ip, node]))).get(address);

  function view(node: NodeControl): NodeView {
    let found = views.get(node);
    if (found === undefined || found.generation !== node.generation) views.set(node, (found = viewNode(node)));
    return found;
  }

  const lost = (node: NodeControl, reason: string): Loss => ({ lost: `${node.name}: ${reason}` });
  const tooBig = (node: NodeControl, bytes: number, link: { name: string; mtu: number }) =>
    lost(node, `message too long: ${bytes} bytes do not fit ${link.name} with MTU ${link.mtu}`);

  function filtered(node: NodeControl, chain: DropRule['chain'], header: Header): Loss | undefined {
    const rule = droppedBy(view(node).drops, chain, header);
    return rule && lost(node, `a packet filter drops it: ${rule.text}`);
  }

  function forward(node: NodeControl, destination: string, bytes: number, hops: number): Arrival | Loss {
    const seen = view(node);
    if (seen.isLocal(destination)) return { node, sandbox: undefined, device: '', encapsulated: false };
    if (hops > MAX_HOPS) return lost(node, `routing loop for ${destination}`);
    const route = seen.lookUp(destination);
    if (route === undefined) return lost(node, `no route to ${destination}`);
    if (route.type === 'blackhole') return lost(node, `blackhole route ${route.dst}`);
    const link = seen.links.get(route.dev ?? '');
    if (link === undefined || !link.up)
      return lost(node, `link ${route.dev} is ${link === undefined ? 'missing' : 'down'}`);
    if (bytes > link.mtu) return tooBig(node, bytes, link);
    if (link.kind === 'vxlan') return tunnel(node, link, route, destination, bytes, hops);
    if (link.kind === 'bridge' || link.kind === 'veth') return deliver(node, link, destination, bytes);
    return underlay(node, route, destination, bytes, hops);
  }

  function deliver(node: NodeControl, link: SimLink, destination: string, bytes: number): Arrival | Loss {
    const seen = view(node);
    const sandbox = seen.sandboxOn(link.name, destination);
    if (sandbox === undefined) return lost(node, `no pod with ${destination} on ${link.name}`);
    const veth = seen.links.get(sandbox.link)!;
    if (bytes > veth.mtu) return tooBig(node, bytes, veth);
    if (!sandbox.running)
      return lost(node, `connection refused: pod ${sandbox.pod.namespace}/${sandbox.pod.name} is not running`);
    return { node, sandbox, device: link.name, encapsulated: false };
  }

  function tunnel(
    node: NodeControl,
    link: SimLink,
    route: SimRoute,
    destination: string,
    bytes: number,
    hops: number,
  ): Arrival | Loss {
    const vtep = route.via ?? destination;
    const mac = link.neighbours?.get(vtep);
    if (mac === undefined) return lost(node, `${link.name} has no neighbour entry for ${vtep}`);
    const remote = link.fdb?.get(mac);
    if (remote === undefined) return lost(node, `${link.name} has no FDB entry for ${mac}`);
    const { vni = 0, dstPort = 0 } = link;
    count(node, link.name, 'tx', bytes);
    const arrived = carry(node, remote, bytes, dstPort);
    if (typeof arrived === 'string') return { lost: arrived };
    const device = view(arrived).vxlan.find((each) => each.vni === vni && each.dstPort === dstPort);
    if (device === undefined) return lost(arrived, `no VXLAN device for VNI ${vni} on UDP port ${dstPort}`);
    if (device.mac !== mac)
      return lost(arrived, `${device.name} drops frames for ${mac}: its own address is ${device.mac}`);
    count(arrived, device.name, 'rx', bytes);
    const onward = forward(arrived, destination, bytes, hops + 1);
    return onward.lost === undefined ? { ...onward, device: link.name, encapsulated: true } : onward;
  }

  function underlay(
    node: NodeControl,
    route: SimRoute,
    destination: string,
    bytes: number,
    hops: number,
  ): Arrival | Loss {
    const device = route.dev ?? '';
    const target = nodeAt(destination);
    if (target !== undefined) {
      const arrived = carry(node, destination, bytes);
      return typeof arrived === 'string'
        ? { lost: arrived }
        : { node: arrived, sandbox: undefined, device, encapsulated: false };
    }
    if (route.via !== undefined && nodeAt(route.via) !== undefined) {
      const arrived = carry(node, route.via, bytes);
      if (typeof arrived === 'string') return { lost: arrived };
      const onward = forward(arrived, destination, bytes, hops + 1);
      return onward.lost === undefined ? { ...onward, device } : onward;
    }
    // Sent to a router: it carries what a peering has told it of, and drops other pod addresses.
    const behind = isPodAddress(destination) ? routerKnows?.(destination) : undefined;
    if (behind !== undefined) {
      const arrived = carry(node, behind.ip, bytes);
      if (typeof arrived === 'string') return { lost: arrived };
      const onward = forward(arrived, destination, bytes, hops + 1);
      return onward.lost === undefined ? { ...onward, device } : onward;
    }
    if (isPodAddress(destination))
      return lost(node, `the underlay has no route to pod address ${destination} (sent by ${device})`);
    count(node, device, 'tx', bytes);
    return { node: undefined, sandbox: undefined, device, encapsulated: false };
  }

  /**
   * Takes a packet across the underlay; inside another one when `vxlanPort` is given.
   * @returns the node that has the address, or why nobody got it
   */
  function carry(from: NodeControl, address: string, inner: number, vxlanPort?: number): NodeControl | string {
    const overhead = vxlanPort === undefined ? 0 : VXLAN_OVERHEAD;
    const bytes = inner + overhead;
    const to = nodeAt(address);
    count(from, UNDERLAY, 'tx', inner, overhead);
    if (to === undefined || !to.powered) return `${address}: no answer on the underlay`;
    const mtu = Math.min(from.underlayMtu, to.underlayMtu);
    if (bytes > mtu) return `${from.name}: ${bytes} bytes do not fit the underlay's MTU of ${mtu}`;
    for (const node of [from, to]) {
      const hole = faults.peek('mtu-hole', node.name);
      if (hole !== undefined && bytes > Number(hole['bytes'] ?? 1400))
        return `${node.name}: the underlay drops packets of ${bytes} bytes in silence`;
      if (vxlanPort !== undefined && blocksVxlan(node)) return `${node.name}: a firewall drops VXLAN on the underlay`;
    }
    if (vxlanPort === undefined) {
      count(to, UNDERLAY, 'rx', inner);
      return to;
    }
    const header = { source: from.ip, destination: address, protocol: 'udp', port: vxlanPort, bytes };
    const dropped = filtered(from, 'OUTPUT', header) ?? filtered(to, 'PREROUTING', header);
    if (dropped === undefined) count(to, UNDERLAY, 'rx', inner, overhead);
    return dropped?.lost ?? to;
  }

  function blocksVxlan(node: NodeControl): boolean {
    const fault = faults.peek('vxlan-blocked', node.name);
    return fault !== undefined && (fault['when'] === 'always' || view(node).links.has('vxlan.calico'));
  }

  return {
    view,
    filtered,
    fromHost: (node, destination, bytes) => forward(node, destination, bytes, 0),
    fromPod(node, sandbox, destination, bytes) {
      const seen = view(node);
      const veth = seen.links.get(sandbox.link);
      if (veth === undefined || !veth.up)
        return lost(node, `the veth of ${sandbox.pod.namespace}/${sandbox.pod.name} is gone`);
      if (bytes > veth.mtu) return tooBig(node, bytes, { name: 'eth0', mtu: veth.mtu });
      const isBridged = sandbox.cni !== 'k8s-pod-network';
      if (isBridged) {
        const bridge = veth.master === undefined ? undefined : seen.links.get(veth.master);
        if (bridge === undefined || !bridge.up)
          return lost(node, `the bridge of ${sandbox.pod.namespace}/${sandbox.pod.name} is gone`);
        // On one bridge it is layer 2: no route is asked.
        if (seen.sandboxOn(bridge.name, destination) !== undefined) return deliver(node, bridge, destination, bytes);
      }
      return forward(node, destination, bytes, 0);
    },
    toNodeAddress(address, bytes) {
      const node = nodeAt(address);
      if (node === undefined || !node.powered) return { lost: `${address}: no answer on the underlay` };
      if (bytes > node.underlayMtu)
        return lost(node, `${bytes} bytes do not fit the underlay's MTU of ${node.underlayMtu}`);
      const hole = faults.peek('mtu-hole', node.name);
      if (hole !== undefined && bytes > Number(hole['bytes'] ?? 1400))
        return lost(node, `the underlay drops packets of ${bytes} bytes in silence`);
      count(node, UNDERLAY, 'rx', bytes);
      return { node, sandbox: undefined, device: UNDERLAY, encapsulated: false };
    },
    countAs(times, bytes) {
      counted = bytes === undefined ? { times } : { times, bytes };
    },
    topologyChanged() {
      byAddress = undefined;
      for (const node of views.keys()) if (!nodes().includes(node)) views.delete(node);
    },
  };
}
