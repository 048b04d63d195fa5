import { contains, overlaps, parseCidr } from '../checks/cidr.ts';
import { CutoverError } from '../errors.ts';
import type { NodeFacts } from './facts.ts';
import type { PlanPath } from './issues.ts';
import { nearest } from './nearest.ts';
import { defaultBgp, seconds, type PlanBgp } from './schema.ts';
import type { BgpSettings } from './types.ts';

/**
 * The BGP settings of a stage, resolved against the nodes.
 *
 * @throws CutoverError PlanInvalid for a node that does not exist, for a router that no node has in a subnet of its own,
 * and for an MTU that does not fit through VXLAN between subnets
 */
export function bgpSettings(written: PlanBgp | undefined, nodes: readonly NodeFacts[], stage: number): BgpSettings {
  const bgp = written ?? defaultBgp();
  const path: PlanPath = ['spec', 'stages', stage, 'bgp'];
  const known = nodes.map(({ name }) => name);
  const mustBeNode = (name: string, at: PlanPath): void => {
    if (known.includes(name)) return;
    const near = nearest(name, known);
    throw invalid(
      `${name} is no node of this migration`,
      near ? `did you mean ${near}?` : 'look at `kubectl get nodes`',
      at,
    );
  };
  for (const [index, name] of bgp.routeReflectors.entries()) mustBeNode(name, [...path, 'routeReflectors', index]);
  for (const [index, peer] of bgp.peers.entries()) {
    const at = [...path, 'peers', index];
    for (const [place, name] of (peer.nodes ?? []).entries()) mustBeNode(name, [...at, 'nodes', place]);
    const speakers = nodes.filter(({ name }) => peer.nodes?.includes(name) ?? true);
    const outside = speakers.find((node) => !inSubnetOf(peer.address, node));
    if (outside)
      throw invalid(
        `the router ${peer.address} is in no subnet of ${outside.name} (${outside.addresses?.join(', ') || 'its addresses are not known'})`,
        'correct the address, or name the nodes beside it under nodes',
        [...at, 'address'],
      );
  }
  if (bgp.mtu === 'host' && bgp.encapsulation === 'CrossSubnet') {
    const [first] = nodes;
    const other = nodes.find((node) => first?.addresses && node.addresses && !shareSubnet(first, node));
    if (first && other)
      throw invalid(
        `mtu host needs plain packets everywhere, but ${first.name} and ${other.name} are in different subnets, between which CrossSubnet uses VXLAN`,
        'write encapsulation: Never, or mtu: keep',
        [...path, 'mtu'],
      );
  }
  if (bgp.newPool) refuseTaken(bgp.newPool.cidr, nodes, [...path, 'newPool', 'cidr']);
  return {
    encapsulation: bgp.encapsulation,
    backend: bgp.backend,
    asNumber: bgp.asNumber,
    mesh: bgp.mesh,
    routeReflectors: bgp.routeReflectors,
    peers: bgp.peers.map(({ address, asNumber, nodes: names }) => ({
      address,
      asNumber,
      ...(names === undefined ? {} : { nodes: names }),
    })),
    stableSeconds: seconds(bgp.stable),
    soakSeconds: seconds(bgp.soak),
    revertAfterSeconds: seconds(bgp.revertAfter),
    ...(bgp.newPool ? { newPool: bgp.newPool } : {}),
  };
}

/** What is known of nodes; pools and Services are asked by `calico.addPool`. @throws CutoverError PlanInvalid */
function refuseTaken(cidr: string, nodes: readonly NodeFacts[], path: PlanPath): void {
  const range = parseCidr(cidr)!;
  for (const { name, addresses = [], fingerprint } of nodes) {
    const own = [fingerprint.podCIDR, fingerprint.internalIP, ...addresses].filter((each) => each !== '');
    const taken = own.find((each) => overlaps(range, parseCidr(each) ?? { start: 1, end: 0 }));
    if (taken) throw invalid(`${cidr} is not free: ${name} has ${taken}`, 'write a range that nothing uses', path);
  }
}

function inSubnetOf(address: string, { addresses = [] }: NodeFacts): boolean {
  const router = parseCidr(address);
  return addresses.some((own) => {
    const subnet = parseCidr(own);
    return router !== undefined && subnet !== undefined && subnet.bits < 32 && contains(subnet, router);
  });
}

const shareSubnet = (one: NodeFacts, other: NodeFacts): boolean => inSubnetOf(other.fingerprint.internalIP, one);

const invalid = (message: string, remedy: string, path: PlanPath): CutoverError =>
  new CutoverError('PlanInvalid', message, { remedy, details: { path } });
