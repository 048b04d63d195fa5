import type { KubernetesObject } from '../../src/kubernetes/types.ts';
import { createEvaluator } from '../../src/policy/evaluate.ts';
import type {
  Connection,
  Labels,
  Party,
  PolicyCluster,
  PolicyNode,
  PolicyPod,
  Protocol,
} from '../../src/policy/types.ts';

/** A small cluster for judging policies: two nodes, three namespaces, and the policies of a test. */
export const nodes: PolicyNode[] = [
  { name: 'n1', ip: '192.168.0.1', tunnelIp: '10.244.1.0', podCidr: '10.244.1.0/24', controlPlane: true },
  { name: 'n2', ip: '192.168.0.2', tunnelIp: '10.244.2.0', podCidr: '10.244.2.0/24', controlPlane: false },
];

const placed = new Map<string, number>();

export function pod(id: string, options: Partial<PolicyPod> & { labels?: Labels } = {}): PolicyPod {
  const [namespace, name] = id.split('/') as [string, string];
  const node = options.node ?? 'n1';
  const at = (placed.get(node) ?? 1) + 1;
  placed.set(node, at);
  return {
    namespace,
    name,
    workload: id,
    serviceAccount: 'default',
    node,
    ip: options.hostNetwork ? nodes.find((each) => each.name === node)!.ip : `10.244.${node.slice(1)}.${at}`,
    hostNetwork: false,
    ports: [],
    clusterDns: false,
    probes: [],
    ...options,
    labels: options.labels ?? { app: name },
  };
}

export const policy = (id: string, spec: object): KubernetesObject =>
  object('networking.k8s.io/v1', 'NetworkPolicy', id, spec);
export const calico = (kind: string, id: string, spec: object, labels: Labels = {}): KubernetesObject =>
  object('crd.projectcalico.org/v1', kind, id, spec, labels);

export function object(
  apiVersion: string,
  kind: string,
  id: string,
  spec: object,
  labels: Labels = {},
): KubernetesObject {
  const [namespace, name] = id.includes('/') ? id.split('/') : [undefined, id];
  return { apiVersion, kind, metadata: { name: name!, ...(namespace ? { namespace } : {}), labels }, spec };
}

export function cluster(
  pods: PolicyPod[],
  objects: KubernetesObject[],
  change: Partial<PolicyCluster> = {},
): PolicyCluster {
  return {
    nodes,
    namespaces: ['shop', 'ops', 'kube-system'].map((name) => ({
      name,
      labels: { 'kubernetes.io/metadata.name': name, ...(name === 'ops' ? { team: 'ops' } : {}) },
    })),
    serviceAccounts: {},
    pods,
    services: [],
    webhooks: [],
    objects,
    endpointToHost: 'Accept',
    ...change,
  };
}

export const party = (each: PolicyPod | string): Party => {
  if (typeof each !== 'string') return { kind: 'pod', pod: each };
  const node = nodes.find(({ name }) => each === `node:${name}`);
  return node ? { kind: 'host', node } : { kind: 'address', ip: each };
};

export const connection = (
  from: PolicyPod | string,
  to: PolicyPod | string,
  port: number,
  protocol: Protocol = 'TCP',
): Connection => ({ from: party(from), to: party(to), port, protocol });

/** Who asks and who answers where policies are judged. */
export const web = pod('shop/web', { ports: [{ name: 'http', port: 8080, protocol: 'TCP' }] });
export const api = pod('shop/api', { node: 'n2', ports: [{ name: 'http', port: 9090, protocol: 'TCP' }] });
export const monitor = pod('ops/monitor', { node: 'n2', serviceAccount: 'prometheus' });
export const host = pod('ops/host-agent', { node: 'n2', hostNetwork: true, labels: { app: 'web' } });
export const pods = [web, api, monitor, host];
export const outside = '203.0.113.7';

export const judge = (
  objects: KubernetesObject[],
  from: PolicyPod | string,
  to: PolicyPod | string,
  port = 8080,
  protocol: Protocol = 'TCP',
  change: Partial<PolicyCluster> = {},
) => createEvaluator(cluster(pods, objects, change)).judge(connection(from, to, port, protocol));
export const onWeb = { podSelector: { matchLabels: { app: 'web' } } };
