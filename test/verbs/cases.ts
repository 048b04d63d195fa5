import { expect } from 'vitest';
import type { JsonObject } from '../../src/json.ts';
import type { NodeState, VerbName } from '../../src/node/types.ts';
import {
  token,
  confDir,
  flannelConf,
  calicoConf,
  fenceConf,
  subnetEnv,
  flannelFiles,
  fenced,
  onCalico,
  foreign,
  foreignLegacy,
  printed,
  flannel,
  flannelLegacy,
  flannel6,
  felix,
  felixLegacy,
  ipsets,
  pods,
  hostPods,
  flannelNode,
  purgedNode,
  calicoResidue,
} from './fixtures.ts';
import type { Given } from './host.ts';

/** Of devices that nobody sends through; the kernel may send a few packets by itself. */
const noTraffic = {
  rxBytes: expect.any(Number) as number,
  rxPackets: expect.any(Number) as number,
  txBytes: expect.any(Number) as number,
  txPackets: expect.any(Number) as number,
};

/** One row: a node, a verb, and what must be afterwards. Runs on the model and on the real programs alike. */
export interface VerbCase {
  verb: VerbName;
  /** Sentence about behaviour. */
  name: string;
  given: Given;
  input: JsonObject;
  /** Default 0. */
  exitCode?: number;
  /** Part of the answer. */
  answer: JsonObject;
  after?: {
    state?: Partial<NodeState>;
    /** Links by name: there or not. */
    links?: { [name: string]: boolean };
    /** Path -> content, or null when it must not be there, or true when any content will do. */
    files?: { [path: string]: string | null | true };
    /** Exactly these rules are left. */
    rules?: string[];
    /** Exactly these. */
    conntrack?: string[];
    /** No route of this protocol is left. */
    noRoutesOf?: string[];
  };
  /** Tools that the real host must have beyond the usual. */
  tools?: string[];
  /** Only real hosts have what this is about. */
  realOnly?: boolean;
}

