import { systemNamespaces } from '../controllers/namespaces.ts';
import { timestamp } from '../controllers/pods.ts';
import { macOf } from '../node/identity.ts';
import type { KubernetesObject, ObjectStore, SimClock } from '../types.ts';
import { addressAt, parseCidr } from './address.ts';
import type { Scenario, ScenarioNode } from './scenario.ts';
import {
  apiServiceObjects,
  DNS_SERVICE_IP_OFFSET,
  dnsObjects,
  flannelObjects,
  kubeProxyObjects,
} from './system-objects.ts';
import type { Seed } from './system-objects.ts';
import { workloadObjects } from './workload-objects.ts';

/**
 * Writes the bare cluster that the scenario describes: nodes that are registered, and what the system itself has on them.
 * Pods are not written: the controllers make them, and the kubelets start them.
 */
export function seedSystem(store: ObjectStore, scenario: Scenario, clock: SimClock): void {
  const services = parseCidr(scenario.serviceNetwork);
  write(store, [
    ...systemNamespaces.map(namespace),
    ...scenario.nodes.map((node): Seed => ['nodes', nodeObject(node, scenario, clock)]),
    ...apiServiceObjects(scenario, addressAt(services, 1)),
    ...flannelObjects(scenario),
    ...kubeProxyObjects(scenario),
    ...scenario.nodes.filter(({ controlPlane }) => controlPlane).flatMap((node) => staticPods(node, scenario)),
  ]);
}

/** Writes what runs on the cluster. On nodes that have their network already, or the first ones that have it get it all. */
export function seedWorkloads(store: ObjectStore, scenario: Scenario): void {
  const dns = addressAt(parseCidr(scenario.serviceNetwork), DNS_SERVICE_IP_OFFSET);
  write(store, [...dnsObjects(scenario, dns), ...workloadObjects(scenario)]);
}

/** Creates the objects in this order, and a namespace before the first object in it. */
function write(store: ObjectStore, seeds: Seed[]): void {
  for (const [resource, object] of seeds) {
    const home = object.metadata.namespace;
    if (home !== undefined && store.get('namespaces', undefined, home) === undefined) store.create(...namespace(home));
    store.create(resource, owned(object, store));
  }
}

const namespace = (name: string): Seed => ['namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }];

/** kubelet reports no more (nodeStatusMaxImages). */
const mostReported = 50;

/** The images of a node, but for those that a fault keeps away. */
export function imagesOf({ name }: ScenarioNode, { images, faults }: Scenario): string[] {
  const missing = faults
    .filter((fault) => fault.name === 'agent-image-missing' && (fault.nodes?.includes(name) ?? true))
    .map((fault) => (typeof fault['image'] === 'string' ? fault['image'] : 'calico'));
  return images.filter((image) => !missing.some((part) => image.includes(part)));
}

function nodeObject(node: ScenarioNode, scenario: Scenario, clock: SimClock): KubernetesObject {
  const now = timestamp(clock.now());
  const taints = [
    ...(node.controlPlane ? [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }] : []),
    ...node.taints.map(({ key, value, effect }) => ({ key, ...(value === '' ? {} : { value }), effect })),
    ...(node.cordoned ? [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule', timeAdded: now }] : []),
  ];
  const { versions } = scenario;
  const amounts = {
    cpu: '4',
    memory: '8145080Ki',
    pods: '110',
    'ephemeral-storage': '61255492Ki',
    'hugepages-2Mi': '0',
  };
  const condition = (type: string, status: string, reason: string, message: string) => ({
    type,
    status,
    reason,
    message,
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  });
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: node.name,
      labels: {
        'beta.kubernetes.io/arch': 'amd64',
        'beta.kubernetes.io/os': 'linux',
        'kubernetes.io/arch': 'amd64',
        'kubernetes.io/os': 'linux',
        'kubernetes.io/hostname': node.name,
        ...(node.zone === '' ? {} : { 'topology.kubernetes.io/zone': node.zone }),
        ...(node.controlPlane
          ? {
              'node-role.kubernetes.io/control-plane': '',
              'node.kubernetes.io/exclude-from-external-load-balancers': '',
            }
          : {}),
        ...node.labels,
      },
      annotations: {
        'flannel.alpha.coreos.com/backend-data': JSON.stringify({ VNI: 1, VtepMAC: macOf(`${node.name} flannel.1`) }),
        'flannel.alpha.coreos.com/backend-type': 'vxlan',
        'flannel.alpha.coreos.com/kube-subnet-manager': 'true',
        'flannel.alpha.coreos.com/public-ip': node.ip,
        'node.alpha.kubernetes.io/ttl': '0',
        'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
      },
    },
    spec: {
      podCIDR: node.podCIDR,
      podCIDRs: [node.podCIDR],
      ...(taints.length > 0 ? { taints } : {}),
      ...(node.cordoned ? { unschedulable: true } : {}),
    },
    status: {
      addresses: [
        { type: 'InternalIP', address: node.ip },
        { type: 'Hostname', address: node.name },
      ],
      capacity: amounts,
      allocatable: amounts,
      conditions: [
        condition('NetworkUnavailable', 'False', 'FlannelIsUp', 'Flannel is running on this node'),
        condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
        condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
        condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
        condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
      images: imagesOf(node, scenario)
        .slice(0, mostReported)
        .map((image) => ({ names: [image], sizeBytes: 40_000_000 })),
      nodeInfo: {
        architecture: 'amd64',
        bootID: '',
        containerRuntimeVersion: versions.containerRuntime,
        kernelVersion: node.kernel,
        kubeProxyVersion: '',
        kubeletVersion: versions.kubernetes,
        machineID: '',
        operatingSystem: 'linux',
        osImage: versions.os,
        systemUUID: '',
      },
    },
  };
}

/** Mirrors of the static pods of a control plane: on the host's network, owned by their node, not to be evicted. */
function staticPods({ name, ip }: ScenarioNode, { versions }: Scenario): Seed[] {
  return ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'].map((component) => [
    'pods',
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `${component}-${name}`,
        namespace: 'kube-system',
        labels: { component, tier: 'control-plane' },
        annotations: {
          'kubernetes.io/config.source': 'file',
          'kubernetes.io/config.mirror': macOf(`${component} ${name}`).replaceAll(':', ''),
        },
        ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid: '', controller: true }],
      },
      spec: {
        nodeName: name,
        hostNetwork: true,
        priorityClassName: 'system-node-critical',
        tolerations: [{ operator: 'Exists', effect: 'NoExecute' }],
        containers: [
          {
            name: component,
            image: `registry.k8s.io/${component}:${component === 'etcd' ? '3.6.4-0' : versions.kubernetes}`,
            command: [component, `--advertise-address=${ip}`],
          },
        ],
      },
    },
  ]);
}

/** The uid of the node exists once the node does. */
function owned(object: KubernetesObject, store: ObjectStore): KubernetesObject {
  const [owner] = object.metadata.ownerReferences ?? [];
  if (owner?.kind !== 'Node') return object;
  const uid = store.get('nodes', undefined, owner.name)?.metadata.uid ?? '';
  return { ...object, metadata: { ...object.metadata, ownerReferences: [{ ...owner, uid }] } };
}
