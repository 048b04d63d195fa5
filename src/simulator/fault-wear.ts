import type { NodeControl } from './node/sim-node.ts';
import type { FaultRegistry } from './scenario/faults.ts';

/**
 * `vxlan-blocked` lasts as long as Calico has the node, and that is one of its `times`: it is used up when Calico's
 * VXLAN device goes. Asking whether a packet passes must not use it up, so somebody else has to.
 */
export function wearOffVxlanBlocked(faults: FaultRegistry, nodes: Iterable<NodeControl>): () => void {
  const stops = [...nodes].map((node) => {
    let hadDevice = node.links.has('vxlan.calico');
    return node.onChange(() => {
      const hasDevice = node.links.has('vxlan.calico');
      if (hadDevice && !hasDevice && faults.peek('vxlan-blocked', node.name)?.['when'] !== 'always')
        faults.take('vxlan-blocked', node.name);
      hadDevice = hasDevice;
    });
  });
  return () => stops.forEach((stop) => stop());
}
