import type { JsonObject } from '../json.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import type { CompiledPlan, PlannedNode } from '../plan/types.ts';
import { peersFile, streamProgram } from './stream-peers.ts';

/** Name of the pod-network DaemonSet, of its Service, and the value of its `app` label. */
export const probeName = 'cutover-probe';
/** Name of the DaemonSet that lives in the nodes' own network, and the value of its `app` label. */
export const hostProbeName = 'cutover-probe-host';
/** Name of the Service by which a pod reaches itself. */
export const localServiceName = 'cutover-probe-local';
/** Name of the Service that keeps each client with one probe pod. */
export const stickyServiceName = 'cutover-probe-sticky';
/** Name of the ConfigMap that holds the continuous probe and who sends to whom. */
export const streamsName = 'cutover-probe-streams';
/** Containers of both pods: the one that answers and asks for checks, and the continuous probe. */
export const probeContainer = 'probe';
export const streamContainer = 'stream';
/** Where the continuous probe writes what it has seen. */
export const streamReportFile = '/run/cutover/report';
/**
 * Label of the probe pods that the Service leads to. A pod whose node is about to be purged loses it first: purging is no
 * polite way to go, and connections to a Service would hit a pod that is gone until kubelet runs again. No pod is made with
 * it: one that is made behind the fence serves when its node has passed its checks, and not before.
 */
export const servingLabel = 'cutover.dev/serving';

export type ProbeSettings = CompiledPlan['probe'];

/** Every port that probing uses. The two after `hostPort` belong to the host-network probe, which shares the node's ports. */
export const probePorts = (probe: Pick<ProbeSettings, 'hostPort' | 'nodePort'>) => ({
  /** netexec in the probe pod: TCP (HTTP) and UDP. */
  http: 8080,
  udp: 8081,
  /** On each node's address: forwarded into the node's own probe pod by the CNI's portmap. */
  hostPort: probe.hostPort,
  /** On each node's address: forwarded to any probe pod by kube-proxy. */
  nodePort: probe.nodePort,
  /** netexec of the host-network probe, on each node's address. */
  hostHttp: probe.hostPort + 1,
  hostUdp: probe.hostPort + 2,
});

/** Stops at once: purge and rollback wait for these pods, and they hold nothing. */
const terminationGracePeriodSeconds = 0;

type Manifest = JsonObject & { apiVersion: string; kind: string };

/** What the continuous probe has to know: the nodes that take part, and the Service's address once it has one. */
export interface StreamSettings {
  nodes: readonly Pick<PlannedNode, 'name' | 'zone' | 'fingerprint'>[];
  clusterIP: string;
}

/**
 * Applies all that probing needs. The Service comes first: the continuous probe has to know its address.
 *
 * @param apply answers the object as the cluster has it now; undefined when it was left alone
 */
export async function applyProbes(
  probe: ProbeSettings,
  nodes: StreamSettings['nodes'],
  apply: (manifest: Manifest) => Promise<KubernetesObject | undefined>,
): Promise<void> {
  let clusterIP = '';
  for (const kind of ['Namespace', 'Service', 'ConfigMap', 'DaemonSet'])
    for (const manifest of probeManifests(probe, { nodes, clusterIP }).filter((each) => each.kind === kind)) {
      const applied = await apply(manifest);
      if (kind === 'Service' && applied?.metadata.name === probeName)
        clusterIP = String(applied?.['spec']?.clusterIP ?? '');
    }
}

/**
 * All objects that probing needs: namespace, Service, ConfigMap, two DaemonSets.
 * They tolerate every taint, because the node that is looked at is cordoned and may be network-unavailable.
 */
