import { describe, expect, it } from 'vitest';
import { continuityOf, type Motion } from '../../src/probe/continuity.ts';
import { streamPeers } from '../../src/probe/stream-peers.ts';
import type { StreamOutage, StreamReport } from '../../src/probe/stream-report.ts';
import { plannedNode } from '../checks/doubles.ts';

const report = (node: string, outages: Partial<StreamOutage>[], more: Partial<StreamReport> = {}): StreamReport => ({
  role: 'pod',
  node,
  since: 1_000,
  now: 2_000,
  ticks: 1_000,
  dropped: 0,
  streams: [
    { kind: 'udp', peer: 'b', address: '10.0.0.2', sent: 1_000, lost: 0, broken: 0, longestSeconds: 0 },
    { kind: 'tcp', peer: 'b', address: '10.0.0.2', sent: 1_000, lost: 0, broken: 0, longestSeconds: 0 },
    { kind: 'dns', peer: '', address: '', sent: 1_000, lost: 0, broken: 0, longestSeconds: 0 },
  ],
  outages: outages.map((outage) => ({
    kind: 'udp',
    peer: 'b',
    from: 1_500,
    to: 1_510,
    lost: 10,
    why: 'lost',
    ...outage,
  })),
  ...more,
});
const canary = (node: string, outages: Partial<StreamOutage>[]): StreamReport => ({
  ...report(
    node,
    outages.map((outage) => ({ kind: 'canary' as const, ...outage })),
  ),
  role: 'host',
  streams: [],
});
const judge = (reports: StreamReport[], motions: Motion[] = [], more: { kept?: StreamReport[]; since?: number } = {}) =>
  continuityOf(
    { reports, kept: [], since: 0, motions, zoneOf: (node) => (node === 'a' ? 'zone-1' : 'zone-2'), ...more },
    { asked: 2, silent: [], of: 2 },
  );
const udp = (found: ReturnType<typeof judge>) => found.rows.find(({ service }) => service === 'udp')!;

describe('continuity', () => {
  it('counts an outage between bystanders by service and zones, with its length and time', () => {
    const found = judge([report('a', [{}, { from: 1_600, to: 1_603, lost: 3 }])]);

    expect(udp(found)).toEqual({
      service: 'udp',
      fromZone: 'zone-1',
      toZone: 'zone-2',
      streams: 1,
      sent: 1_000,
      lost: 13,
      unreachableSeconds: 13,
      longestSeconds: 10,
      brokenConnections: 0,
      since: '1970-01-01T00:25:00.000Z',
      down: [],
    });
    expect(found.rows.filter(({ lost }) => lost > 0)).toHaveLength(1);
  });

  it.each([
    ['its own node', [{ node: 'a', from: 1_400, to: 1_600 }], 0, 10],
    ['its peer', [{ node: 'b', from: 1_400, to: null }], 0, 10],
    ['somebody else', [{ node: 'c', from: 1_400, to: 1_600 }], 10, 0],
    ['its peer, but only for half of it', [{ node: 'b', from: 1_400, to: 1_502 }], 5, 5],
  ] as [string, Motion[], number, number][])(
    'gives an outage while a move was under way to %s',
    (_, motions, own, moving) => {
      const found = judge([report('a', [{}])], motions);

      expect([udp(found).lost, found.moving.lost]).toEqual([own, moving]);
    },
  );

  it('gives what a peer lost that got another address to the move', () => {
    const found = judge([report('a', [{ why: 'moved' }])]);

    expect(udp(found).lost).toBe(0);
    expect(found.moving).toEqual({ nodes: ['b'], lost: 10, brokenConnections: 0 });
  });

  it('does not believe what the canary lost as well, on the same way, or what a prober that did not run lost', () => {
    const outage = { from: 1_500, to: 1_510, lost: 10 };

    expect(judge([report('a', [outage]), canary('a', [outage])]).starved).toEqual({ nodes: ['a'], lost: 10 });
    expect(judge([report('a', [outage]), canary('a', [{ ...outage, peer: 'c' }])]).starved.lost).toBe(0);
    expect(judge([report('a', [outage]), canary('a', [{ ...outage, from: 1_700, to: 1_710 }])]).starved.lost).toBe(0);
    expect(judge([report('a', [outage, { kind: 'late', peer: '', why: 'late', lost: 0 }])]).starved.lost).toBe(10);
  });

  it('counts connections that broke, those of a move apart', () => {
    const broken = { kind: 'tcp' as const, why: 'broken' as const, from: 1_500, to: 1_500, lost: 0 };

    expect(judge([report('a', [broken])]).rows[0]).toMatchObject({ service: 'tcp', brokenConnections: 1 });
    const moved = judge([report('a', [broken])], [{ node: 'b', from: 1_400, to: 1_600 }]);
    expect(moved.moving.brokenConnections).toBe(1);
    expect(moved.rows.every(({ brokenConnections }) => brokenConnections === 0)).toBe(true);
  });

  it('leaves out what was over before, names what lasts, and counts a pod once that was kept and lives on', () => {
    expect(udp(judge([report('a', [{}])], [], { since: 1_800 })).lost).toBe(0);
    expect(udp(judge([report('a', [{ to: null, lost: 500 }])])).down).toEqual(['a -> b']);
    const kept = report('a', [{}], { now: 1_700 });
    expect(udp(judge([report('a', [{}])], [], { kept: [kept] })).lost).toBe(10);
    expect(udp(judge([report('a', [], { since: 1_900 })], [], { kept: [kept] })).lost).toBe(10);
  });
});

describe('peers of the continuous probe', () => {
  it('are two for each node whatever the size, never itself, and cover every pair of zones', () => {
    const nodes = Array.from({ length: 90 }, (_, index) => plannedNode(`n${index}`, { zone: `z${index % 3}` }));
    const zones = new Map(nodes.map(({ name, zone }) => [name, zone]));

    const peers = streamPeers(nodes);

    expect([...peers.values()].every((each) => each.length === 2)).toBe(true);
    expect([...peers].some(([node, each]) => each.some(({ name }) => name === node))).toBe(false);
    expect(
      new Set([...peers].flatMap(([node, each]) => each.map(({ zone }) => `${zones.get(node)} ${zone}`))).size,
    ).toBe(9);
  });

  it('are the others when there are few', () => {
    const peers = streamPeers([plannedNode('a'), plannedNode('b')]);

    expect([...peers].map(([node, each]) => [node, each.map(({ name }) => name)])).toEqual([
      ['a', ['b']],
      ['b', ['a']],
    ]);
  });
});
