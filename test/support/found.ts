import type { NodeState } from '../../src/node/types.ts';
import type { Simulation } from '../../src/simulator/types.ts';

/**
 * What a rollback has to bring back on every node; addresses of pods and names of veths are new, and may be. The bridge
 * plugin makes cni0 for the first pod that comes: a probe pod, on a node that had none.
 */
export function foundOn({ nodes, store }: Simulation): unknown {
  return [...nodes.values()].map((node) => {
    const {
      kubeletActive,
      confs,
      loadedNetworks,
      links,
      routes,
      rules,
      ipsets,
      subnetEnv,
      flannelBinary,
      revertArmed,
    } = node.state() as NodeState;
    const { metadata, spec } = store.get('nodes', undefined, node.name)!;
    return {
      name: node.name,
      kubeletActive,
      confs,
      loadedNetworks,
      ipsets,
      subnetEnv,
      flannelBinary,
      revertArmed,
      links: links
        .filter(({ kind, name }) => kind !== 'veth' && name !== 'cni0')
        .map(({ name, mac, mtu, vni, dstPort, up }) => ({
          name,
          mac,
          mtu,
          vni,
          dstPort,
          up,
        }))
        .toSorted((a, b) => a.name.localeCompare(b.name)),
      routes: routes
        .filter(({ dev }) => dev !== 'cni0')
        .map(({ dst, via, dev, type }) => `${type} ${dst} ${via} ${dev}`)
        .toSorted(),
      chains: rules.map(({ backend, family, flannel, calico }) => ({ backend, family, flannel, calico })),
      labels: metadata.labels,
      annotations: metadata.annotations,
      taints: spec.taints,
      unschedulable: spec.unschedulable,
    };
  });
}