export function probeManifests(
  probe: ProbeSettings,
  streams: StreamSettings = { nodes: [], clusterIP: '' },
): Manifest[] {
  const ports = probePorts(probe);
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: probe.namespace,
        labels: {
          ...labels(probeName),
          // hostPort and hostNetwork are refused below this level of the Pod Security Standards.
          'pod-security.kubernetes.io/enforce': 'privileged',
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: probeName, namespace: probe.namespace, labels: labels(probeName) },
      spec: {
        type: 'NodePort',
        // Cluster, not Local: a node answers for pods of every other node, which is the path under test.
        externalTrafficPolicy: 'Cluster',
        selector: { app: probeName, [servingLabel]: 'yes' },
        ports: [{ name: 'http', port: ports.http, targetPort: ports.http, nodePort: ports.nodePort, protocol: 'TCP' }],
      },
    },
    {
      // Leads every pod to itself: the only endpoint on its node is its own. Published before it is Ready, so that
      // kube-proxy, which writes its rules once a second, knows the pod when its checks begin.
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: localServiceName, namespace: probe.namespace, labels: labels(probeName) },
      spec: {
        internalTrafficPolicy: 'Local',
        publishNotReadyAddresses: true,
        selector: { app: probeName },
        ports: [{ name: 'http', port: ports.http, targetPort: ports.http, protocol: 'TCP' }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: stickyServiceName, namespace: probe.namespace, labels: labels(probeName) },
      spec: {
        sessionAffinity: 'ClientIP',
        selector: { app: probeName, [servingLabel]: 'yes' },
        ports: [{ name: 'http', port: ports.http, targetPort: ports.http, protocol: 'TCP' }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: streamsName, namespace: probe.namespace, labels: labels(probeName) },
      data: { 'stream.sh': streamProgram(), peers: peersFile(streams.nodes), 'cluster-ip': streams.clusterIP },
    },
    daemonSet(probe, probeName, {
      containers: [
        container(probe, ports.http, ports.udp, [
          { name: 'http', containerPort: ports.http, hostPort: ports.hostPort, protocol: 'TCP' },
          { name: 'udp', containerPort: ports.udp, protocol: 'UDP' },
        ]),
        stream(probe, 'pod'),
      ],
    }),
    daemonSet(probe, hostProbeName, {
      hostNetwork: true,
      dnsPolicy: 'ClusterFirstWithHostNet',
      containers: [
        container(probe, ports.hostHttp, ports.hostUdp, [
          { name: 'http', containerPort: ports.hostHttp, hostPort: ports.hostHttp, protocol: 'TCP' },
          { name: 'udp', containerPort: ports.hostUdp, hostPort: ports.hostUdp, protocol: 'UDP' },
        ]),
        stream(probe, 'host'),
      ],
    }),
  ];
}

const labels = (app: string): JsonObject => ({ app, 'app.kubernetes.io/managed-by': 'cutover' });

function daemonSet(probe: ProbeSettings, name: string, podSpec: JsonObject) {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name, namespace: probe.namespace, labels: labels(name) },
    spec: {
      selector: { matchLabels: { app: name } },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '100%' } },
      template: {
        metadata: { labels: labels(name) },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds,
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          tolerations: [{ operator: 'Exists' }],
          volumes: [
            { name: 'streams', configMap: { name: streamsName } },
            // In memory: the report is written every second.
            { name: 'seen', emptyDir: { medium: 'Memory', sizeLimit: '4Mi' } },
          ],
          ...podSpec,
        },
      },
    },
  } satisfies JsonObject;
}

function container(probe: ProbeSettings, http: number, udp: number, ports: JsonObject[]): JsonObject {
  return {
    name: probeContainer,
    image: probe.image,
    // agnhost's own entry point; netexec serves /hostname, /clientip, /echo and /dial.
    args: ['netexec', `--http-port=${http}`, `--udp-port=${udp}`],
    ports,
    // Whoever is asked through a hostPort can say which node and pod it is.
    env: identity,
    readinessProbe: { httpGet: { path: '/hostname', port: http }, periodSeconds: 2, failureThreshold: 2 },
    resources: { requests: { cpu: '5m', memory: '16Mi' } },
    securityContext,
  };
}

/** The continuous probe (src/probe/stream.sh). Its limits bound what it may cost a node. */
function stream(probe: ProbeSettings, role: 'pod' | 'host'): JsonObject {
  const ports = probePorts(probe);
  const settings = {
    ROLE: role,
    HTTP_PORT: ports.http,
    UDP_PORT: ports.udp,
    HOST_PORT: ports.hostPort,
    HOST_HTTP_PORT: ports.hostHttp,
    NODE_PORT: ports.nodePort,
  };
  return {
    name: streamContainer,
    image: probe.image,
    command: ['bash', '/etc/cutover/stream.sh'],
    env: [...identity, ...Object.entries(settings).map(([name, value]) => ({ name, value: String(value) }))],
    volumeMounts: [
      { name: 'streams', mountPath: '/etc/cutover', readOnly: true },
      { name: 'seen', mountPath: '/run/cutover' },
    ],
    resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '250m', memory: '64Mi' } },
    securityContext,
  };
}

const identity: JsonObject[] = [
  { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
  { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
];

const securityContext: JsonObject = {
  runAsUser: 65534,
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};
