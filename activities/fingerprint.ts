import type { KubernetesObject } from '../src/kubernetes/types.ts';
import type { NodeState } from '../src/node/types.ts';
import type { NodeFingerprint } from '../src/plan/types.ts';

/** What a node is, from its Node object, from `inspect` and from its SSH host key. Compared again when its turn comes. */
export function fingerprintOf(node: KubernetesObject, state: NodeState | undefined, hostKey: string): NodeFingerprint {
  const info = node['status']?.nodeInfo ?? {};
  const addresses = (node['status']?.addresses ?? []) as { type: string; address: string }[];
  return {
    kubelet: String(info.kubeletVersion ?? ''),
    containerRuntime: String(info.containerRuntimeVersion ?? ''),
    kernel: String(info.kernelVersion ?? ''),
    podCIDR: String(node['spec']?.podCIDR ?? ''),
    internalIP: addresses.find(({ type }) => type === 'InternalIP')?.address ?? '',
    hostKey,
    cniConfs: Object.fromEntries((state?.confs ?? []).map(({ name, sha256 }) => [name, sha256])),
    overlayMtu: state?.links.find(({ name }) => name === 'flannel.1')?.mtu ?? 0,
  };
}
