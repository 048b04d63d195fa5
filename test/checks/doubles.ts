import type { CheckContext } from '../../src/checks/types.ts';
import { payload } from '../../src/checks/pod-network/transfer.ts';
import { networkLabel } from '../../src/kubernetes/marks.ts';
import type { KubernetesClient, KubernetesObject, ListOptions, ObjectRef } from '../../src/kubernetes/types.ts';
import type { NodeAccess, NodeState, NodeSurvey } from '../../src/node/types.ts';
import type { CompiledPlan, CompiledStage, NodeFingerprint, PlannedNode } from '../../src/plan/types.ts';
import { fakeCurl, fakeCurls } from './fake-curl.ts';

/** Small doubles: a few nodes with probe pods whose answers a test decides. */

export const plannedNode = (
  name: string,
  options: { zone?: string; fingerprint?: Partial<NodeFingerprint> } = {},
): PlannedNode => ({
  name,
  zone: options.zone ?? '',
  controlPlane: false,
  fingerprint: {
    kubelet: 'v1.34.1',
    containerRuntime: 'containerd://2.1.9',
    kernel: '6.1.0',
    podCIDR: '10.244.1.0/24',
    internalIP: '192.168.0.1',
    hostKey: 'SHA256:key',
    cniConfs: {},
    overlayMtu: 1450,
    ...options.fingerprint,
  },
});

export const nodeState = (change: Partial<NodeState> = {}): NodeState => ({
  hostname: 'worker-1',
  kernel: '6.1.0',
  kubeletActive: true,
  confs: [{ name: '10-flannel.conflist', sha256: 'aa', network: 'cbr0', firstPlugin: 'flannel' }],
  loadedNetworks: ['cbr0'],
  links: [],
  routes: [],
  rules: [],
  legacyTables: [],
  nftTables: [],
  ipsets: [],
  leases: [],
  sandboxes: [],
  subnetEnv: {},
  flannelBinary: true,
  revertArmed: false,
  revertFired: false,
  snapshot: false,
  token: 0,
  missingTools: [],
  ...change,
});

export const nodeSurvey = (change: Partial<NodeSurvey> = {}): NodeSurvey => ({
  clock: Math.floor(Date.now() / 1000),
  confDir: '/etc/cni/net.d',
  binDirs: ['/opt/cni/bin'],
  maxConfNum: 1,
  listeners: [{ protocol: 'udp', port: 8472, program: '' }],
  uplink: { name: 'eth0', mtu: 1500 },
  pings: [{ peer: '192.168.0.9', small: true, large: true }],
  sysctls: {
    'net/ipv4/ip_forward': '1',
    'net/bridge/bridge-nf-call-iptables': '1',
    'net/ipv4/conf/all/rp_filter': '0',
    'net/ipv4/conf/uplink/rp_filter': '0',
    'fs/inotify/max_user_instances': '8192',
  },
  services: [],
  nmLeavesAlone: false,
  networkdLeavesAlone: false,
  conntrack: { count: 10, max: 1000 },
  diskFreePercent: 50,
  images: [],
  otherRules: [],
  missing: [],
  ...change,
});

export interface FakeNode {
  name: string;
  zone?: string;
  migrated?: boolean;
  adopted?: boolean;
  /** Its mark. */
  mark?: string;
  annotations?: { [key: string]: string };
  cordoned?: boolean;
  probesReady?: boolean;
  state?: Partial<NodeState>;
  survey?: Partial<NodeSurvey>;
}

export interface FakeCluster {
  nodes: FakeNode[];
  /** What a URL answers when a pod asks it (a transfer: its CRC and bytes); undefined is silence. The default is a network in order. */
  answer?(from: { pod: string; node: string; host: boolean }, url: string): string | undefined;
  plan?: Partial<CompiledPlan>;
  /** Of Kubernetes. */
  version?: string;
  /** Parts of the control plane that are not ready. */
  unready?: string[];
  /** More objects, by kind. */
  objects?: { [kind: string]: KubernetesObject[] };
}

export interface Double {
  context: CheckContext;
  /** Every exec that was made. */
  execs: { pod: string; command: string[] }[];
  inspected: string[];
  nodeLists: number;
}

export const addressOf = (index: number) => ({
  podIP: `10.244.${index}.9`,
  nodeIP: `192.168.0.${index}`,
  podCIDR: `10.244.${index}.0/24`,
});

