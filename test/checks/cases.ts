import type { Verdict } from '../../src/checks/types.ts';
import { flannelToCalico } from '../../src/routes/flannel-to-calico.ts';
import type { SimHost } from '../../src/simulator/types.ts';
import type { Damage } from './damages.ts';

/** What a check has to say. */
export interface Expected {
  verdict: Verdict;
  says?: RegExp;
  remedy?: RegExp;
}

/** One state of a cluster and what the checks make of it: true for a simulated cluster and for a real one. */
export interface Case {
  /** A sentence. */
  name: string;
  /** Whom the checks of one node are asked about, and who is damaged. */
  node?: string;
  damage?: Damage;
  /** The checks that are asked, by id. */
  expect: { [check: string]: Expected };
}

/** Both clusters name their workers so. The first is probed by the second, the second by the third (src/probe/peers.ts). */
const [first, second, third] = ['worker-1', 'worker-2', 'worker-3'] as const;

const runbook = flannelToCalico.runbook({
  drain: { timeoutSeconds: 600, retrySeconds: 1, deleteEmptyDirData: false, force: false },
  strategy: {
    maxUnavailable: 1,
    maxUnavailablePerZone: 1,
    failureBudget: 1,
    onFailure: 'rollback',
    nodeAttempts: 2,
    nodeSoakSeconds: 0,
  },
});

const pass: Expected = { verdict: 'pass' };
const warn = (says: RegExp, remedy?: RegExp): Expected => ({ verdict: 'warn', says, ...(remedy && { remedy }) });
const block = (says: RegExp, remedy?: RegExp): Expected => ({ verdict: 'block', says, ...(remedy && { remedy }) });
const passing = (ids: readonly string[]) => Object.fromEntries(ids.map((id) => [id, pass]));

const healthy: Case[] = [
  {
    name: 'a healthy Flannel cluster passes preflight, but for the images that nobody named',
    expect: { ...passing(runbook.preflight), 'images-present': warn(/^it is not known which images/) },
  },
  // What a rollback verifies is what holds on a node that never left Flannel.
  ...[first, second, third].map((node) => ({
    name: `everything that a node on Flannel should do works on ${node}`,
    node,
    expect: passing(runbook.verifyRollback),
  })),
  { name: 'every path of the matrix works', expect: { 'cluster-matrix': pass } },
  { name: 'BGP would pass between all nodes', expect: { 'bgp-ports': pass } },
  { name: 'a Service that binds clients to one pod keeps them', expect: { affinity: pass, 'session-affinity': pass } },
  {
    name: 'a cluster on Flannel is nowhere near being on Calico, and says so',
    expect: {
      'all-nodes-calico': block(/^([34]) of \1 nodes are not on Calico/),
      'all-nodes-clean': block(/^Flannel left \d+ things: .*link flannel\.1/),
    },
  },
  {
    name: 'a node on Flannel is not taken for one on Calico',
    node: first,
    expect: {
      'agent-calico': block(/^calico-node on worker-1 is not Ready: there is none/, /label of worker-1/),
      'runtime-loaded-calico': block(/has loaded cbr0, not k8s-pod-network/),
      'links-calico': block(/^vxlan\.calico on worker-1: it is missing/),
      'routes-calico': block(/no way through vxlan\.calico to ([23]) of \1 other nodes/),
      'residue-flannel': block(/(?=.*link flannel\.1)(?=.*link cni0)(?=.*\d FLANNEL-\* rules \(nft, ip\))/),
    },
  },
];

const cluster: Case[] = [
  {
    name: 'a firewall that BGP would not pass is found while no node speaks BGP yet',
    node: third,
    damage: 'bgp-port-dropped',
    expect: {
      'bgp-ports': block(/^TCP 179 gets no answer on (4 of 6|6 of 12) paths between nodes: .*worker-3/, /open TCP 179/),
      'node-access': pass,
    },
  },
  {
    name: 'a budget that can never yield stops before anything moves, and is named',
    node: third,
    damage: 'budget-never-yields',
    expect: { budgets: block(/default\/never wants (\d) of \1 pods healthy/, /add a replica/) },
  },
  {
    name: 'a policy that Flannel never enforced is shown before Calico does',
    node: third,
    damage: 'dormant-policy',
    expect: {
      'policy-hazards': block(
        /could not resolve names: no rule of NetworkPolicy default\/dormant lets them ask the cluster's DNS/,
        /add an egress rule for UDP and TCP 53 to the pods k8s-app=kube-dns of namespace kube-system/,
      ),
    },
  },
  {
    name: 'a node that somebody cordoned is named, and is no reason to stop',
    node: third,
    damage: 'cordoned',
    expect: { 'nodes-ready': warn(/nodes are Ready, and worker-3 is cordoned/) },
  },
];

