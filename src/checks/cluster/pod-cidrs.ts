import { block, defineCheck, pass, some } from '../define.ts';
import { overlaps, parseCidr } from '../cidr.ts';

type Facts = { nodes: { name: string; podCIDR: string; planned: string }[] };

/** What Flannel gives each node by default, and what the four /26 blocks of Calico's address management tile. */
const expectedBits = 24;

/** Each node has one pod range of its own, the one the plan knows: Calico takes exactly these over. */
export const podCidrs = defineCheck<Facts>({
  id: 'pod-cidrs',
  layer: 'cluster',
  title: 'Each node has a pod range of its own',
  scope: 'cluster',
  ask: async ({ nodeObjects, planned }) => {
    const plannedCidrs = new Map(planned.map((node) => [node.name, node.fingerprint.podCIDR]));
    const nodes = await nodeObjects();
    return {
      nodes: nodes.map((node) => ({
        name: node.metadata.name,
        podCIDR: String(node['spec']?.podCIDR ?? ''),
        planned: plannedCidrs.get(node.metadata.name) ?? '',
      })),
    };
  },
  judge: ({ nodes }) => {
    const unset = nodes.filter((node) => node.podCIDR === '');
    if (unset.length > 0) {
      return block(
        `${unset.length} of ${nodes.length} nodes have no spec.podCIDR: ${some(unset.map((node) => node.name))}`,
        {
          remedy:
            'start kube-controller-manager with --allocate-node-cidrs and --cluster-cidr; a node keeps its range for life',
        },
      );
    }
    const ranges = nodes.map((node) => ({ ...node, range: parseCidr(node.podCIDR) }));
    const odd = ranges.filter((node) => node.range?.bits !== expectedBits);
    if (odd.length > 0) {
      return block(
        `pod ranges are not IPv4 /${expectedBits}: ${some(odd.map((node) => `${node.name} ${node.podCIDR}`))}`,
        {
          remedy: `this route writes four /26 blocks for each node and needs ranges of /${expectedBits}`,
        },
      );
    }
    const sorted = ranges
      .flatMap(({ name, range }) => (range === undefined ? [] : [{ name, ...range }]))
      .sort((a, b) => a.start - b.start);
    const clash = sorted.find((node, index) => index > 0 && overlaps(node, sorted[index - 1]!));
    if (clash !== undefined) {
      const other = sorted[sorted.indexOf(clash) - 1]!;
      return block(`the pod ranges of ${other.name} and ${clash.name} overlap`, {
        remedy: 'remove and re-join one of the two nodes, so that it gets a range of its own',
      });
    }
    const moved = nodes.filter((node) => node.planned !== '' && node.planned !== node.podCIDR);
    if (moved.length > 0) {
      return block(
        `pod ranges changed since the plan was made: ${some(moved.map((node) => `${node.name} ${node.planned} -> ${node.podCIDR}`))}`,
        {
          remedy: 'plan again',
        },
      );
    }
    return pass(`${nodes.length} nodes have ${nodes.length} disjoint pod ranges of /${expectedBits}`);
  },
});
