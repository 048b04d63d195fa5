import type { KubernetesObject } from '../types.ts';
import type { Any } from './json-values.ts';

/** Fills in what the API server would: only what kubectl prints or somebody in the simulation relies on. */
export function applyDefaults(resource: string, object: KubernetesObject): void {
  defaults[resource]?.((object['spec'] ??= {}), object);
}

const defaults: { [resource: string]: (spec: Any, object: KubernetesObject) => void } = {
  pods: (spec, object) => {
    podDefaults(spec);
    spec.enableServiceLinks ??= true;
    spec.preemptionPolicy ??= 'PreemptLowerPriority';
    spec.priority ??=
      { 'system-node-critical': 2000001000, 'system-cluster-critical': 2000000000 }[spec.priorityClassName as string] ??
      0;
    if (spec.serviceAccountName === undefined) spec.serviceAccountName = spec.serviceAccount = 'default';
    spec.tolerations = withDefaultTolerations(spec.tolerations ?? []);
    const status = (object['status'] ??= {});
    status.phase ??= 'Pending';
    status.qosClass ??= qosClass([...(spec.containers ?? []), ...(spec.initContainers ?? [])]);
  },
  services: (spec) => {
    spec.type ??= 'ClusterIP';
    spec.sessionAffinity ??= 'None';
    spec.internalTrafficPolicy ??= 'Cluster';
    if (spec.type !== 'ClusterIP') spec.externalTrafficPolicy ??= 'Cluster';
    spec.ipFamilies ??= ['IPv4'];
    spec.ipFamilyPolicy ??= 'SingleStack';
    for (const port of spec.ports ?? []) {
      port.protocol ??= 'TCP';
      port.targetPort ??= port.port;
    }
  },
  namespaces: (spec, object) => {
    spec.finalizers ??= ['kubernetes'];
    object['status'] ??= { phase: 'Active' };
    object.metadata.labels = { 'kubernetes.io/metadata.name': object.metadata.name, ...object.metadata.labels };
  },
  'deployments.apps': (spec, object) => {
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    spec.strategy ??= {};
    spec.strategy.type ??= 'RollingUpdate';
    if (spec.strategy.type === 'RollingUpdate') {
      spec.strategy.rollingUpdate = { maxSurge: '25%', maxUnavailable: '25%', ...spec.strategy.rollingUpdate };
    }
    podDefaults(((spec.template ??= {}).spec ??= {}));
    object['status'] ??= {};
  },
  'daemonsets.apps': (spec, object) => {
    spec.revisionHistoryLimit ??= 10;
    spec.updateStrategy ??= {};
    spec.updateStrategy.type ??= 'RollingUpdate';
    if (spec.updateStrategy.type === 'RollingUpdate') {
      spec.updateStrategy.rollingUpdate = { maxSurge: 0, maxUnavailable: 1, ...spec.updateStrategy.rollingUpdate };
    }
    podDefaults(((spec.template ??= {}).spec ??= {}));
    object['status'] ??= {
      currentNumberScheduled: 0,
      desiredNumberScheduled: 0,
      numberMisscheduled: 0,
      numberReady: 0,
    };
  },
  'statefulsets.apps': (spec, object) => {
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    spec.podManagementPolicy ??= 'OrderedReady';
    spec.updateStrategy ??= { type: 'RollingUpdate', rollingUpdate: { partition: 0 } };
    podDefaults(((spec.template ??= {}).spec ??= {}));
    object['status'] ??= { replicas: 0 };
  },
  'replicasets.apps': (spec, object) => {
    spec.replicas ??= 1;
    podDefaults(((spec.template ??= {}).spec ??= {}));
    object['status'] ??= { replicas: 0 };
  },
  'poddisruptionbudgets.policy': (_spec, object) => {
    object['status'] ??= { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 };
  },
  'networkpolicies.networking.k8s.io': (spec) => {
    // An empty list of egress rules is none: only a policy that has some governs egress without saying so.
    spec.policyTypes ??= (spec.egress ?? []).length === 0 ? ['Ingress'] : ['Ingress', 'Egress'];
  },
};

function qosClass(containers: Any[]): string {
  const asks = containers.map(({ resources: { requests = {}, limits = {} } }) => ({
    requests: { ...limits, ...requests },
    limits,
  }));
  if (asks.every(({ requests }) => Object.keys(requests).length === 0)) return 'BestEffort';
  const isGuaranteed = ({ requests, limits }: Any) =>
    ['cpu', 'memory'].every((each) => limits[each] !== undefined && limits[each] === requests[each]);
  return asks.every(isGuaranteed) ? 'Guaranteed' : 'Burstable';
}

function podDefaults(spec: Any): void {
  spec.restartPolicy ??= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ??= 'ClusterFirst';
  spec.securityContext ??= {};
  spec.schedulerName ??= 'default-scheduler';
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])])
    containerDefaults(spec, container);
  for (const volume of spec.volumes ?? []) {
    for (const source of ['configMap', 'secret', 'projected']) if (volume[source]) volume[source].defaultMode ??= 420;
    if (volume.hostPath) volume.hostPath.type ??= '';
  }
}

function containerDefaults(spec: Any, container: Any): void {
  const image = String(container.image ?? '');
  const latest = !/[:@]/.test(image.split('/').at(-1)!) || image.endsWith(':latest');
  container.imagePullPolicy ??= latest ? 'Always' : 'IfNotPresent';
  container.terminationMessagePath ??= '/dev/termination-log';
  container.terminationMessagePolicy ??= 'File';
  container.resources ??= {};
  for (const port of container.ports ?? []) {
    port.protocol ??= 'TCP';
    if (spec.hostNetwork === true) port.hostPort ??= port.containerPort;
  }
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe === undefined) continue;
    probe.timeoutSeconds ??= 1;
    probe.periodSeconds ??= 10;
    probe.successThreshold ??= 1;
    probe.failureThreshold ??= 3;
    if (probe.httpGet) probe.httpGet.scheme ??= 'HTTP';
  }
}

/** The DefaultTolerationSeconds admission plugin. */
function withDefaultTolerations(tolerations: Any[]): Any[] {
  const missing = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'].filter(
    (key) =>
      !tolerations.some(
        (each) => (each.key === undefined || each.key === key) && (!each.effect || each.effect === 'NoExecute'),
      ),
  );
  return [
    ...tolerations,
    ...missing.map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 })),
  ];
}
