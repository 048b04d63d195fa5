import { addressAt, parseCidr, type Cidr } from '../scenario/address.ts';
import { selectorOf } from '../network/felix-selector.ts';
import type { KubernetesObject, ObjectStore, SimRoute } from '../types.ts';

/** A node as flanneld reads it from another node's annotations. */
export interface FlannelPeer {
  node: string;
  publicIp: string;
  mac: string;
  /** Address 0 of the pod network of the node. */
  vtep: string;
  cidr: Cidr;
  /** `10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink`: one object for the whole cluster. */
  route: SimRoute;
}

/** A node as Felix reads it, whichever CNI it runs. */
export interface CalicoPeer {
  node: string;
  ip: string;
  vtep: string;
  mac: string;
}

/** What Calico's node object says of a node, whether it has a tunnel or not. */
export interface CalicoNodeFacts {
  node: string;
  ip: string;
  /** `10.99.0.11/16`: what CrossSubnet compares by. */
  address: string;
  /** Of a route reflector; `` for others. */
  clusterId: string;
  labels: { [key: string]: string };
}

export interface CalicoPool {
  name: string;
  cidr: string;
  blockSize: number;
  natOutgoing: boolean;
  vxlan: boolean;
  mode: 'Always' | 'CrossSubnet' | 'Never';
  /** Gives out no address any more; routes to those that it gave stay. */
  disabled: boolean;
  uses: readonly PoolUse[];
  /** Whether its nodeSelector selects a node with these labels. */
  selects(labels: { [key: string]: string }): boolean;
}

/** What a pool may give addresses to: `allowedUses`. */
export type PoolUse = 'Workload' | 'Tunnel';

/**
 * What the agents of all nodes watch, read once for all of them: node annotations, pools, blocks and Felix's settings.
 * Route objects are shared between nodes: 500 nodes with four blocks each have a million routes.
 */
export interface ClusterDirectory {
  flannelPeers: ReadonlyMap<string, FlannelPeer>;
  calicoPeers: ReadonlyMap<string, CalicoPeer>;
  calicoNodes: ReadonlyMap<string, CalicoNodeFacts>;
  /** CIDR -> node that owns the block. */
  blocks: ReadonlyMap<string, string>;
  blocksOf(node: string): readonly string[];
  pools(): readonly CalicoPool[];
  felix(): { vxlanEnabled: boolean; vni: number; port: number; mtu: number };
  calicoRoute(block: string, vtep: string): SimRoute;
  /** Felix's route without a tunnel, within a subnet. */
  plainRoute(block: string, nodeIp: string): SimRoute;
  /** BIRD's route in the kernel. */
  birdRoute(block: string, nextHop: string): SimRoute;
  onFlannelChange(listener: (node: string) => void): () => void;
  onCalicoChange(listener: () => void): () => void;
  stop(): void;
}

const flannelPrefix = 'flannel.alpha.coreos.com/';
export const calicoPrefix = 'projectcalico.org/';
export const crd = (plural: string) => `${plural}.crd.projectcalico.org`;

