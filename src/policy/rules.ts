import { contains, parseCidr } from '../checks/cidr.ts';
import type { Direction, Labels, PolicyPod, Protocol } from './types.ts';

/** One end of a packet as rules see it. */
export interface End {
  /** `` when it has no address yet. */
  ip: string;
  /** The pod that has the address and a network of its own. */
  pod: PolicyPod | undefined;
  /** What selectors of Calico look at: the labels of the pod and of every network set that holds the address. */
  labelSets: readonly Labels[];
}

export interface Packet {
  source: End;
  destination: End;
  protocol: Protocol;
  port: number;
}

export type Action = 'Allow' | 'Deny' | 'Pass' | 'Log';

export interface Rule {
  action: Action;
  matches(packet: Packet): boolean;
}

/** A policy of any kind that Calico enforces, in one form. */
export interface Policy {
  /** `NetworkPolicy shop/web`, `GlobalNetworkPolicy deny-all`. */
  name: string;
  kind: 'NetworkPolicy' | 'Calico NetworkPolicy' | 'GlobalNetworkPolicy';
  /** `` for a global one. */
  namespace: string;
  tier: string;
  /** Infinity when it has none. */
  order: number;
  /** Decides between policies of one order. */
  tieBreak: string;
  selects(pod: PolicyPod): boolean;
  /** Absent for a direction that it does not govern. */
  rules: { [direction in Direction]?: Rule[] };
}

/** Whether the address lies in one of these ranges; IPv6 ranges hold no IPv4 address. */
export function inRanges(cidrs: readonly string[]): (ip: string) => boolean {
  const ranges = cidrs.map(parseCidr).filter((range) => range !== undefined);
  return (ip) => {
    const address = ip === '' ? undefined : parseCidr(ip);
    return address !== undefined && ranges.some((range) => contains(range, address));
  };
}

/** `8080`, `8000:8010`, or the name of a container port of the destination. */
export function portMatches(written: string | number, packet: Packet): boolean {
  const text = String(written);
  if (/^\d+$/.test(text)) return packet.port === Number(text);
  const range = /^(\d+):(\d+)$/.exec(text);
  if (range !== null) return packet.port >= Number(range[1]) && packet.port <= Number(range[2]);
  return hasNamedPort(packet.destination.pod, text, packet);
}

export const hasNamedPort = (
  pod: PolicyPod | undefined,
  name: string,
  { port, protocol }: Pick<Packet, 'port' | 'protocol'>,
): boolean =>
  pod !== undefined && pod.ports.some((each) => each.name === name && each.port === port && each.protocol === protocol);
