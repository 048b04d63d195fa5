import { selects } from '../checks/label-selector.ts';
import type { LabelSelector } from '../checks/label-selector.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { hasNamedPort, inRanges } from './rules.ts';
import type { End, Packet, Policy, Rule } from './rules.ts';
import type { Direction, Labels, PolicyPod } from './types.ts';

interface Peer {
  podSelector?: LabelSelector;
  namespaceSelector?: LabelSelector;
  ipBlock?: { cidr: string; except?: string[] };
}
interface Port {
  protocol?: string;
  port?: number | string;
  endPort?: number;
}

/** Calico asks all NetworkPolicies of Kubernetes at this order: those of its own with a lower one come first. */
const calicoOrder = 1000;

/** A NetworkPolicy of networking.k8s.io/v1. Its rules only ever allow. */
export function kubernetesPolicy(
  object: KubernetesObject,
  namespaceLabels: (name: string) => Labels | undefined,
): Policy {
  const { name, namespace = 'default' } = object.metadata;
  const spec = object['spec'] ?? {};
  const rulesOf = (direction: Direction): Rule[] =>
    ((spec[direction] ?? []) as { from?: Peer[]; to?: Peer[]; ports?: Port[] }[]).map((written) => {
      const peers = (direction === 'ingress' ? written.from : written.to) ?? [];
      const isPeer = peers.map((peer) => peerMatcher(peer, namespace, namespaceLabels));
      const ports = written.ports ?? [];
      return {
        action: 'Allow',
        // No peers and an empty list of peers both mean everybody; the same with ports.
        matches: (packet) =>
          (ports.length === 0 || ports.some((port) => isPort(port, packet))) &&
          (isPeer.length === 0 ||
            isPeer.some((matches) => matches(direction === 'ingress' ? packet.source : packet.destination))),
      };
    });
  const types = policyTypes(spec);
  return {
    name: `NetworkPolicy ${namespace}/${name}`,
    kind: 'NetworkPolicy',
    namespace,
    tier: 'default',
    order: calicoOrder,
    tieBreak: `${namespace}/knp.default.${name}`,
    selects: (pod: PolicyPod) => pod.namespace === namespace && selects(spec.podSelector ?? {}, pod.labels),
    rules: {
      ...(types.includes('Ingress') ? { ingress: rulesOf('ingress') } : {}),
      ...(types.includes('Egress') ? { egress: rulesOf('egress') } : {}),
    },
  };
}

/** Without `policyTypes` a policy governs ingress, and egress only when it has egress rules (API reference). */
export function policyTypes(spec: { policyTypes?: string[]; egress?: unknown[] }): string[] {
  if (spec.policyTypes !== undefined && spec.policyTypes.length > 0) return spec.policyTypes;
  return (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}

function peerMatcher(
  { ipBlock, podSelector, namespaceSelector }: Peer,
  namespace: string,
  namespaceLabels: (name: string) => Labels | undefined,
): (end: End) => boolean {
  if (ipBlock !== undefined) {
    const inside = inRanges([ipBlock.cidr]);
    const excepted = inRanges(ipBlock.except ?? []);
    return ({ ip }) => inside(ip) && !excepted(ip);
  }
  return ({ pod }) => {
    if (pod === undefined) return false;
    const inNamespace =
      namespaceSelector === undefined
        ? pod.namespace === namespace
        : selects(namespaceSelector, namespaceLabels(pod.namespace));
    return inNamespace && (podSelector === undefined || selects(podSelector, pod.labels));
  };
}

function isPort({ protocol = 'TCP', port, endPort }: Port, packet: Packet): boolean {
  if (protocol !== packet.protocol) return false;
  if (port === undefined) return true;
  if (typeof port === 'string' && !/^\d+$/.test(port)) return hasNamedPort(packet.destination.pod, port, packet);
  return packet.port >= Number(port) && packet.port <= (endPort ?? Number(port));
}