export function createDirectory(store: ObjectStore): ClusterDirectory {
  const flannelPeers = new Map<string, FlannelPeer>();
  const calicoPeers = new Map<string, CalicoPeer>();
  const calicoNodes = new Map<string, CalicoNodeFacts>();
  const blocks = new Map<string, string>();
  const byNode = new Map<string, Set<string>>();
  const routes = new Map<string, SimRoute>();
  const flannelListeners = new Set<(node: string) => void>();
  const calicoListeners = new Set<() => void>();
  let pools: CalicoPool[] | undefined;

  const tellCalico = () => calicoListeners.forEach((tell) => tell());

  function takeNode(object: KubernetesObject, gone: boolean) {
    const { name } = object.metadata;
    if (replace(flannelPeers, name, gone ? undefined : flannelPeer(object)))
      flannelListeners.forEach((tell) => tell(name));
    const facts = replace(calicoNodes, name, gone ? undefined : calicoNode(object));
    if (replace(calicoPeers, name, gone ? undefined : calicoPeer(object)) || facts) tellCalico();
  }

  function takeBlock({ spec }: KubernetesObject, gone: boolean) {
    const cidr = String(spec?.cidr);
    const owner =
      gone || !spec?.affinity?.startsWith('host:') ? undefined : String(spec.affinity).slice('host:'.length);
    const before = blocks.get(cidr);
    if (owner === before) return;
    if (before !== undefined) byNode.get(before)?.delete(cidr);
    if (owner === undefined) blocks.delete(cidr);
    else {
      blocks.set(cidr, owner);
      if (!byNode.has(owner)) byNode.set(owner, new Set());
      byNode.get(owner)!.add(cidr);
    }
    tellCalico();
  }

  const isGone = (type: string) => type === 'DELETED';
  store.list('nodes').forEach((each) => takeNode(each, false));
  store.list(crd('ipamblocks')).forEach((each) => takeBlock(each, false));
  const stops = [
    store.watch('nodes', ({ type, object }) => takeNode(object, isGone(type))),
    store.watch(crd('ipamblocks'), ({ type, object }) => takeBlock(object, isGone(type))),
    store.watch(crd('ippools'), () => {
      pools = undefined;
      tellCalico();
    }),
    store.watch(crd('felixconfigurations'), tellCalico),
  ];

  const readPools = () =>
    (pools ??= store.list(crd('ippools')).map(({ metadata, spec }) => ({
      name: metadata.name,
      cidr: spec.cidr,
      blockSize: spec.blockSize ?? 26,
      natOutgoing: spec.natOutgoing === true,
      vxlan: (spec.vxlanMode ?? 'Never') !== 'Never',
      mode: (spec.vxlanMode ?? 'Never') as CalicoPool['mode'],
      disabled: spec.disabled === true,
      uses: spec.allowedUses ?? ['Workload', 'Tunnel'],
      selects: selectorOf(spec.nodeSelector ?? 'all()'),
    })));

  function shared(key: string, make: () => SimRoute): SimRoute {
    let route = routes.get(key);
    if (route === undefined) routes.set(key, (route = Object.freeze(make())));
    return route;
  }

  return {
    flannelPeers,
    calicoPeers,
    calicoNodes,
    blocks,
    blocksOf: (node) => [...(byNode.get(node) ?? [])].sort(),
    pools: readPools,
    felix() {
      const spec = store.get(crd('felixconfigurations'), undefined, 'default')?.['spec'] ?? {};
      return {
        // Felix takes VXLAN as wanted when any pool asks for it, unless the setting says otherwise.
        vxlanEnabled: spec.vxlanEnabled ?? readPools().some(({ vxlan }) => vxlan),
        vni: spec.vxlanVNI ?? 4096,
        port: spec.vxlanPort ?? 4789,
        mtu: spec.vxlanMTU ?? 0,
      };
    },
    calicoRoute: (block, vtep) =>
      shared(`${block} ${vtep}`, () => ({
        dst: block,
        via: vtep,
        dev: 'vxlan.calico',
        // Not 80: that is for blackholes and routes without a tunnel (measured: 3.28.5).
        proto: 'boot',
        type: 'unicast',
        onlink: true,
      })),
    plainRoute: (block, nodeIp) =>
      shared(`plain ${block} ${nodeIp}`, () => ({
        dst: block,
        via: nodeIp,
        dev: 'eth0',
        proto: '80',
        type: 'unicast',
        onlink: true,
      })),
    birdRoute: (block, nextHop) =>
      shared(`bird ${block} ${nextHop}`, () => ({
        dst: block,
        via: nextHop,
        dev: 'eth0',
        proto: 'bird',
        type: 'unicast',
      })),
    onFlannelChange: (listener) => subscribe(flannelListeners, listener),
    onCalicoChange: (listener) => subscribe(calicoListeners, listener),
    stop: () => stops.forEach((stop) => stop()),
  };
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Whether the map says something else than before. */
function replace<V>(map: Map<string, V>, key: string, next: V | undefined): boolean {
  const before = map.get(key);
  if (JSON.stringify(before) === JSON.stringify(next)) return false;
  if (next === undefined) map.delete(key);
  else map.set(key, next);
  return true;
}

function flannelPeer({ metadata, spec }: KubernetesObject): FlannelPeer | undefined {
  const annotations = metadata.annotations ?? {};
  const publicIp = annotations[`${flannelPrefix}public-ip`];
  const mac = readMac(annotations[`${flannelPrefix}backend-data`]);
  const podCIDR = spec?.podCIDR as string | undefined;
  if (!publicIp || !mac || !podCIDR) return undefined;
  const cidr = parseCidr(podCIDR);
  const vtep = addressAt(cidr, 0);
  const route = Object.freeze<SimRoute>({
    dst: podCIDR,
    via: vtep,
    dev: 'flannel.1',
    proto: '',
    type: 'unicast',
    onlink: true,
  });
  return { node: metadata.name, publicIp, mac, vtep, cidr, route };
}

function readMac(backendData: string | undefined): string | undefined {
  try {
    return (JSON.parse(backendData ?? '{}') as { VtepMAC?: string }).VtepMAC;
  } catch {
    return undefined;
  }
}

function calicoPeer({ metadata }: KubernetesObject): CalicoPeer | undefined {
  const annotations = metadata.annotations ?? {};
  const ip = annotations[`${calicoPrefix}IPv4Address`]?.split('/')[0];
  const vtep = annotations[`${calicoPrefix}IPv4VXLANTunnelAddr`];
  const mac = annotations[`${calicoPrefix}VXLANTunnelMACAddr`];
  if (!ip || !vtep || !mac) return undefined;
  return { node: metadata.name, ip, vtep, mac };
}

function calicoNode({ metadata }: KubernetesObject): CalicoNodeFacts | undefined {
  const { annotations = {}, labels = {} } = metadata;
  const address = annotations[`${calicoPrefix}IPv4Address`];
  if (!address) return undefined;
  return {
    node: metadata.name,
    ip: address.split('/')[0]!,
    address,
    clusterId: annotations[`${calicoPrefix}RouteReflectorClusterID`] ?? '',
    labels,
  };
}
