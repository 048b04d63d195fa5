import type { KubernetesObject } from '../../kubernetes/types.ts';
import { parseSelector } from '../../policy/selector.ts';
import type { CalicoNode } from './calico-state.ts';

/** The sessions that each node should have by Calico's own objects: node -> addresses of the other ends. Pure. */
export function expectedSessions(
  nodes: readonly CalicoNode[],
  configuration: KubernetesObject | undefined,
  peers: readonly KubernetesObject[],
): Map<string, Set<string>> {
  const expected = new Map(nodes.map(({ name }) => [name, new Set<string>()]));
  const add = (from: CalicoNode, address: string): void => {
    if (address !== '' && address !== from.ip) expected.get(from.name)?.add(address);
  };
  // A node with a cluster id reflects routes: Calico takes it out of the mesh at once.
  if (configuration?.['spec']?.nodeToNodeMeshEnabled !== false) {
    const mesh = nodes.filter(({ clusterId }) => clusterId === '');
    for (const from of mesh) for (const to of mesh) add(from, to.ip);
  }
  for (const { spec = {} } of peers) {
    const speakers = nodes.filter((node) =>
      spec.node === undefined ? selects(spec.nodeSelector ?? 'all()', node.labels) : spec.node === node.name,
    );
    if (spec.peerIP !== undefined) for (const from of speakers) add(from, String(spec.peerIP).split(':')[0]!);
    if (spec.peerSelector === undefined) continue;
    // Both ends are told of a session between nodes.
    for (const to of nodes.filter(({ labels }) => selects(spec.peerSelector, labels)))
      for (const from of speakers) {
        add(from, to.ip);
        add(to, from.ip);
      }
  }
  return expected;
}

/** Nobody is selected by what cannot be read. */
export function selects(selector: string, labels: { [key: string]: string }): boolean {
  try {
    return parseSelector(selector)(labels);
  } catch {
    return false;
  }
}