const workloads: Case[] = [
  {
    name: 'Services that bind clients to one pod, or to the pods of one node, are named',
    node: third,
    damage: 'sticky-service',
    expect: {
      'session-affinity': warn(/^1 Service with sessionAffinity ClientIP: .*default\/sticky$/),
      'local-traffic': warn(/internalTrafficPolicy Local: default\/sticky \(\d pods on \d nodes?\)/),
      webhooks: pass,
    },
  },
  {
    name: 'a webhook that would refuse every pod is found before pods move',
    node: third,
    damage: 'dead-webhook',
    expect: {
      webhooks: block(
        /^1 webhook with failurePolicy Fail has no Ready pod .*dead \/ pods\.dead\.example by default\/nobody/,
      ),
    },
  },
  {
    name: 'a third network, a chained plugin and who reboots nodes are told apart by their images',
    node: third,
    damage: 'foreign-agents',
    expect: {
      'node-changers': block(
        /^1 controller that changes nodes is active: kured \(default\/kured\)$/,
        /cutover\.dev\/reconciler-paused/,
      ),
      'chained-plugins': block(/Multus \(default\/kube-multus-ds\)$/),
      'other-networks': block(/^1 agent of another network runs on the cluster: Cilium \(default\/cilium\)$/),
      'load-balancers': pass,
    },
  },
];

/** What only a simulated machine can be made to be without harm. */
export interface HostCase extends Omit<Case, 'damage'> {
  node: string;
  host: Partial<SimHost>;
  /** And links or rules that somebody left. */
  link?: string;
  rule?: string;
}

