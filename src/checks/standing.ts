import { foundState, networkLabel } from '../kubernetes/marks.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import type { NodeState } from '../node/types.ts';
import { calico, flannel } from './names.ts';

export interface Standing {
  /** What the runtime gives to pods now. */
  network: 'flannel' | 'calico' | 'neither';
  /** What an earlier migration left half done, as a person would say it; empty when the node is whole. */
  halfWay: string[];
}

/** Where a node stands between the networks, by the marks of a migration and by what its runtime has loaded. */
export function standingOf({ metadata }: KubernetesObject, state: Omit<NodeState, 'routes'>): Standing {
  const mark = metadata.labels?.[networkLabel];
  const loaded = state.loadedNetworks.join(' ') || 'no network';
  const network = loaded === calico.network ? 'calico' : loaded === flannel.network ? 'flannel' : 'neither';
  const halfWay = [
    mark === 'none' && 'no agent runs there',
    mark !== undefined && mark !== 'none' && mark !== network && `it is marked ${mark} and has loaded ${loaded}`,
    metadata.annotations?.[foundState] !== undefined && 'it was taken out of service',
    state.revertArmed && 'its dead-man switch is armed',
    (state.tokenProblem ?? '') !== '' && state.tokenProblem!,
  ].filter((sign) => sign !== false);
  return { network, halfWay };
}