export const verbCases: readonly VerbCase[] = [
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
    verb: 'snapshot',
    name: 'keeps confs, leases and subnet.env byte for byte',
    given: flannelNode,
    input: { migration: 'move-1', token },
    answer: { path: '/var/lib/cutover/move-1/snapshot', existed: false },
    after: {
      state: { snapshot: true, token },
      files: {
        '/var/lib/cutover/move-1/snapshot/net.d/10-flannel.conflist': flannelConf,
        '/var/lib/cutover/move-1/snapshot/subnet.env': subnetEnv,
        '/var/lib/cutover/move-1/snapshot/networks/cbr0/10.244.1.2': 'aaa1\r\neth0',
        '/var/lib/cutover/move-1/snapshot/iptables-nft.txt': true,
        '/var/lib/cutover/move-1/snapshot/iptables-legacy.txt': null,
        '/var/lib/cutover/move-1/snapshot/links.txt': true,
        '/var/lib/cutover/move-1/snapshot/routes.txt': true,
        '/var/lib/cutover/move-1/snapshot/pods.json': true,
        '/var/lib/cutover/move-1/snapshot/SHA256SUMS': true,
      },
    },
  },
  {
    verb: 'snapshot',
    name: 'keeps the rules of the legacy backend when it is in use',
    given: { ...flannelNode, rules: flannelLegacy },
    input: { migration: 'move-1', token },
    answer: { existed: false },
    after: { files: { '/var/lib/cutover/move-1/snapshot/iptables-legacy.txt': true } },
  },
  {
    verb: 'snapshot',
    name: 'says so when the earlier snapshot was damaged, and leaves it',
    exitCode: 1,
    given: {
      files: {
        ...flannelFiles,
        '/var/lib/cutover/move-1/snapshot/subnet.env': 'x',
        '/var/lib/cutover/move-1/snapshot/SHA256SUMS': `${'0'.repeat(64)}  ./subnet.env\n`,
      },
    },
    input: { migration: 'move-1', token },
    answer: { error: 'SnapshotBroken' },
    after: { files: { '/var/lib/cutover/move-1/snapshot/subnet.env': 'x' } },
  },
  {
    verb: 'purge',
    name: 'removes the pods of the pod network through the old conf and leaves hostNetwork pods',
    given: flannelNode,
    input: { token },
    answer: { removed: 2, kept: 1, leases: 0 },
    after: {
      state: {
        kubeletActive: false,
        leases: [],
        sandboxes: [{ id: 'bbb1', name: 'etcd-worker-1', namespace: 'kube-system', network: 'NODE', ready: true }],
      },
      links: { veth0000aaa1: false, cni0: true },
      rules: printed(flannelNode.rules!),
    },
  },
  {
    verb: 'purge',
    name: 'refuses behind a fence, where removals fail and leak',
    exitCode: 1,
    given: { ...flannelNode, files: fenced },
    input: { token },
    answer: { error: 'FenceStands' },
    after: { state: { leases: ['10.244.1.2', '10.244.1.3'] } },
  },
  {
    verb: 'purge',
    name: 'leaves to kubelet what never got a network behind the fence',
    given: { files: fenced, sandboxes: [{ id: 'ccc1', pod: 'shop/web-9', network: 'POD', ready: false }, ...hostPods] },
    input: { token },
    answer: { removed: 0, kept: 1 },
    after: { state: { kubeletActive: false } },
  },
  {
    verb: 'purge',
    name: 'leaves out a sandbox that goes away between the list and the question',
    given: { ...flannelNode, vanishing: ['ddd1'] },
    input: { token },
    answer: { removed: 2, kept: 1 },
    after: { state: { kubeletActive: false } },
  },
  {
    verb: 'purge',
    name: 'touches nothing when a sandbox is neither POD nor NODE',
    exitCode: 1,
    given: {
      ...flannelNode,
      sandboxes: [...pods('cbr0'), { id: 'ddd1', pod: 'odd/pod', network: 'CONTAINER' as 'NODE' }],
    },
    input: { token },
    answer: { error: 'UnknownSandbox' },
    after: { state: { kubeletActive: true, leases: ['10.244.1.2', '10.244.1.3'] } },
  },
  {
    verb: 'fence',
    name: 'writes a conf whose plugin does not exist and sees it loaded',
    given: { files: flannelFiles, kubelet: 'inactive' },
    input: { confName: '10-calico.conflist', waitSeconds: 2, token },
    answer: { loaded: ['cutover-fence'], existed: false },
    after: {
      state: { loadedNetworks: ['cutover-fence'] },
      files: { [`${confDir}/10-calico.conflist`]: fenceConf, [`${confDir}/10-flannel.conflist`]: flannelConf },
    },
  },
  {
    verb: 'fence',
    name: 'leaves a fence that stands',
    given: { files: fenced },
    input: { confName: '10-calico.conflist', waitSeconds: 2, token },
    answer: { loaded: ['cutover-fence'], existed: true },
  },
  {
    verb: 'fence',
    name: 'takes the place of the conf that the agent wrote',
    given: { files: onCalico },
    input: { confName: '10-calico.conflist', waitSeconds: 2, token },
    answer: { existed: false },
    after: { files: { [`${confDir}/10-calico.conflist`]: fenceConf } },
  },
  {
    verb: 'fence',
    name: 'fails when another conf comes first',
    exitCode: 1,
    given: {
      files: {
        ...flannelFiles,
        [`${confDir}/05-cilium.conflist`]: '{"name":"cilium","plugins":[{"type":"cilium-cni"}]}',
      },
    },
    input: { confName: '10-calico.conflist', waitSeconds: 1, token },
    answer: { error: 'FenceNotFirst' },
  },
  {
    verb: 'fence',
    name: 'fails when the runtime does not load it',
    exitCode: 1,
    given: { files: flannelFiles, deafRuntime: true },
    input: { confName: '10-calico.conflist', waitSeconds: 1, token },
    answer: { error: 'NotLoaded' },
  },
  {
    verb: 'fence',
    name: 'takes no path for a name',
    exitCode: 1,
    given: { files: flannelFiles },
    input: { confName: '../../etc/passwd', waitSeconds: 1, token },
    answer: { error: 'BadInput' },
    after: { files: { [`${confDir}/10-calico.conflist`]: null } },
  },
  {
    verb: 'unfence',
    name: 'removes the conf with its kubeconfig and sees the old network loaded',
    given: { files: onCalico },
    input: { confName: '10-calico.conflist', expect: 'cbr0', waitSeconds: 2, token },
    answer: { loaded: ['cbr0'], existed: true },
    after: {
      files: {
        [`${confDir}/10-calico.conflist`]: null,
        [`${confDir}/calico-kubeconfig`]: null,
        [`${confDir}/10-flannel.conflist`]: flannelConf,
      },
    },
  },
  {
    verb: 'unfence',
    name: 'never removes the conf that it is to bring back',
    exitCode: 1,
    given: { files: flannelFiles },
    input: { confName: '10-flannel.conflist', expect: 'cbr0', waitSeconds: 2, token },
    answer: { error: 'WrongConf' },
    after: { files: { [`${confDir}/10-flannel.conflist`]: flannelConf } },
  },
  {
    verb: 'start-kubelet',
    name: 'starts it',
    given: { files: fenced, kubelet: 'inactive' },
    input: { token },
    answer: { active: true, changed: true },
    after: { state: { kubeletActive: true } },
  },
  {
    verb: 'start-kubelet',
    name: 'leaves it running',
    given: { files: fenced },
    input: { token },
    answer: { active: true, changed: false },
    after: { state: { kubeletActive: true } },
  },
  {
    verb: 'clean-flannel',
    name: 'removes links, chains, rules and leases, and no rule of anybody else',
    given: purgedNode,
    input: { keepLeases: false, token },
    answer: { links: ['flannel.1', 'cni0'], rules: flannel.length, leases: 1 },
    after: {
      state: { leases: [] },
      links: { 'flannel.1': false, cni0: false, eth0: true },
      rules: printed(foreign),
      files: {
        [`${confDir}/10-flannel.conflist`]: flannelConf,
        '/run/flannel/subnet.env': subnetEnv,
        '/var/lib/cni/networks/cbr0/last_reserved_ip.0': null,
      },
    },
  },
  {
    verb: 'clean-flannel',
    name: 'leaves the links when they are to carry on until the new agent runs',
    given: purgedNode,
    input: { keepLeases: false, keepLinks: true, token },
    answer: { links: [], rules: flannel.length, leases: 1 },
    after: { state: { leases: [] }, links: { 'flannel.1': true, cni0: true }, rules: printed(foreign) },
  },
  {
    verb: 'clean-flannel',
    name: 'waits for the routes of the new agent only until they are there',
    given: { ...purgedNode, routes: [{ dst: '10.244.1.0/26', type: 'blackhole', proto: '80' }] },
    input: { keepLeases: true, keepLinks: false, waitSeconds: 600, token },
    answer: { links: ['flannel.1', 'cni0'] },
    after: { links: { 'flannel.1': false, cni0: false } },
  },
  {
    verb: 'clean-flannel',
    name: 'takes the links away all the same when the new agent writes no route in time',
    given: purgedNode,
    input: { keepLeases: true, keepLinks: false, waitSeconds: 1, token },
    answer: { links: ['flannel.1', 'cni0'] },
    after: { links: { 'flannel.1': false, cni0: false } },
  },
  {
    verb: 'clean-flannel',
    name: 'cleans both backends and IPv6',
    given: { ...purgedNode, rules: [...foreign, ...foreignLegacy, ...flannel, ...flannelLegacy, ...flannel6] },
    input: { keepLeases: true, token },
    answer: { rules: flannel.length * 2 + 2, leases: 0 },
    after: { state: { leases: ['10.244.1.9'] }, rules: printed([...foreign, ...foreignLegacy]) },
  },
  {
    verb: 'clean-flannel',
    name: 'creates no table of a backend that is not in use',
    given: { files: fenced, rules: foreign },
    input: { keepLeases: false, token },
    answer: { links: [], rules: 0, leases: 0 },
    after: { state: { legacyTables: [] }, rules: printed(foreign) },
  },
  {
    verb: 'clean-flannel',
    name: 'deletes the tables that Flannel writes with nft',
    realOnly: true,
    given: { files: fenced, nftTables: ['ip flannel-ipv4', 'ip6 flannel-ipv6', 'ip mine'] },
    input: { keepLeases: false, token },
    answer: { rules: 0 },
    after: { state: { nftTables: ['ip mine'] } },
  },
  {
    verb: 'clean-flannel',
    name: 'refuses while flanneld runs: it would bring its link back without routes',
    exitCode: 1,
    given: {
      ...purgedNode,
      sandboxes: [{ id: 'fff1', pod: 'kube-flannel/kube-flannel-ds-x7', network: 'NODE', container: 'kube-flannel' }],
    },
    input: { keepLeases: false, token },
    answer: { error: 'AgentRuns' },
    after: { links: { 'flannel.1': true, cni0: true }, rules: printed(flannelNode.rules!) },
  },
  {
    verb: 'clean-flannel',
    name: 'refuses while pods are connected to cni0',
    exitCode: 1,
    given: { ...flannelNode, kubelet: 'inactive' },
    input: { keepLeases: false, token },
    answer: { error: 'BridgeInUse' },
    after: { links: { 'flannel.1': true, cni0: true }, state: { leases: ['10.244.1.2', '10.244.1.3'] } },
  },
  {
    verb: 'clean-calico',
    name: 'removes routes, blackholes, links, rules known only by their comment, and ipsets',
    given: calicoResidue,
    input: { token },
    tools: ['ipset'],
    answer: { routes: 4, rules: felix.length, ipsets: ipsets.length },
    after: {
      links: { 'vxlan.calico': false, cali0123456789a: false, california0: true, eth0: true },
      noRoutesOf: ['80', 'bird', '12'],
      rules: printed(foreign),
      state: { ipsets: ['people'] },
    },
  },
  {
    verb: 'clean-calico',
    name: 'cleans the legacy backend too',
    given: { files: fenced, rules: [...foreign, ...foreignLegacy, ...felixLegacy] },
    input: { token },
    answer: { links: [], routes: 0, rules: felixLegacy.length, ipsets: 0 },
    after: { rules: printed([...foreign, ...foreignLegacy]) },
  },
  {
    verb: 'clean-calico',
    name: 'takes the plugins along that were not there before, and only those',
    given: {
      files: {
        ...fenced,
        '/opt/cni/bin/calico': 'ELF',
        '/opt/cni/bin/calico-ipam': 'ELF',
        '/var/lib/cutover/move-1/snapshot/cni-bin.txt': '-rwxr-xr-x 1 root root 9 Jan  1 00:00 calico-ipam\n',
      },
    },
    input: { token },
    answer: { rules: 0 },
    after: { files: { '/opt/cni/bin/calico': null, '/opt/cni/bin/calico-ipam': 'ELF' } },
  },
  {
    verb: 'clean-calico',
    name: 'leaves plugins when no snapshot says what was there',
    given: { files: { ...fenced, '/opt/cni/bin/calico': 'ELF' } },
    input: { token },
    answer: { rules: 0 },
    after: { files: { '/opt/cni/bin/calico': 'ELF' } },
  },
  {
    verb: 'clean-calico',
    name: 'deletes the tables that are empty without Felix and were not there before',
    realOnly: true,
    given: {
      files: {
        ...fenced,
        '/var/lib/cutover/move-1/snapshot/nft.txt': 'table ip filter {\n}\ntable ip nat {\n}\n',
      },
      rules: [...foreign, ...felix.filter(({ text }) => !text.includes('match-set'))],
    },
    input: { token },
    answer: { links: [] },
    after: { state: { nftTables: ['ip filter', 'ip nat'] }, rules: printed(foreign) },
  },
  {
    verb: 'clean-calico',
    name: 'refuses while calico-node runs',
    exitCode: 1,
    given: {
      ...calicoResidue,
      rules: foreign,
      ipsets: [],
      sandboxes: [{ id: 'eee1', pod: 'kube-system/calico-node-8x', network: 'NODE', container: 'calico-node' }],
    },
    input: { token },
    answer: { error: 'AgentRuns' },
    after: { links: { 'vxlan.calico': true } },
  },
  {
    verb: 'arm-revert',
    name: 'arms a timer and keeps its program on the node',
    given: { files: fenced },
    input: { migration: 'move-1', seconds: 900, old: 'flannel', token },
    answer: { unit: 'cutover-revert', armed: true },
    after: { state: { revertArmed: true, revertFired: false }, files: { '/var/lib/cutover/move-1/revert.sh': true } },
  },
  {
    verb: 'arm-revert',
    name: 'knows only the way back to Flannel',
    exitCode: 1,
    given: { files: fenced },
    input: { migration: 'move-1', seconds: 900, old: 'cilium', token },
    answer: { error: 'BadInput' },
    after: { state: { revertArmed: false } },
  },
  {
    verb: 'disarm-revert',
    name: 'says that nothing fired when nothing was armed',
    given: { files: flannelFiles },
    input: { migration: 'move-1', token },
    answer: { fired: false },
    after: { state: { revertArmed: false } },
  },
  {
    verb: 'flush-syn-sent',
    name: 'drops unanswered SYNs of the given ports only',
    tools: ['conntrack'],
    given: {
      files: flannelFiles,
      synSent: [{ dport: 30080 }, { dport: 30080 }, { dport: 30081 }, { dport: 443 }],
      established: [{ dport: 30080 }],
    },
    input: { ports: '30080,30081', link: 'eth0', waitSeconds: 0, token },
    answer: { flushed: 3 },
    after: { conntrack: ['ESTABLISHED 30080', 'SYN_SENT 443'] },
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
    verb: 'remove-flannel-files',
    name: 'removes what rollback would have needed',
    given: { files: { ...onCalico, '/var/lib/cni/flannel/aaa1': '{}' } },
    input: { token },
    answer: {},
    after: {
      state: { flannelBinary: false, subnetEnv: {}, loadedNetworks: ['k8s-pod-network'] },
      files: {
        [`${confDir}/10-flannel.conflist`]: null,
        '/run/flannel/subnet.env': null,
        '/var/lib/cni/flannel/aaa1': null,
        '/opt/cni/bin/flannel': null,
        [`${confDir}/10-calico.conflist`]: calicoConf,
      },
    },
  },
  {
    verb: 'remove-flannel-files',
    name: 'refuses while the runtime still uses Flannel',
    exitCode: 1,
    given: { files: flannelFiles },
    input: { token },
    answer: { error: 'StillLoaded' },
    after: { files: { [`${confDir}/10-flannel.conflist`]: flannelConf } },
  },
  {
    verb: 'forget',
    name: 'leaves nothing of Cutover on the node',
    given: {
      files: {
        ...onCalico,
        '/var/lib/cutover/move-1/snapshot/subnet.env': subnetEnv,
        '/var/lib/cutover/move-1/revert.sh': '#',
      },
    },
    input: { migration: 'move-1', token },
    answer: { removed: true },
    after: {
      state: { token: 0, snapshot: false },
      files: { '/var/lib/cutover/move-1/snapshot/subnet.env': null, '/var/lib/cutover/token': null },
    },
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
