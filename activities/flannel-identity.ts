import { parseCidr } from '../src/checks/cidr.ts';
import { CutoverError } from '../src/errors.ts';
import type { JsonObject } from '../src/json.ts';
import { kinds } from '../src/kubernetes/kinds.ts';
import type { KubernetesObject } from '../src/kubernetes/types.ts';

/**
 * What makes Calico take over each node's Flannel identity: pool, settings, and for each node its blocks, their
 * affinities, the tunnel address and three annotations. What Calico's flannel-migration controller does, written as
 * plain custom resources; `calicoctl ipam check` finds nothing wrong with them (§0a.1, §2.1 of the migration facts).
 */

const poolName = 'default-ipv4-ippool';
/** Calico's default block. A podCIDR that is smaller is one block. */
const smallestBlock = 26;

/** Flannel's network as the nodes have it: /run/flannel/subnet.env and the link flannel.1. */
export interface FlannelNetwork {
  /** FLANNEL_NETWORK: `10.244.0.0/16` */
  cidr: string;
  vni: number;
  /** UDP */
  port: number;
  /** Of flannel.1, bytes. */
  mtu: number;
  /** FLANNEL_IPMASQ */
  masquerade: boolean;
}

export interface NodeIdentity {
  name: string;
  podCIDR: string;
  vtepMac: string;
  publicIp: string;
}

const flannelAnnotation = 'flannel.alpha.coreos.com/';

/** @throws CutoverError DriftFound when flanneld has not written what it is on the node */
export function identityOf(node: KubernetesObject): NodeIdentity {
  const { name, annotations = {} } = node.metadata;
  const podCIDR = String(node['spec']?.podCIDR ?? '');
  const publicIp = annotations[`${flannelAnnotation}public-ip`] ?? '';
  const vtepMac = macOf(annotations[`${flannelAnnotation}backend-data`]);
  const missing = [
    podCIDR === '' && 'spec.podCIDR',
    publicIp === '' && `the annotation ${flannelAnnotation}public-ip`,
    vtepMac === '' && `VtepMAC in ${flannelAnnotation}backend-data`,
  ].filter((each) => each !== false);
  if (missing.length > 0) {
    throw new CutoverError(
      'DriftFound',
      `node ${name} lacks ${missing.join(' and ')}: Flannel's VXLAN does not run there`,
      {
        remedy: `look at the Flannel pod of ${name}`,
      },
    );
  }
  return { name, podCIDR, vtepMac, publicIp };
}

function macOf(backendData: string | undefined): string {
  try {
    return (JSON.parse(backendData ?? '') as { VtepMAC?: string }).VtepMAC ?? '';
  } catch {
    return '';
  }
}

export interface ClusterIdentity {
  pool: KubernetesObject;
  felix: KubernetesObject;
  ipam: KubernetesObject;
}

/**
 * Strict affinity keeps every Calico pod inside its own node's podCIDR: a borrowed address, or a fresh block outside
 * it, would be a duplicate for host-local or unreachable for nodes on Flannel (§2.1 step 4b).
 */
export const clusterIdentity = (
  { cidr, vni, port, mtu, masquerade }: FlannelNetwork,
  blockSize: number,
): ClusterIdentity => ({
  pool: object(kinds.ipPool, poolName, {
    cidr,
    blockSize,
    natOutgoing: masquerade,
    ipipMode: 'Never',
    vxlanMode: 'Always',
    nodeSelector: 'all()',
    allowedUses: ['Workload', 'Tunnel'],
  }),
  felix: object(kinds.felixConfiguration, 'default', { vxlanVNI: vni, vxlanPort: port, vxlanMTU: mtu }),
  ipam: object(kinds.ipamConfig, 'default', { strictAffinity: true, autoAllocateBlocks: true, maxBlocksPerHost: 0 }),
});

/** Of all podCIDRs: the block size that divides each of them. */
export const blockSizeFor = (podCIDRs: readonly string[]): number =>
  Math.max(smallestBlock, ...podCIDRs.map((cidr) => networkOf(cidr).prefix));

/** Affinities, blocks and the handle of the tunnel address of one node. */
export function nodeIdentity({ name, podCIDR }: NodeIdentity, blockSize: number): KubernetesObject[] {
  const size = 2 ** (32 - blockSize);
  const { first, prefix } = networkOf(podCIDR);
  const blocks = Array.from(
    { length: 2 ** (blockSize - prefix) },
    (_, index) => `${format(first + index * size)}/${blockSize}`,
  );
  return blocks.flatMap((cidr, index) => {
    const blockName = cidr.replaceAll(/[./]/g, '-');
    const affinity = object(kinds.blockAffinity, `${name}-${blockName}`, {
      cidr,
      node: name,
      state: 'confirmed',
      deleted: 'false',
    });
    if (index > 0) return [affinity, object(kinds.ipamBlock, blockName, emptyBlock(cidr, name, size))];
    const handleId = `vxlan-tunnel-addr-${name}`;
    const handle = object(kinds.ipamHandle, handleId, { handleID: handleId, block: { [cidr]: 1 }, deleted: false });
    // The VTEP address is the first of the podCIDR, as with Flannel.
    const taken = {
      ...emptyBlock(cidr, name, size),
      allocations: [0, ...nothing(size - 1)],
      unallocated: numbers(1, size),
      attributes: [{ handle_id: handleId, secondary: { node: name, type: 'vxlanTunnelAddress' } }],
      sequenceNumberForAllocation: { '0': 0 },
    };
    return [affinity, handle, object(kinds.ipamBlock, blockName, taken)];
  });
}

const emptyBlock = (cidr: string, node: string, size: number): JsonObject => ({
  cidr,
  affinity: `host:${node}`,
  allocations: nothing(size),
  unallocated: numbers(0, size),
  attributes: [],
  sequenceNumber: 1,
  sequenceNumberForAllocation: {},
  deleted: false,
  strictAffinity: false,
});

/** What Felix reads of a node before its own agent has run there once. */
export const nodeAnnotations = ({ podCIDR, vtepMac, publicIp }: NodeIdentity): { [key: string]: string } => ({
  'projectcalico.org/IPv4Address': `${publicIp}/32`,
  'projectcalico.org/IPv4VXLANTunnelAddr': format(networkOf(podCIDR).first),
  'projectcalico.org/VXLANTunnelMACAddr': vtepMac,
});

export const calicoAnnotations = [
  'projectcalico.org/IPv4Address',
  'projectcalico.org/IPv4VXLANTunnelAddr',
  'projectcalico.org/VXLANTunnelMACAddr',
];

const object = (kind: { apiVersion: string; kind: string }, name: string, spec: JsonObject): KubernetesObject => ({
  ...kind,
  metadata: { name },
  spec,
});
const nothing = (many: number): null[] => Array.from({ length: many }, () => null);
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

/** @throws CutoverError DriftFound for what is no IPv4 network */
function networkOf(cidr: string): { first: number; prefix: number } {
  const range = cidr.includes('/') ? parseCidr(cidr) : undefined;
  if (range === undefined) throw new CutoverError('DriftFound', `"${cidr}" is no IPv4 network`);
  return { first: range.start, prefix: range.bits };
}

const format = (address: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
