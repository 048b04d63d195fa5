import { STOP_MS_ANNOTATION } from '../node/pod-worker.ts';
import type { KubernetesObject } from '../types.ts';
import type { Scenario, ScenarioWorkload } from './scenario.ts';
import type { Seed } from './system-objects.ts';

/** Workloads, budgets, policies and services of a scenario, as objects. */
export function workloadObjects({ workloads, budgets, policies, services }: Scenario): Seed[] {
  return [
    ...workloads.map(workloadObject),
    ...budgets.map(({ name, namespace, app, minAvailable, maxUnavailable }): Seed => [
      'poddisruptionbudgets.policy',
      {
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata: { name, namespace },
        spec: {
          ...(minAvailable === undefined ? { maxUnavailable } : { minAvailable }),
          selector: { matchLabels: { app } },
        },
      },
    ]),
    ...policies.map(({ name, namespace, spec }): Seed => [
      'networkpolicies.networking.k8s.io',
      { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace }, spec },
    ]),
    ...services.map(({ name, namespace, type, app, port, targetPort, nodePort, clusterIP }): Seed => [
      'services',
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace, labels: { app } },
        spec: {
          type,
          selector: { app },
          ...(clusterIP === undefined ? {} : { clusterIP }),
          ports: [{ port, targetPort, protocol: 'TCP', ...(nodePort === undefined ? {} : { nodePort }) }],
        },
      },
    ]),
  ];
}

function workloadObject(workload: ScenarioWorkload): Seed {
  const { kind, name, namespace, replicas } = workload;
  const labels = { ...workload.labels, app: name };
  const template = { metadata: { labels, annotations: annotationsOf(workload) }, spec: podSpec(workload) };
  const metadata = { name, namespace, labels };
  const selector = { matchLabels: { app: name } };
  if (kind === 'Pod') {
    return [
      'pods',
      { apiVersion: 'v1', kind, metadata: { ...metadata, annotations: annotationsOf(workload) }, spec: template.spec },
    ];
  }
  const scaled = kind === 'DaemonSet' ? {} : { replicas };
  const headless = kind === 'StatefulSet' ? { serviceName: name } : {};
  const object: KubernetesObject = {
    apiVersion: 'apps/v1',
    kind,
    metadata,
    spec: { ...scaled, ...headless, selector, template },
  };
  return [`${kind.toLowerCase()}s.apps`, object];
}

const annotationsOf = ({ stopMs }: ScenarioWorkload): { [key: string]: string } =>
  stopMs === undefined ? {} : { [STOP_MS_ANNOTATION]: String(stopMs) };

function podSpec(workload: ScenarioWorkload): KubernetesObject['spec'] {
  const { name, image, port, hostPort, hostNetwork, graceSeconds, preStopSeconds, spread, kind } = workload;
  const spreadOver = (topologyKey: string) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: { app: name } },
  });
  return {
    terminationGracePeriodSeconds: graceSeconds,
    ...(hostNetwork ? { hostNetwork } : {}),
    ...(workload.nodeName === undefined ? {} : { nodeName: workload.nodeName }),
    ...(workload.nodeSelector === undefined ? {} : { nodeSelector: workload.nodeSelector }),
    ...(workload.tolerations.length === 0 ? {} : { tolerations: workload.tolerations }),
    ...(spread && (kind === 'Deployment' || kind === 'StatefulSet')
      ? { topologySpreadConstraints: [spreadOver('topology.kubernetes.io/zone'), spreadOver('kubernetes.io/hostname')] }
      : {}),
    containers: [
      {
        name: 'main',
        image,
        args: ['netexec', `--http-port=${port}`],
        ports: [
          { name: 'http', containerPort: port, protocol: 'TCP', ...(hostPort === undefined ? {} : { hostPort }) },
        ],
        readinessProbe: { httpGet: { path: '/', port }, periodSeconds: 1 },
        ...(preStopSeconds === 0 ? {} : { lifecycle: { preStop: { sleep: { seconds: preStopSeconds } } } }),
        ...(workload.emptyDir ? { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] } : {}),
      },
    ],
    ...(workload.emptyDir ? { volumes: [{ name: 'scratch', emptyDir: {} }] } : {}),
  };
}
