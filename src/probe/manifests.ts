import type { JsonObject } from '../json.ts';
import type { CompiledPlan } from '../plan/types.ts';

/** Name of the pod-network DaemonSet, of its Service, and the value of its `app` label. */
export const probeName = 'cutover-probe';
/** Name of the DaemonSet that lives in the nodes' own network, and the value of its `app` label. */
export const hostProbeName = 'cutover-probe-host';

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

/**
 * All objects that probing needs, in the order in which they are applied: namespace, two DaemonSets, Service.
 * They tolerate every taint, because the node that is looked at is cordoned and may be network-unavailable.
 */
export function probeManifests(probe: ProbeSettings): (JsonObject & { apiVersion: string; kind: string })[] {
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
    daemonSet(probe, probeName, {
      containers: [
        container(probe, ports.http, ports.udp, [
          { name: 'http', containerPort: ports.http, hostPort: ports.hostPort, protocol: 'TCP' },
          { name: 'udp', containerPort: ports.udp, protocol: 'UDP' },
        ]),
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
      ],
    }),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: probeName, namespace: probe.namespace, labels: labels(probeName) },
      spec: {
        type: 'NodePort',
        // Cluster, not Local: a node answers for pods of every other node, which is the path under test.
        externalTrafficPolicy: 'Cluster',
        selector: { app: probeName },
        ports: [{ name: 'http', port: ports.http, targetPort: ports.http, nodePort: ports.nodePort, protocol: 'TCP' }],
      },
    },
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
          ...podSpec,
        },
      },
    },
  } satisfies JsonObject;
}

function container(probe: ProbeSettings, http: number, udp: number, ports: JsonObject[]): JsonObject {
  return {
    name: 'probe',
    image: probe.image,
    // agnhost's own entry point; netexec serves /hostname, /clientip, /echo and /dial.
    args: ['netexec', `--http-port=${http}`, `--udp-port=${udp}`],
    ports,
    readinessProbe: { httpGet: { path: '/hostname', port: http }, periodSeconds: 2, failureThreshold: 2 },
    resources: { requests: { cpu: '5m', memory: '16Mi' } },
    securityContext: {
      runAsUser: 65534,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}