/** A context over `cluster`; addresses are those of `addressOf(1)` for the first node, and so on. */
export function contextFor(cluster: FakeCluster, options: Partial<CheckContext> & { at?: string } = {}): Double {
  const double: Double = { context: undefined as unknown as CheckContext, execs: [], inspected: [], nodeLists: 0 };
  const planned = cluster.nodes.map((node, index) => {
    const { nodeIP, podCIDR } = addressOf(index + 1);
    const planned = plannedNode(node.name, { zone: node.zone ?? '', fingerprint: { internalIP: nodeIP, podCIDR } });
    return node.adopted ? { ...planned, adopted: true as const } : planned;
  });
  const nodeObjects = cluster.nodes.map((node, index) => nodeObject(node, index + 1));
  const pods = cluster.nodes.flatMap((node, index) => [
    probePod(node, index + 1, false),
    probePod(node, index + 1, true),
  ]);
  const all: { [kind: string]: KubernetesObject[] } = {
    Service: [
      object('v1', 'Service', 'kubernetes', 'default', { spec: { clusterIP: '10.96.0.1' } }),
      object('v1', 'Service', 'cutover-probe', 'probes', { spec: { clusterIP: '10.96.7.7' } }),
      object('v1', 'Service', 'cutover-probe-local', 'probes', { spec: { clusterIP: '10.96.7.8' } }),
      object('v1', 'Service', 'cutover-probe-sticky', 'probes', {
        spec: { clusterIP: '10.96.7.9', sessionAffinity: 'ClientIP' },
      }),
    ],
    ...cluster.objects,
    Node: nodeObjects,
    Pod: [...pods, ...(cluster.objects?.['Pod'] ?? [])],
  };
  const normal = orderlyNetwork(cluster);

  const kubernetes = {
    cluster: async () => ({ uid: 'uid', server: 'https://192.0.2.1', version: cluster.version ?? 'v1.34.10' }),
    unready: async () => cluster.unready ?? [],
    get: async ({ kind, name, namespace }: ObjectRef) =>
      (all[kind] ?? []).find((each) => each.metadata.name === name && each.metadata.namespace === namespace),
    list: async (
      { apiVersion, kind }: { apiVersion: string; kind: string },
      { namespace, fieldSelector, labelSelector }: ListOptions = {},
    ) => {
      if (kind === 'Node') double.nodeLists += 1;
      const node = /^spec\.nodeName=(.+)$/.exec(fieldSelector ?? '')?.[1];
      const wanted = labelSelector?.includes('=') ? labelSelector.split('=') : undefined;
      return (all[kind] ?? []).filter(
        (each) =>
          // Two vendors have a kind of this name.
          (kind !== 'NetworkPolicy' || each.apiVersion === apiVersion) &&
          (namespace === undefined || each.metadata.namespace === namespace) &&
          (node === undefined || each['spec']?.nodeName === node) &&
          (wanted === undefined || each.metadata.labels?.[wanted[0]!] === wanted[1]),
      );
    },
    names: async ({ kind }: { kind: string }) => (all[kind] ?? []).map((each) => each.metadata.name),
    exec: async ({ name }: { name: string }, command: string[]) => {
      double.execs.push({ pod: name, command });
      const pod = pods.find((each) => each.metadata.name === name)!;
      const from = { pod: name, node: String(pod['spec'].nodeName), host: name.includes('-host-') };
      const answer = (url: string) => (cluster.answer === undefined ? normal(from, url) : cluster.answer(from, url));
      const lookUps = command.join(' ').match(/\bdig /g) ?? [];
      if (lookUps.length > 0) {
        const printed = `${answer('dns') ?? ';; no servers could be reached'}\n@cutover\n`;
        return { stdout: printed.repeat(lookUps.length), stderr: '', exitCode: 0 };
      }
      if (command[0] === 'sh' && command[2]!.includes(' || ')) return fakeCurls(command[2]!.split(' || '), answer);
      if (command[0] === 'sh') {
        const sum = answer(/'(http.*)'/.exec(command[2]!)![1]!);
        return sum === undefined
          ? { stdout: '4294967295 0\n', stderr: 'curl: (28) Operation timed out\n', exitCode: 0 }
          : { stdout: `${sum}\n`, stderr: '', exitCode: 0 };
      }
      return fakeCurl(command, answer);
    },
  } as unknown as KubernetesClient;

  const nodes = {
    run: async (name: string, verb: string) => {
      if (verb === 'survey') return nodeSurvey(cluster.nodes.find((node) => node.name === name)?.survey);
      double.inspected.push(name);
      return nodeState(cluster.nodes.find((node) => node.name === name)?.state);
    },
    hostKey: async () => 'SHA256:key',
  } as unknown as NodeAccess;

  const plan = {
    probe: { image: 'agnhost', namespace: 'probes', hostPort: 18080, nodePort: 30480 },
    drain: { timeoutSeconds: 600, retrySeconds: 1, deleteEmptyDirData: false, force: false },
    strategy: { maxUnavailable: 1 },
    bundles: { manifests: { path: '/somewhere', sha256: 'b1' } },
    ...cluster.plan,
  } as CompiledPlan;
  const { at, ...rest } = options;
  const node = planned.find((each) => each.name === at);
  double.context = {
    kubernetes,
    nodes,
    plan,
    stage: { from: 'flannel', to: 'calico', waves: [{ id: 'all', nodes: planned }] } as unknown as CompiledStage,
    token: () => 7,
    signal: new AbortController().signal,
    migratedNodes: () => cluster.nodes.filter((each) => each.migrated).map((each) => each.name),
    patienceMs: 0,
    ...(node === undefined ? {} : { node }),
    ...rest,
  };
  return double;
}