export const hostCases: readonly HostCase[] = [
  {
    name: 'a clock that is minutes off stops, whatever else holds',
    node: second,
    host: { clockAheadSeconds: -600 },
    expect: { clocks: block(/^1 clock of 4 is wrong by 2 s or more: worker-2 -\d+ s$/), sysctls: pass },
  },
  {
    name: 'a node that does not forward is found before its pods are missed',
    node: second,
    host: { sysctls: { 'net/ipv4/ip_forward': '0', 'net/bridge/bridge-nf-call-iptables': '1' } },
    expect: { sysctls: block(/^net\.ipv4\.ip_forward is not 1 on 1 node of 4: worker-2: 0$/), 'node-limits': pass },
  },
  {
    name: 'bridged packets that pass by iptables are a warning',
    node: second,
    host: { sysctls: { 'net/ipv4/ip_forward': '1', 'fs/inotify/max_user_instances': '128' } },
    expect: {
      sysctls: warn(/worker-2: br_netfilter is not loaded$/),
      'node-limits': warn(/^fewer than 512 inotify instances on 1 node of 4: worker-2: 128/),
    },
  },
  {
    name: 'a connection table that is nearly full, and a disk that is, are warnings',
    node: second,
    host: { conntrackCount: 190_000, conntrackMax: 200_000, diskFreePercent: 4 },
    expect: {
      'node-limits': warn(/^connection tracking is more than 70 % full on 1 node of 4: worker-2: 19\d+ of 200000/),
    },
  },
  {
    name: 'somebody who listens where Felix or the overlay will is named',
    node: second,
    host: {
      listeners: [
        { protocol: 'tcp', port: 9099, program: 'node_exporter' },
        { protocol: 'udp', port: 8472, program: 'weird-vpn' },
      ],
    },
    expect: {
      'free-ports': block(/worker-2: TCP 9099 \(Felix's health\) by node_exporter, UDP 8472 \(VXLAN\) by weird-vpn$/),
    },
  },
  {
    name: 'a way between nodes that loses full-size packets is told from one that answers no ping',
    node: second,
    host: { pathMtu: 1400 },
    expect: {
      'underlay-mtu': block(/from 1 node of 4: worker-2: 1500 bytes do not reach 10\.99\.\d+\.\d+, 1500 bytes/),
    },
  },
  {
    name: 'a way between nodes that answers no ping is not judged, and that is said',
    node: second,
    host: { icmp: false },
    expect: { 'underlay-mtu': { verdict: 'pass', says: /was measured from 3 of 4/ } },
  },
  {
    name: 'a firewall with rules of its own is a warning',
    node: second,
    host: { services: ['firewalld', 'systemd-networkd'] },
    expect: { 'network-managers': warn(/^a firewall with rules of its own runs on 1 node of 4: worker-2: firewalld$/) },
  },
  {
    name: 'a network manager that nobody told about Calico is a warning',
    node: second,
    host: { services: ['NetworkManager'] },
    expect: { 'network-managers': warn(/on 1 node of 4: worker-2: NetworkManager$/, /unmanaged-devices/) },
  },
  {
    name: 'a runtime that looks for confs elsewhere would never see the new one',
    node: second,
    host: { confDir: '/var/lib/rancher/k3s/agent/etc/cni/net.d' },
    expect: { 'runtime-paths': block(/worker-2: confs in \/var\/lib\/rancher/), 'cni-conf': pass },
  },
  {
    name: 'a runtime that loads several confs is a warning',
    node: second,
    host: { maxConfNum: 0 },
    expect: { 'runtime-paths': warn(/worker-2: max_conf_num 0$/) },
  },
  {
    name: 'links and rules of networks that are gone are named',
    node: second,
    host: {},
    link: 'cilium_host',
    rule: '-m comment --comment "CILIUM_FORWARD" -j ACCEPT',
    expect: { 'foreign-residue': warn(/on 1 node of 4: worker-2: link cilium_host, 1 rule of Cilium$/) },
  },
];

const node: Case[] = [
  {
    name: 'a node whose SSH is refused is named, and what was not asked there does not pass',
    node: third,
    damage: 'ssh-refused',
    expect: {
      'node-access': block(/^1 of [34] nodes cannot be inspected: worker-3: .*cannot be reached over SSH/, /try `ssh`/),
      'node-tools': block(/^1 of [34] nodes could not be asked: worker-3/),
      'cni-conf': block(/^1 of [34] nodes could not be asked: worker-3/),
    },
  },
  {
    name: 'a node that shows another host key is not spoken to',
    node: third,
    damage: 'host-key-changed',
    expect: {
      'node-access': block(/worker-3 shows the host key .* on file/, /find out why a host key is another one/),
      'cni-conf': block(/^1 of [34] nodes could not be asked: worker-3/),
    },
  },
  {
    name: 'a kubelet that does not run is found before it is to be stopped and started',
    node: third,
    damage: 'kubelet-stopped',
    expect: {
      'node-access': pass,
      'node-tools': block(/^kubelet is not an active systemd unit on worker-3/),
      'cni-conf': pass,
    },
  },
  {
    name: 'a leftover conf that would win over Flannel is named; pods that run do not notice',
    node: first,
    damage: 'leftover-conf',
    expect: {
      'cni-conf': block(/is not the first one on 1 of [34] nodes: worker-1: 05-cilium\.conflist/),
      'runtime-loaded-flannel': block(/^the runtime of worker-1 has loaded cilium, not cbr0/),
      'pod-to-pod': pass,
    },
  },
];

const network: Case[] = [
  {
    name: 'blackholes that Felix left behind take every pod of the node away',
    node: second,
    damage: 'felix-blackholes',
    expect: {
      'links-flannel': pass,
      'routes-flannel': block(/^4 blackhole routes swallow the pods of worker-2/, /proto 80/),
      'pod-to-pod': block(/worker-2/, /blackhole/),
      'residue-calico': block(/route blackhole/),
    },
  },
  {
    name: 'an overlay port that a firewall drops leaves links, routes and the hostPort as they are',
    node: second,
    damage: 'overlay-port-dropped',
    expect: {
      'links-flannel': pass,
      'routes-flannel': pass,
      'pod-to-pod': block(/^2 of 4 paths between pods fail/, /UDP 8472/),
      'path-mtu': block(/worker-2 -> worker-3 .* passes nothing/, /small packets are lost, too/),
      transfer: block(/^1050014 bytes do not arrive whole on 2 of 2 paths/),
      'cluster-matrix': block(/^\d+ of \d+ paths fail: pod flannel -> flannel 4 of 6/),
      'cluster-ip': block(/connections from worker-2 to 10\.96\./),
      'host-port': pass,
    },
  },
  {
    name: 'a hole in the MTU is found that small packets do not see',
    node: first,
    damage: 'mtu-hole',
    expect: {
      'pod-to-pod': pass,
      'path-mtu': block(
        /^packets of 1450 bytes are lost on 2 of 2 paths.* passes messages of 1200 bytes and loses those of 3000/,
        /underlay's less 50 bytes/,
      ),
      transfer: block(
        /^1050014 bytes do not arrive whole on 2 of 2 paths: worker-1 -> .*: 0 of 1050014 bytes came \(curl: \(28\) /,
        /^if path-mtu blocks as well/,
      ),
      dns: pass,
      'host-port': pass,
    },
  },
  {
    name: 'flannel.1 that was deleted is back without its routes, and the remedy is a new agent',
    node: first,
    damage: 'flannel-link-deleted',
    expect: {
      'runtime-loaded-flannel': pass,
      'links-flannel': pass,
      'routes-flannel': block(/no way through flannel\.1 to ([23]) of \1 other nodes/, /restart the Flannel pod/),
      'pod-to-pod': block(/^2 of 4 paths between pods fail/, /overlay link/),
    },
  },
  {
    name: 'a route to one other node that is missing is named',
    node: first,
    damage: 'route-missing',
    expect: {
      'links-flannel': pass,
      'routes-flannel': block(/to 1 of [23] other nodes: worker-2 10\.244\.\d+\.0\/24 \(256 of 256 addresses\)/),
      'pod-to-pod': block(/^2 of 4 paths between pods fail/),
    },
  },
  {
    name: 'a VXLAN link with another MAC than the other nodes send to is found',
    node: second,
    damage: 'vtep-mac-changed',
    expect: {
      'links-flannel': block(/its MAC is 02:00:5e:00:53:01, and the other nodes send to/, /restart the Flannel pod/),
      'routes-flannel': pass,
      'pod-to-pod': block(/^2 of 4 paths between pods fail/),
    },
  },
  {
    name: 'a rule of Felix is found that has its name in a comment only',
    node: second,
    damage: 'felix-rule',
    expect: {
      'pod-to-pod': pass,
      'residue-calico': block(/^Calico left 1 things on worker-2: 1 cali rules \(nft, ip\)/),
    },
  },
];

const services: Case[] = [
  {
    name: 'a Service that one node drops is not blamed on the pod network',
    node: first,
    damage: 'service-dropped',
    expect: {
      'pod-to-pod': pass,
      dns: pass,
      'cluster-ip': block(/^8 of 8 connections from worker-1 to 10\.96\./),
      'node-port': block(/^4 of 4 connections to .* of worker-1 failed/, /firewall on that port/),
      'host-port': pass,
    },
  },
  {
    name: 'pods that reach no DNS server still reach everything else',
    node: second,
    damage: 'dns-dropped',
    expect: {
      'pod-to-pod': pass,
      dns: block(/^a pod on worker-2 cannot resolve kubernetes\.default\.svc/),
      'cluster-ip': pass,
      'node-port': pass,
    },
  },
  {
    name: 'a hostPort that an old chain leads elsewhere is told by who answers',
    node: first,
    damage: 'stale-host-port',
    expect: {
      'pod-to-pod': pass,
      'node-port': pass,
      'host-port': block(
        /from worker-2: cutover-probe-\w+ answered instead of cutover-probe-\w+/,
        /^traffic of this port reaches cutover-probe-\w+: on worker-1 delete the stale CNI-DN chain/,
      ),
    },
  },
  {
    name: 'pods that leave the pod network with their own address are found by who receives',
    node: first,
    damage: 'masquerade-skipped',
    expect: {
      'pod-to-pod': pass,
      'egress-source': block(/^1 of 3 receivers saw a wrong source address: pod on worker-1 -> node worker-2/),
    },
  },
  {
    name: 'pods that are hidden behind their node from other pods are found by who receives',
    node: first,
    damage: 'pods-hidden',
    expect: {
      'pod-to-pod': pass,
      'cluster-ip': pass,
      'egress-source': block(
        /^1 of 3 receivers saw a wrong source address: pod on worker-1 -> pod on worker-2: it is 10\.244\.\d+\.0,/,
        /leftover FLANNEL-POSTRTG/,
      ),
    },
  },
];

export const cases: readonly Case[] = [...healthy, ...cluster, ...workloads, ...node, ...network, ...services];
