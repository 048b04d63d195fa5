import type { KubernetesObject, ObjectStore } from '../types.ts';
import { selectorOf } from '../network/felix-selector.ts';
import { crd, type CalicoNodeFacts, type ClusterDirectory } from './directory.ts';

/** What confd renders for one node, as far as the model reads it. */
export interface BirdConfig {
  asNumber: number;
  routerId: string;
  peers: BirdPeer[];
  /** Pools whose routes go into the kernel: those without VXLAN. */
  kernel: string[];
  /** Pools that the kernel filter rejects: Felix handles VXLAN. */
  rejected: string[];
  /** Whether this node reflects routes. */
  reflects: boolean;
}

export interface BirdPeer {
  kind: 'Mesh' | 'Node' | 'Global';
  address: string;
  asNumber: number;
  /** Pools of which this peer is told nothing. */
  withheld: string[];
}

/** Calico's default AS number. */
const DEFAULT_AS = 64512;

/** What Calico's objects make of the BIRD of one node; undefined until the node has said its address. */
export function renderBirdConfig(
  store: ObjectStore,
  directory: ClusterDirectory,
  node: string,
): BirdConfig | undefined {
  const nodes = [...directory.calicoNodes.values()];
  const own = directory.calicoNodes.get(node);
  if (own === undefined) return undefined;
  const settings = store.get(crd('bgpconfigurations'), undefined, 'default')?.['spec'] ?? {};
  const asNumber = Number(settings.asNumber ?? DEFAULT_AS);
  const filters = new Map(store.list(crd('bgpfilters')).map((filter) => [filter.metadata.name, filter]));
  const peers: BirdPeer[] = [];
  const add = (kind: BirdPeer['kind'], address: string, as: number, withheld: string[] = []) => {
    if (address !== own.ip && peers.every((peer) => peer.address !== address))
      peers.push({ kind, address, asNumber: as, withheld });
  };
  if (settings.nodeToNodeMeshEnabled !== false && own.clusterId === '')
    for (const other of nodes) if (other.clusterId === '') add('Mesh', other.ip, asNumber);
  for (const { spec = {} } of store.list(crd('bgppeers'))) {
    const withheld = ((spec.filters ?? []) as string[]).flatMap((name) => rejectedBy(filters.get(name)));
    const speaks = (each: CalicoNodeFacts) =>
      spec.node === undefined ? selectorOf(spec.nodeSelector ?? '')(each.labels) : spec.node === each.node;
    const kind = spec.node === undefined && spec.nodeSelector === undefined ? 'Global' : 'Node';
    if (spec.peerIP !== undefined && speaks(own)) add(kind, spec.peerIP, Number(spec.asNumber ?? asNumber), withheld);
    if (spec.peerSelector === undefined) continue;
    const reflectors = nodes.filter((each) => selectorOf(spec.peerSelector ?? '')(each.labels));
    if (speaks(own)) for (const each of reflectors) add('Node', each.ip, asNumber, withheld);
    // The other end is told of the session, too.
    if (reflectors.includes(own)) for (const each of nodes.filter(speaks)) add('Node', each.ip, asNumber, withheld);
  }
  const pools = directory.pools();
  return {
    asNumber,
    routerId: own.ip,
    peers: peers.sort((a, b) => (a.address < b.address ? -1 : 1)),
    kernel: pools.filter(({ vxlan }) => !vxlan).map(({ cidr }) => cidr),
    rejected: pools.filter(({ vxlan }) => vxlan).map(({ cidr }) => cidr),
    reflects: own.clusterId !== '',
  };
}

const rejectedBy = (filter: KubernetesObject | undefined): string[] =>
  ((filter?.['spec']?.exportV4 ?? []) as { cidr: string; action: string }[])
    .filter(({ action }) => action === 'Reject')
    .map(({ cidr }) => cidr);
