import { parseCidr } from '../checks/cidr.ts';
import { calico } from '../checks/names.ts';
import { kinds } from '../kubernetes/kinds.ts';
import { workloadOwner } from '../kubernetes/owner.ts';
import type { KubernetesClient, KubernetesObject } from '../kubernetes/types.ts';
import { policyKinds } from './kinds.ts';
import type { PolicyCluster, PolicyNode, PolicyPod, PolicyService, PolicyWebhook, Protocol } from './types.ts';

/** Names the workloads and pods that use a Service, comma separated; see docs/checks.md. */
export const clientsAnnotation = 'cutover.dev/clients';

/** Reads from the API what judging policies needs. Changes nothing. */
export async function observePolicies(kubernetes: KubernetesClient): Promise<PolicyCluster> {
  const [nodes, namespaces, pods, services, slices, accounts, validating, mutating, agents, ...policies] =
    await Promise.all([
      kubernetes.list(kinds.node),
      kubernetes.list(kinds.namespace),
      kubernetes.list(kinds.pod),
      kubernetes.list(kinds.service),
      kubernetes.list({ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }),
      kubernetes.list(kinds.serviceAccount),
      kubernetes.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingWebhookConfiguration' }),
      kubernetes.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration' }),
      kubernetes.list(kinds.daemonSet, { fieldSelector: `metadata.name=${calico.daemonSet}` }),
      ...policyKinds.map((kind) => kubernetes.list(kind)),
    ]);
  return policyCluster({
    nodes,
    namespaces,
    pods,
    services,
    slices,
    accounts,
    webhooks: [...validating, ...mutating],
    agents,
    policies: policies.flat(),
  });
}

/** The same from objects. Pure. */
export function policyCluster(found: {
  nodes: KubernetesObject[];
  namespaces: KubernetesObject[];
  pods: KubernetesObject[];
  services: KubernetesObject[];
  slices: KubernetesObject[];
  accounts: KubernetesObject[];
  webhooks: KubernetesObject[];
  agents: KubernetesObject[];
  policies: KubernetesObject[];
}): PolicyCluster {
  const slices = Map.groupBy(
    found.slices.filter((slice) => slice['addressType'] === 'IPv4'),
    ({ metadata }) => `${metadata.namespace}/${metadata.labels?.['kubernetes.io/service-name']}`,
  );
  return {
    nodes: found.nodes.map(nodeOf),
    namespaces: found.namespaces.map(({ metadata }) => ({ name: metadata.name, labels: metadata.labels ?? {} })),
    serviceAccounts: Object.fromEntries(
      found.accounts.map(({ metadata }) => [`${metadata.namespace}/${metadata.name}`, metadata.labels ?? {}]),
    ),
    pods: found.pods.filter(isLive).map(podOf),
    services: found.services.map((service) =>
      serviceOf(service, slices.get(`${service.metadata.namespace}/${service.metadata.name}`) ?? []),
    ),
    webhooks: found.webhooks.flatMap(webhooksOf),
    objects: withoutTwins(found.policies),
    endpointToHost: endpointToHost(found.agents[0]),
  };
}

const isLive = ({ status }: KubernetesObject): boolean => status?.phase !== 'Succeeded' && status?.phase !== 'Failed';

function nodeOf({ metadata, spec, status }: KubernetesObject): PolicyNode {
  const { annotations = {}, labels = {} } = metadata;
  const internal = (status?.addresses ?? []).find(({ type }: { type: string }) => type === 'InternalIP');
  // flannel.1 has the first address of the node's range, and Calico's device takes it over (§2.1 of the migration facts).
  const podCidr = String(spec?.podCIDR ?? '');
  const range = parseCidr(podCidr);
  return {
    name: metadata.name,
    ip: String(internal?.address ?? ''),
    tunnelIp:
      annotations['projectcalico.org/IPv4VXLANTunnelAddr'] ?? (range === undefined ? '' : podCidr.replace(/\/.*/, '')),
    podCidr,
    controlPlane: 'node-role.kubernetes.io/control-plane' in labels || 'node-role.kubernetes.io/master' in labels,
  };
}

