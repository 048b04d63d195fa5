import { expect } from 'vitest';
import type { VerbCase } from './case.ts';
import { flannelFiles, printed, flannelNode } from '../fixtures.ts';

/** Of devices that nobody sends through; the kernel may send a few packets by itself. */
const noTraffic = {
  rxBytes: expect.any(Number) as number,
  rxPackets: expect.any(Number) as number,
  txBytes: expect.any(Number) as number,
  txPackets: expect.any(Number) as number,
};

/** What a verb reads of a node, and changes nothing. */
export const askingCases: readonly VerbCase[] = [
  {
    verb: 'counters',
    name: 'tells the underlay by its address, and every tunnel; a bridge is none',
    given: flannelNode,
    input: { address: '192.0.2.11' },
    answer: {
      uptimeMs: expect.any(Number),
      links: [
        { name: 'eth0', role: 'underlay', ...noTraffic },
        { name: 'flannel.1', role: 'tunnel', ...noTraffic },
      ],
    },
  },
  {
    verb: 'counters',
    name: 'tells the underlay by the default route when no device has the address',
    given: { routes: [{ dst: 'default', type: 'unicast', proto: 'static' }] },
    input: { address: '192.0.2.99' },
    answer: { links: [{ name: 'eth0', role: 'underlay', ...noTraffic }] },
  },
  {
    verb: 'counters',
    name: 'refuses what is no address',
    exitCode: 1,
    given: { links: [] },
    input: { address: '1;reboot' },
    answer: { error: 'BadInput' },
  },
  {
    verb: 'ask-peers',
    name: 'says that nobody listens on a port that is free',
    tools: ['ss', 'timeout', 'bash'],
    given: { files: flannelFiles },
    input: { port: 179, peers: '', waitSeconds: 1 },
    answer: { listener: '', answers: [] },
  },
  {
    verb: 'ask-peers',
    name: 'counts an address that does not answer as silent',
    tools: ['ss', 'timeout', 'bash'],
    given: { files: flannelFiles },
    input: { port: 179, peers: '203.0.113.9', waitSeconds: 1 },
    answer: { answers: [{ address: '203.0.113.9', answer: 'silent' }] },
  },
  {
    verb: 'flows',
    name: 'counts answered connections of a range by what they lead to, the most frequent first',
    tools: ['conntrack'],
    given: {
      files: flannelFiles,
      synSent: [{ dport: 443 }],
      established: [{ dport: 9090 }, { dport: 8080 }, { dport: 8080 }],
      translated: [{ dport: 80, to: '192.0.2.12:8443' }],
    },
    input: { first: '192.0.2.11', last: '192.0.2.12', limit: 2 },
    answer: {
      from: 'conntrack',
      total: 3,
      flows: [
        { source: '192.0.2.99', destination: '192.0.2.11', protocol: 'TCP', port: 8080, connections: 2 },
        { source: '192.0.2.99', destination: '192.0.2.11', protocol: 'TCP', port: 9090, connections: 1 },
      ],
    },
    after: {
      conntrack: ['ESTABLISHED 80', 'ESTABLISHED 8080', 'ESTABLISHED 8080', 'ESTABLISHED 9090', 'SYN_SENT 443'],
    },
  },
  {
    verb: 'flows',
    name: 'follows a Service to the address that answered',
    tools: ['conntrack'],
    given: { files: flannelFiles, translated: [{ dport: 80, to: '192.0.2.12:8443' }], established: [{ dport: 8080 }] },
    input: { first: '192.0.2.12', last: '192.0.2.12', limit: 10 },
    answer: {
      total: 1,
      flows: [{ source: '192.0.2.99', destination: '192.0.2.12', protocol: 'TCP', port: 8443, connections: 1 }],
    },
  },
  {
    verb: 'flows',
    name: 'refuses a range that is none',
    exitCode: 1,
    given: { files: flannelFiles },
    input: { first: '10.244.0', last: '10.244.255.255', limit: 10 },
    answer: { error: 'BadInput', message: '"first" is not an IPv4 address: 10.244.0' },
  },
  {
    verb: 'survey',
    name: 'sees how a node is set up, and who else works on its network',
    given: {
      ...flannelNode,
      files: {
        ...flannelFiles,
        '/etc/NetworkManager/conf.d/calico.conf':
          '[keyfile]\nunmanaged-devices=interface-name:cali*;interface-name:vxlan.calico\n',
        '/etc/systemd/networkd.conf': '[Network]\n#ManageForeignRoutes=no\n',
      },
      sysctls: {
        'net/ipv4/ip_forward': '1',
        'net/bridge/bridge-nf-call-iptables': '1',
        'net/ipv4/conf/all/rp_filter': '0',
        'net/ipv4/conf/uplink/rp_filter': '1',
        'fs/inotify/max_user_instances': '128',
      },
      services: ['NetworkManager', 'systemd-networkd'],
      images: ['docker.io/calico/node:v3.28.5', 'docker.io/calico/cni@sha256:1f'],
      conntrackTable: { count: 7, max: 1000 },
      pathMtu: 1500,
    },
    input: { address: '192.0.2.11', peers: '192.0.2.12 192.0.2.13', bytes: 1500 },
    answer: {
      confDir: '/etc/cni/net.d',
      binDirs: ['/opt/cni/bin'],
      maxConfNum: 1,
      listeners: [{ protocol: 'udp', port: 8472, program: '' }],
      uplink: { name: 'eth0', mtu: 1500 },
      pings: [
        { peer: '192.0.2.12', small: true, large: true },
        { peer: '192.0.2.13', small: true, large: true },
      ],
      sysctls: {
        'net/ipv4/ip_forward': '1',
        'net/bridge/bridge-nf-call-iptables': '1',
        'net/ipv4/conf/all/rp_filter': '0',
        'net/ipv4/conf/uplink/rp_filter': '1',
        'fs/inotify/max_user_instances': '128',
      },
      services: ['NetworkManager', 'systemd-networkd'],
      nmLeavesAlone: true,
      networkdLeavesAlone: false,
      conntrack: { count: 7, max: 1000 },
      images: ['docker.io/calico/cni@sha256:1f', 'docker.io/calico/node:v3.28.5'],
      otherRules: [],
      missing: [],
    },
    after: { state: { token: 0 }, rules: printed(flannelNode.rules!) },
  },
  {
    verb: 'survey',
    name: 'sees large packets that get lost, a firewall, and rules of networks that are gone',
    given: {
      rules: [
        { backend: 'nft', family: 'ip', table: 'filter', chain: 'CILIUM_FORWARD', text: '-i cilium_host -j ACCEPT' },
        { backend: 'legacy', family: 'ip', table: 'nat', chain: 'WEAVE-CANARY', text: '-s 198.51.100.0/24 -j RETURN' },
      ],
      files: { '/usr/lib/systemd/networkd.conf.d/10-routes.conf': '[Network]\nManageForeignRoutes = No\n' },
      services: ['firewalld'],
      pathMtu: 1400,
    },
    input: { address: '192.0.2.11', peers: '192.0.2.12', bytes: 1450 },
    answer: {
      pings: [{ peer: '192.0.2.12', small: true, large: false }],
      sysctls: {},
      services: ['firewalld'],
      nmLeavesAlone: false,
      networkdLeavesAlone: true,
      conntrack: { count: 0, max: 0 },
      otherRules: [
        { network: 'Cilium', rules: 1 },
        { network: 'Weave Net', rules: 1 },
      ],
    },
  },
  {
    verb: 'survey',
    name: 'takes no address that is none',
    exitCode: 1,
    given: {},
    input: { address: '192.0.2.11; reboot', peers: '', bytes: 1450 },
    answer: { error: 'BadInput' },
  },
  {
    verb: 'survey',
    name: 'says so when no link has the address and nobody answers',
    given: {},
    input: { address: '192.0.2.99', peers: '192.0.2.12', bytes: 1450 },
    answer: {
      uplink: { name: '', mtu: 0 },
      pings: [{ peer: '192.0.2.12', small: false, large: false }],
    },
  },
];
