import { describe, expect, it } from 'vitest';
import {
  blockSizeFor,
  clusterIdentity,
  identityOf,
  nodeAnnotations,
  nodeIdentity,
} from '../../activities/flannel-identity.ts';
import { within } from '../../src/checks/cidr.ts';
import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { nodeObject } from './world.ts';

const identity = { name: 'n1', podCIDR: '10.244.1.0/24', vtepMac: '0e:00:00:00:00:01', publicIp: '10.99.0.1' };
const find = (objects: KubernetesObject[], kind: string, name: string): KubernetesObject =>
  objects.find((each) => each.kind === kind && each.metadata.name === name)!;

it('reads the identity of a node from what flanneld wrote on it', () => {
  expect(identityOf(nodeObject('n1', 1))).toEqual(identity);
});

it.each([
  ['no podCIDR', (node: KubernetesObject) => void delete node['spec'].podCIDR, 'spec.podCIDR'],
  [
    'no public IP',
    (node: KubernetesObject) => void delete node.metadata.annotations!['flannel.alpha.coreos.com/public-ip'],
    'public-ip',
  ],
  [
    'no VTEP MAC',
    (node: KubernetesObject) => void (node.metadata.annotations!['flannel.alpha.coreos.com/backend-data'] = 'null'),
    'VtepMAC',
  ],
])('refuses a node with %s, by name', (_name, change, words) => {
  const node = nodeObject('n1', 1);
  change(node);

  expect(() => identityOf(node)).toThrow(
    expect.objectContaining({
      type: 'DriftFound',
      message: expect.stringMatching(new RegExp(`^node n1 lacks .*${words}`)),
    }),
  );
});

it('describes pool, Felix and address management as Flannel has them', () => {
  const { pool, felix, ipam } = clusterIdentity(
    { cidr: '10.244.0.0/16', vni: 1, port: 8472, mtu: 1450, masquerade: true },
    26,
  );

  expect(pool).toEqual({
    apiVersion: 'crd.projectcalico.org/v1',
    kind: 'IPPool',
    metadata: { name: 'default-ipv4-ippool' },
    spec: {
      cidr: '10.244.0.0/16',
      blockSize: 26,
      natOutgoing: true,
      ipipMode: 'Never',
      vxlanMode: 'Always',
      nodeSelector: 'all()',
      allowedUses: ['Workload', 'Tunnel'],
    },
  });
  expect(felix).toMatchObject({
    metadata: { name: 'default' },
    spec: { vxlanVNI: 1, vxlanPort: 8472, vxlanMTU: 1450 },
  });
  expect(ipam).toMatchObject({
    metadata: { name: 'default' },
    spec: { strictAffinity: true, autoAllocateBlocks: true, maxBlocksPerHost: 0 },
  });
});

describe('a node of /24', () => {
  const objects = nodeIdentity(identity, 26);

  it('has four blocks with confirmed affinities, and one handle', () => {
    expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      'BlockAffinity n1-10-244-1-0-26',
      'IPAMHandle vxlan-tunnel-addr-n1',
      'IPAMBlock 10-244-1-0-26',
      'BlockAffinity n1-10-244-1-64-26',
      'IPAMBlock 10-244-1-64-26',
      'BlockAffinity n1-10-244-1-128-26',
      'IPAMBlock 10-244-1-128-26',
      'BlockAffinity n1-10-244-1-192-26',
      'IPAMBlock 10-244-1-192-26',
    ]);
    expect(find(objects, 'BlockAffinity', 'n1-10-244-1-64-26')['spec']).toEqual({
      cidr: '10.244.1.64/26',
      node: 'n1',
      state: 'confirmed',
      deleted: 'false',
    });
  });

  it('has its tunnel address as the first of its first block', () => {
    expect(find(objects, 'IPAMBlock', '10-244-1-0-26')['spec']).toEqual({
      cidr: '10.244.1.0/26',
      affinity: 'host:n1',
      allocations: [0, ...Array.from({ length: 63 }, () => null)],
      unallocated: Array.from({ length: 63 }, (_, index) => index + 1),
      attributes: [{ handle_id: 'vxlan-tunnel-addr-n1', secondary: { node: 'n1', type: 'vxlanTunnelAddress' } }],
      sequenceNumber: 1,
      sequenceNumberForAllocation: { '0': 0 },
      deleted: false,
      strictAffinity: false,
    });
    expect(find(objects, 'IPAMHandle', 'vxlan-tunnel-addr-n1')['spec']).toEqual({
      handleID: 'vxlan-tunnel-addr-n1',
      block: { '10.244.1.0/26': 1 },
      deleted: false,
    });
    expect(nodeAnnotations(identity)).toEqual({
      'projectcalico.org/IPv4Address': '10.99.0.1/32',
      'projectcalico.org/IPv4VXLANTunnelAddr': '10.244.1.0',
      'projectcalico.org/VXLANTunnelMACAddr': '0e:00:00:00:00:01',
    });
  });

  it('has nothing allocated in its other blocks', () => {
    expect(find(objects, 'IPAMBlock', '10-244-1-192-26')['spec']).toMatchObject({
      allocations: Array.from({ length: 64 }, () => null),
      unallocated: Array.from({ length: 64 }, (_, index) => index),
      attributes: [],
    });
  });
});

it.each([
  [['10.244.1.0/24'], 26],
  [['10.244.1.0/26'], 26],
  [['10.244.1.0/24', '10.244.2.0/28'], 28],
])('divides %j into blocks of /%i', (cidrs, size) => {
  expect(blockSizeFor(cidrs)).toBe(size);
});

it('makes one block of a podCIDR that is one', () => {
  expect(nodeIdentity({ ...identity, podCIDR: '10.244.1.16/28' }, 28).map(({ metadata }) => metadata.name)).toEqual([
    'n1-10-244-1-16-28',
    'vxlan-tunnel-addr-n1',
    '10-244-1-16-28',
  ]);
});

it('refuses what is no IPv4 network', () => {
  expect(() => nodeIdentity({ ...identity, podCIDR: 'fd00::/64' }, 26)).toThrow('"fd00::/64" is no IPv4 network');
});

it.each([
  ['10.244.1.64/26', '10.244.0.0/16', true],
  ['10.244.0.0/16', '10.244.0.0/16', true],
  ['10.245.0.0/26', '10.244.0.0/16', false],
  ['10.244.0.0/15', '10.244.0.0/16', false],
  ['200.1.1.0/26', '200.1.0.0/16', true],
  ['200.1.1.7', '200.1.0.0/16', true],
  ['fd00::/64', '200.1.0.0/16', false],
])('%s within %s: %s', (inner, outer, expected) => {
  expect(within(inner, outer)).toBe(expected);
});