/** What every URL answers when nothing is broken. */
export function orderlyNetwork(cluster: FakeCluster) {
  return (from: { pod: string; node: string; host: boolean }, url: string): string | undefined => {
    if (url === 'dns') return '10.96.0.1';
    const { hostname, port, pathname, searchParams } = new URL(url);
    const own = cluster.nodes.findIndex((node) => node.name === from.node) + 1;
    const toPod = cluster.nodes.findIndex((_, index) => addressOf(index + 1).podIP === hostname) + 1;
    const toNode = cluster.nodes.findIndex((_, index) => addressOf(index + 1).nodeIP === hostname) + 1;
    const target = toPod || toNode || own;
    const name = cluster.nodes[target - 1]!.name;
    if (pathname === '/echo') return searchParams.get('msg') ?? '';
    if (pathname === '/shell') return `${payload.crc} ${payload.bytes}`;
    if (pathname === '/clientip')
      return `${toNode > 0 || from.host ? addressOf(own).nodeIP : addressOf(own).podIP}:40000`;
    return toNode > 0 && port === '18081' ? name : `cutover-probe-${name}`;
  };
}

export const object = (
  apiVersion: string,
  kind: string,
  name: string,
  namespace?: string,
  rest: { [key: string]: unknown } = {},
): KubernetesObject => {
  const { metadata, ...others } = rest;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(metadata as object) },
    ...others,
  };
};

function nodeObject({ name, cordoned, mark, annotations }: FakeNode, index: number): KubernetesObject {
  const { podCIDR } = addressOf(index);
  return object('v1', 'Node', name, undefined, {
    metadata: {
      ...(mark === undefined ? {} : { labels: { [networkLabel]: mark } }),
      annotations: {
        ...annotations,
        'flannel.alpha.coreos.com/backend-type': 'vxlan',
        'flannel.alpha.coreos.com/backend-data': '{"VNI":1,"VtepMAC":"AA:BB:CC:00:00:0' + index + '"}',
      },
    },
    spec: { podCIDR, podCIDRs: [podCIDR], ...(cordoned ? { unschedulable: true } : {}) },
    status: {
      conditions: [{ type: 'Ready', status: 'True' }],
      allocatable: { cpu: '4', memory: '8Gi' },
      nodeInfo: {
        kernelVersion: '6.1.0-42-amd64',
        kubeletVersion: 'v1.34.10',
        containerRuntimeVersion: 'containerd://2.1.9',
        osImage: 'Debian GNU/Linux 13 (trixie)',
      },
    },
  });
}

function probePod({ name, probesReady }: FakeNode, index: number, host: boolean): KubernetesObject {
  const { podIP, nodeIP } = addressOf(index);
  const app = host ? 'cutover-probe-host' : 'cutover-probe';
  return object('v1', 'Pod', `${app}-${name}`, 'probes', {
    metadata: {
      labels: { app },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name: app, uid: '1', controller: true }],
    },
    spec: { nodeName: name },
    status: {
      phase: 'Running',
      podIP: host ? nodeIP : podIP,
      hostIP: nodeIP,
      conditions: [{ type: 'Ready', status: probesReady === false ? 'False' : 'True' }],
    },
  });
}
