import { describe, expect, it } from 'vitest';
import { runChecks } from '../../src/checks/run.ts';
import type { CheckContext } from '../../src/checks/types.ts';
import { contextFor } from './doubles.ts';
import { cluster, judges, pod, workers, type Row } from './preflight-rows.ts';

const leases = (count: number) => Array.from({ length: count }, (_, index) => `10.244.1.${index + 2}`);
const podsOn = (node: string, count: number) =>
  Array.from({ length: count }, (_, index) => pod(`p${index}`, {}, { node }));
const withState = (state: object) => ({
  fake: { nodes: workers.map((name, index) => (index === 0 ? { name, state } : { name })) },
});

const nodes: Row[] = [
  ['addresses to spare', 'ip-headroom', podsOn('worker-1', 20), 'pass', /^at most \d+ % of the pod addresses/],
  [
    'few addresses left',
    'ip-headroom',
    podsOn('worker-1', 210),
    'warn',
    /80 % of the pod addresses .* on 1 node of 3: worker-1: 212 of 253$/,
  ],
  [
    'no addresses left',
    'ip-headroom',
    podsOn('worker-1', 253),
    'block',
    /used up on 1 node of 3: worker-1: 255 of 253/,
  ],
  [
    'leases of pods that are gone',
    'ip-headroom',
    [],
    'warn',
    /left on 1 node of 3: worker-1: 28$/,
    withState({ leases: leases(30) }),
  ],
  ['one backend', 'iptables-backends', [], 'pass', /one backend/, withState({ nftTables: ['ip nat', 'ip filter'] })],
  [
    'both backends',
    'iptables-backends',
    [],
    'warn',
    /worker-1: nft 2, legacy 1 tables$/,
    withState({ nftTables: ['ip nat', 'ip filter', 'inet firewall'], legacyTables: ['nat'] }),
  ],
  [
    'tables of programs that speak nft themselves',
    'iptables-backends',
    [],
    'pass',
    /one backend/,
    withState({ nftTables: ['inet firewall'], legacyTables: ['nat'] }),
  ],
  [
    'several MTUs',
    'underlay-mtu',
    [],
    'warn',
    /1400 on worker-1; 1500 on worker-2, worker-3$/,
    {
      fake: {
        nodes: workers.map((name, index) =>
          index === 0
            ? {
                name,
                survey: { uplink: { name: 'eth0', mtu: 1400 } },
                state: {
                  links: [
                    {
                      name: 'flannel.1',
                      kind: 'vxlan',
                      mac: '',
                      mtu: 1350,
                      up: true,
                      vni: 1,
                      dstPort: 8472,
                      master: '',
                    },
                  ],
                },
              }
            : { name },
        ),
      },
    },
  ],
  [
    'an overlay without room',
    'underlay-mtu',
    [],
    'block',
    /worker-1: 1450 bytes over eth0 with 1450$/,
    {
      fake: {
        nodes: workers.map((name, index) =>
          index === 0 ? { name, survey: { uplink: { name: 'eth0', mtu: 1450 } } } : { name },
        ),
      },
    },
  ],
  [
    'a runtime that is none of today',
    'runtime-paths',
    [],
    'block',
    /neither containerd nor CRI-O: worker-1: docker:\/\/20\.10\.7/,
    { nodes: (node) => (node['status'].nodeInfo.containerRuntimeVersion = 'docker://20.10.7') },
  ],
  [
    'nobody sees who listens',
    'free-ports',
    [],
    'warn',
    /on 1 node of 3, which lack ss$/,
    { fake: { nodes: workers.map((name, index) => (index === 0 ? { name, survey: { missing: ['ss'] } } : { name })) } },
  ],
  [
    'a clock that is seconds off',
    'clocks',
    [],
    'warn',
    /^1 clock of 3 is wrong .*: worker-1 \+\d+ s$/,
    {
      fake: {
        nodes: workers.map((name, index) =>
          index === 0 ? { name, survey: { clock: Math.floor(Date.now() / 1000) + 30 } } : { name },
        ),
      },
    },
  ],
];

describe('nodes', () => judges(nodes));

it('asks the cluster once for what several checks want, and every node once', async () => {
  const lists: string[] = [];
  const { context } = contextFor(cluster());
  const surveyed: string[] = [];
  const kubernetes: CheckContext['kubernetes'] = {
    ...context.kubernetes,
    list: async (kind, options) => {
      lists.push(kind.kind);
      return context.kubernetes.list(kind, options);
    },
  };
  const nodesOf: CheckContext['nodes'] = {
    ...context.nodes,
    run: async (node, verb, input, options) => {
      if (verb === 'survey') surveyed.push(node);
      return context.nodes.run(node, verb, input, options);
    },
  };
  const ids = [
    'budgets',
    'pods-without-owner',
    'spare-capacity',
    'coredns',
    'host-ports',
    'ip-headroom',
    'clocks',
    'sysctls',
    'free-ports',
  ];

  const told: [number, number][] = [];
  await runChecks(ids, {
    ...context,
    kubernetes,
    nodes: nodesOf,
    onProgress: (done, of) => told.push([done, of]),
  });

  expect(lists.filter((kind) => kind === 'Pod')).toHaveLength(1);
  expect(surveyed.toSorted()).toEqual(workers);
  expect(told).toEqual(ids.map((_, index) => [index + 1, ids.length]));
});
