import { addressAt, parseCidr, toAddress } from '../scenario/address.ts';
import type { KubernetesObject, ObjectStore } from '../types.ts';
import { crd, type CalicoPool, type ClusterDirectory, type PoolUse } from './directory.ts';

export interface IpamRequest {
  store: ObjectStore;
  directory: ClusterDirectory;
  node: string;
  use: PoolUse;
  handle: string;
  attributes: { [key: string]: string };
}

const apiVersion = 'crd.projectcalico.org/v1';
export const blockName = (cidr: string) => cidr.replace(/[./]/g, '-');

/**
 * Pools that give addresses of that kind to a node: enabled, meant for it, and selecting it. A tunnel's address comes only from
 * one that uses tunnels (node/pkg/allocateip, determineEnabledPoolCIDRs).
 */
export function poolsFor({ directory, store, node, use }: Pick<IpamRequest, 'directory' | 'store' | 'node' | 'use'>) {
  const labels = store.get('nodes', undefined, node)?.metadata.labels ?? {};
  return directory
    .pools()
    .filter(
      (pool) => !pool.disabled && pool.uses.includes(use) && pool.selects(labels) && (use === 'Workload' || pool.vxlan),
    );
}

/**
 * Gives out one address of the node's own blocks, as calico-ipam does: affine blocks first, then a new block, then
 * (unless affinity is strict) an address of somebody else's block. @throws Error in calico-ipam's words
 */
export function assignAddress(request: IpamRequest): string {
  const { store, directory, node } = request;
  const pools = poolsFor(request);
  if (pools.length === 0) throw new Error(`no configured Calico pools for node ${node}`);
  const own = directory.blocksOf(node).filter((cidr) => pools.some((pool) => inPool(pool, cidr)));
  for (const cidr of own) {
    const ip = takeFrom(request, cidr);
    if (ip !== undefined) return ip;
  }
  const config = store.get(crd('ipamconfigs'), undefined, 'default')?.['spec'] ?? {};
  const fresh = config.autoAllocateBlocks === false ? undefined : claimBlock(request, pools);
  if (fresh !== undefined) return takeFrom(request, fresh)!;
  if (config.strictAffinity !== true) {
    for (const [cidr, owner] of directory.blocks) {
      const isForeign = owner !== node && pools.some((pool) => inPool(pool, cidr));
      const ip = isForeign ? takeFrom(request, cidr) : undefined;
      if (ip !== undefined) return ip;
    }
  }
  throw new Error('failed to request IPv4 addresses: No more free affine blocks and strict affinity enabled');
}

/** Gives back what the handle holds; nothing when it holds nothing. */
export function releaseHandle(store: ObjectStore, handle: string): void {
  const held = store.get(crd('ipamhandles'), undefined, handle);
  if (held === undefined) return;
  for (const cidr of Object.keys(held['spec'].block ?? {})) {
    store.mutate(crd('ipamblocks'), undefined, blockName(cidr), ({ spec }) => {
      const index = attributeIndex(spec, handle);
      spec.allocations.forEach((attribute: number | null, at: number) => {
        if (attribute === null || attribute !== index) return;
        spec.allocations[at] = null;
        spec.unallocated.push(at);
      });
    });
  }
  store.remove(crd('ipamhandles'), undefined, handle);
}

/** Whether that handle holds that address. */
export function holdsAddress(store: ObjectStore, handle: string, ip: string): boolean {
  const held = store.get(crd('ipamhandles'), undefined, handle);
  return Object.keys(held?.['spec'].block ?? {}).some((cidr) => {
    const spec = store.get(crd('ipamblocks'), undefined, blockName(cidr))?.['spec'];
    const index = spec === undefined ? -1 : attributeIndex(spec, handle);
    return (spec?.allocations ?? []).some(
      (attribute: number | null, at: number) =>
        attribute !== null && attribute === index && addressAt(parseCidr(cidr), at) === ip,
    );
  });
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a custom resource
const attributeIndex = (spec: any, handle: string): number =>
  (spec.attributes ?? []).findIndex((each: { handle_id?: string }) => each.handle_id === handle);

function takeFrom({ store, handle, attributes }: IpamRequest, cidr: string): string | undefined {
  let ip: string | undefined;
  store.mutate(crd('ipamblocks'), undefined, blockName(cidr), ({ spec }) => {
    const at = spec.unallocated?.shift() as number | undefined;
    if (at === undefined) return;
    spec.attributes ??= [];
    let index = attributeIndex(spec, handle);
    if (index < 0) index = spec.attributes.push({ handle_id: handle, secondary: attributes }) - 1;
    spec.allocations[at] = index;
    spec.sequenceNumber = (spec.sequenceNumber ?? 0) + 1;
    ip = addressAt(parseCidr(cidr), at);
  });
  if (ip === undefined) return undefined;
  const spec = { handleID: handle, block: { [cidr]: 1 }, deleted: false };
  if (store.get(crd('ipamhandles'), undefined, handle) === undefined) {
    store.create(crd('ipamhandles'), { apiVersion, kind: 'IPAMHandle', metadata: { name: handle }, spec });
  }
  return ip;
}

/** @param cidr of a block, or one address */
export const inPool = (pool: CalicoPool, cidr: string) => {
  const outer = parseCidr(pool.cidr);
  const inner = parseCidr(cidr.includes('/') ? cidr : `${cidr}/32`);
  return inner.length >= outer.length && inner.base >>> (32 - outer.length) === outer.base >>> (32 - outer.length);
};

/** A block of a pool that nobody owns. Each node begins to look at another place, as Calico does. */
function claimBlock({ store, node }: IpamRequest, pools: readonly CalicoPool[]): string | undefined {
  for (const pool of pools) {
    const { base, length } = parseCidr(pool.cidr);
    const count = 2 ** (pool.blockSize - length);
    const size = 2 ** (32 - pool.blockSize);
    const begin = Buffer.from(node).reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7) % count;
    for (let step = 0; step < count; step += 1) {
      const cidr = `${toAddress(base + ((begin + step) % count) * size)}/${pool.blockSize}`;
      if (store.get(crd('ipamblocks'), undefined, blockName(cidr)) !== undefined) continue;
      store.create(crd('blockaffinities'), {
        apiVersion,
        kind: 'BlockAffinity',
        metadata: { name: `${node}-${blockName(cidr)}` },
        spec: { cidr, node, state: 'confirmed', deleted: 'false' },
      });
      store.create(crd('ipamblocks'), newBlock(cidr, node, size));
      return cidr;
    }
  }
  return undefined;
}

function newBlock(cidr: string, node: string, size: number): KubernetesObject {
  return {
    apiVersion,
    kind: 'IPAMBlock',
    metadata: { name: blockName(cidr) },
    spec: {
      cidr,
      affinity: `host:${node}`,
      allocations: Array.from({ length: size }, () => null),
      unallocated: Array.from({ length: size }, (_, at) => at),
      attributes: [],
      strictAffinity: false,
      deleted: false,
    },
  };
}
