import type { NodeState } from '../../node/types.ts';
import type { PlannedNode } from '../../plan/types.ts';
import { backendData } from '../cluster/flannel-vxlan.ts';
import type { Asker } from '../asker.ts';
import { sharedVxlan } from '../names.ts';

export type Link = { name: string; up: boolean; vni: number; port: number; mtu: number; mac: string };

export type LinkFacts = {
  node: string;
  /** The VXLAN link that has to be there; null when it is not. */
  link: Link | null;
  /** As the plan saw flannel.1; 0 when unknown. */
  expectedMtu: number;
  /** The VTEP's MAC in Flannel's annotation of the node, which all other nodes send to; `` when unknown. */
  expectedMac: string;
  /** Links that should not be there. */
  unexpected: string[];
};

/** Looks at one VXLAN link, and for links that belong to the other network. */
export async function askLinks(
  { inspect, nodeObject }: Asker,
  { name, fingerprint }: PlannedNode,
  linkName: string,
  foreign: (link: string) => boolean,
): Promise<LinkFacts> {
  const [state, node] = await Promise.all([inspect(name), nodeObject(name)]);
  return {
    node: name,
    link: toLink(state, linkName),
    expectedMtu: fingerprint.overlayMtu,
    expectedMac: (backendData(node.metadata.annotations ?? {})?.VtepMAC ?? '').toLowerCase(),
    unexpected: state.links.map((link) => link.name).filter(foreign),
  };
}

function toLink(state: NodeState, name: string): Link | null {
  const link = state.links.find((candidate) => candidate.name === name);
  if (link === undefined) return null;
  return { name, up: link.up, vni: link.vni, port: link.dstPort, mtu: link.mtu, mac: link.mac.toLowerCase() };
}

/** What is wrong with the link, `` when nothing is. */
export function linkFault({ link, expectedMtu, expectedMac }: LinkFacts): string {
  if (link === null) return 'it is missing';
  if (!link.up) return 'it is down';
  if (link.vni !== sharedVxlan.vni) return `its VNI is ${link.vni}, and the other nodes speak ${sharedVxlan.vni}`;
  if (link.port !== sharedVxlan.port)
    return `its UDP port is ${link.port}, and the other nodes speak ${sharedVxlan.port}`;
  if (expectedMtu !== 0 && link.mtu !== expectedMtu)
    return `its MTU is ${link.mtu} bytes, and the old one had ${expectedMtu}`;
  if (expectedMac !== '' && link.mac !== expectedMac)
    return `its MAC is ${link.mac}, and the other nodes send to ${expectedMac}`;
  return '';
}
