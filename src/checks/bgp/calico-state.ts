import type { KubernetesObject } from '../../kubernetes/types.ts';
import { kinds } from '../../kubernetes/kinds.ts';
import type { Asker } from '../asker.ts';
import { contains, parseCidr } from '../cidr.ts';

/** A node as Calico's agents know it. */
export interface CalicoNode {
  name: string;
  /** `10.0.1.7`; `` when the agent has not said it yet. */
  ip: string;
  /** `10.0.1.7/24`. */
  address: string;
  vtep: string;
  clusterId: string;
  asNumber: number | undefined;
  labels: { [key: string]: string };
}

export interface Pool {
  name: string;
  cidr: string;
  mode: 'Always' | 'CrossSubnet' | 'Never';
}

export const annotation = {
  address: 'projectcalico.org/IPv4Address',
  vtep: 'projectcalico.org/IPv4VXLANTunnelAddr',
  clusterId: 'projectcalico.org/RouteReflectorClusterID',
  asNumber: 'projectcalico.org/ASNumber',
} as const;

export function calicoNodes(nodes: readonly KubernetesObject[]): CalicoNode[] {
  return nodes.map(({ metadata: { name, annotations = {}, labels = {} } }) => {
    const address = annotations[annotation.address] ?? '';
    return {
      name,
      ip: address.split('/')[0] ?? '',
      address,
      vtep: annotations[annotation.vtep] ?? '',
      clusterId: annotations[annotation.clusterId] ?? '',
      asNumber: annotations[annotation.asNumber] === undefined ? undefined : Number(annotations[annotation.asNumber]),
      labels,
    };
  });
}

export async function calicoPools({ kubernetes }: Pick<Asker, 'kubernetes'>): Promise<Pool[]> {
  const pools = await kubernetes.list(kinds.ipPool);
  return pools
    .filter(({ spec }) => spec?.disabled !== true)
    .map(({ metadata, spec }) => ({
      name: metadata.name,
      cidr: String(spec?.cidr ?? ''),
      mode: (spec?.vxlanMode ?? 'Never') as Pool['mode'],
    }));
}

/** Blocks of pod addresses with the node that has them: `10.244.1.0/26` -> `worker-1`. */
export async function calicoBlocks({
  kubernetes,
}: Pick<Asker, 'kubernetes'>): Promise<{ cidr: string; node: string }[]> {
  const blocks = await kubernetes.list(kinds.ipamBlock);
  return blocks.flatMap(({ spec }) => {
    const affinity = String(spec?.affinity ?? '');
    return affinity.startsWith('host:') && spec?.deleted !== true
      ? [{ cidr: String(spec?.cidr), node: affinity.slice('host:'.length) }]
      : [];
  });
}

export const poolOf = (pools: readonly Pool[], cidr: string): Pool | undefined =>
  pools.find((pool) => {
    const [outer, inner] = [parseCidr(pool.cidr), parseCidr(cidr)];
    return outer !== undefined && inner !== undefined && contains(outer, inner);
  });

/** Whether `to` lies in the subnet of `from`: what CrossSubnet decides by. A prefix of 32 makes every node remote. */
export function sameSubnet(from: CalicoNode, to: CalicoNode): boolean {
  const [subnet, address] = [parseCidr(from.address), parseCidr(to.ip)];
  return subnet !== undefined && address !== undefined && contains(subnet, address);
}
