import { describe, expect, it } from 'vitest';
import { partnerOrder, spreadOverZones } from '../../src/probe/peers.ts';
import { plannedNode } from '../checks/doubles.ts';

const nodes = ['a', 'b', 'c'].flatMap((zone) =>
  [1, 2, 3].map((number) => plannedNode(`${zone}-${number}`, { zone: `zone-${zone}` })),
);

describe('partnerOrder', () => {
  it('puts nodes of other zones before those of its own, and never the node itself', () => {
    const order = partnerOrder(nodes[0]!, nodes).map((node) => node.zone);

    expect(order).toHaveLength(8);
    expect(order.slice(0, 6)).not.toContain('zone-a');
    expect(order.slice(6)).toEqual(['zone-a', 'zone-a']);
  });

  it('is the same whatever the order of the candidates', () => {
    expect(partnerOrder(nodes[0]!, [...nodes].reverse())).toEqual(partnerOrder(nodes[0]!, nodes));
  });

  it('does not send every node to the same partner', () => {
    const many = Array.from({ length: 60 }, (_, index) => plannedNode(`node-${index}`));

    const first = new Set(many.map((node) => partnerOrder(node, many)[0]?.name));

    expect(first.size).toBeGreaterThan(20);
  });
});

describe('spreadOverZones', () => {
  it('takes one of each zone before a second of any', () => {
    expect(spreadOverZones(nodes, 4).map((node) => node.name)).toEqual(['a-1', 'b-1', 'c-1', 'a-2']);
  });

  it('ends when there are no more nodes', () => {
    expect(spreadOverZones(nodes.slice(0, 2), 10).map((node) => node.name)).toEqual(['a-1', 'a-2']);
  });
});