interface Container {
  ports?: { name?: string; containerPort: number; protocol?: string }[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
}
interface Probe {
  httpGet?: { port: number | string };
  tcpSocket?: { port: number | string };
  grpc?: { port: number };
}

function podOf(object: KubernetesObject): PolicyPod {
  const { metadata, spec = {}, status } = object;
  const containers = (spec.containers ?? []) as Container[];
  const hostNetwork = spec.hostNetwork === true;
  const ports = containers.flatMap(({ ports = [] }) =>
    ports.map(({ name = '', containerPort, protocol = 'TCP' }) => ({
      name,
      port: containerPort,
      protocol: protocol as Protocol,
    })),
  );
  const probed = containers
    .flatMap(({ livenessProbe, readinessProbe, startupProbe }) => [livenessProbe, readinessProbe, startupProbe])
    .map((probe) => probe?.httpGet?.port ?? probe?.tcpSocket?.port ?? probe?.grpc?.port)
    .map((port) => (typeof port === 'string' ? ports.find(({ name }) => name === port)?.port : port))
    .filter((port) => port !== undefined);
  const dnsPolicy = spec.dnsPolicy ?? 'ClusterFirst';
  return {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    workload: `${metadata.namespace ?? 'default'}/${workloadName(object)}`,
    labels: metadata.labels ?? {},
    serviceAccount: String(spec.serviceAccountName ?? 'default'),
    node: String(spec.nodeName ?? ''),
    ip: /^[0-9.]+$/.test(String(status?.podIP ?? '')) ? String(status.podIP) : '',
    hostNetwork,
    ports,
    clusterDns: !hostNetwork && dnsPolicy === 'ClusterFirst',
    probes: [...new Set(probed)],
  };
}

/** Deployments own pods through a ReplicaSet, CronJobs through a Job whose name ends with the minute it ran. */
export function workloadName(pod: KubernetesObject): string {
  const owner = workloadOwner(pod);
  if (owner === undefined) return pod.metadata.name;
  return owner.kind === 'Job' ? owner.name.replace(/-\d{8,}$/, '') : owner.name;
}

function serviceOf({ metadata, spec = {} }: KubernetesObject, slices: KubernetesObject[]): PolicyService {
  const ports = ((spec.ports ?? []) as { name?: string; port: number; protocol?: string }[]).map(
    ({ name = '', port, protocol = 'TCP' }) => ({ name, port, protocol: protocol as Protocol }),
  );
  const backends = ports.flatMap(({ name, port, protocol }) =>
    slices.flatMap((slice) => {
      const target = ((slice['ports'] ?? []) as { name?: string; port?: number; protocol?: string }[]).find(
        (each) => (each.name ?? '') === name && (each.protocol ?? 'TCP') === protocol,
      );
      if (target?.port === undefined) return [];
      const endpoints = (slice['endpoints'] ?? []) as { addresses: string[]; conditions?: { ready?: boolean } }[];
      return endpoints
        .filter(({ conditions }) => conditions?.ready !== false)
        .map(({ addresses }) => ({ servicePort: port, protocol, ip: addresses[0]!, port: target.port! }));
    }),
  );
  return {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    clusterIP: String(spec.clusterIP ?? ''),
    ports: ports.map(({ port, protocol }) => ({ port, protocol })),
    backends,
    clients: metadata.annotations?.[clientsAnnotation] ?? '',
    isDns:
      metadata.namespace === 'kube-system' &&
      (metadata.name === 'kube-dns' || metadata.labels?.['k8s-app'] === 'kube-dns'),
  };
}

function webhooksOf(configuration: KubernetesObject): PolicyWebhook[] {
  const services = ((configuration['webhooks'] ?? []) as Webhook[]).flatMap(({ clientConfig }) =>
    clientConfig?.service === undefined ? [] : [clientConfig.service],
  );
  const name = `${configuration.kind} ${configuration.metadata.name}`;
  return services.map(({ namespace, name: service, port = 443 }) => ({ name, namespace, service, port }));
}
interface Webhook {
  clientConfig?: { service?: { namespace: string; name: string; port?: number } };
}

/** Calico's API server shows the objects of its definitions a second time, as projectcalico.org/v3. */
function withoutTwins(objects: KubernetesObject[]): KubernetesObject[] {
  const served = new Set(
    objects.filter(({ apiVersion }) => apiVersion === 'projectcalico.org/v3').map(({ kind }) => kind),
  );
  return objects.filter(({ apiVersion, kind }) => apiVersion !== 'crd.projectcalico.org/v1' || !served.has(kind));
}

/** Calico's manifest sets it for the agents in their environment; without an agent, the manifest's own value is assumed. */
function endpointToHost(agent: KubernetesObject | undefined): PolicyCluster['endpointToHost'] {
  const containers = (agent?.['spec']?.template?.spec?.containers ?? []) as {
    env?: { name: string; value?: string }[];
  }[];
  const written = containers
    .flatMap(({ env = [] }) => env)
    .find(({ name }) => name === 'FELIX_DEFAULTENDPOINTTOHOSTACTION')?.value;
  const known = { accept: 'Accept', drop: 'Drop', return: 'Return' } as const;
  return known[(written ?? 'accept').toLowerCase() as keyof typeof known] ?? 'Accept';
}
