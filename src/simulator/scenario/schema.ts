import { z } from 'zod';

import { isFaultName, faultNames } from './faults.ts';
import type { Range } from './random.ts';

/**
 * What a scenario file may say. Every duration is in simulated ms unless its name says seconds; a duration may be one
 * number or `[shortest, longest]`. Defaults are what a real three-node cluster took (lab.md §3).
 */
const name = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'must be a lower-case DNS name');
const labels = z.record(z.string(), z.string());
const port = z.int().min(1).max(65535);
const cidr = z.string().regex(/^\d+\.\d+\.\d+\.\d+\/\d+$/, 'must be an IPv4 network such as 10.244.0.0/16');

const range = (least: number, most: number = least) =>
  z
    .union([z.number().min(0), z.tuple([z.number().min(0), z.number().min(0)])])
    .default([least, most])
    .transform((value): Range => (typeof value === 'number' ? [value, value] : value));

const taint = z.strictObject({
  key: z.string(),
  value: z.string().default(''),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']),
});

const nodeSettings = z.strictObject({
  zone: z.string().optional(),
  controlPlane: z.boolean().optional(),
  /** A person had cordoned it before. */
  cordoned: z.boolean().default(false),
  labels: labels.default({}),
  taints: z.array(taint).default([]),
  /** Files in /etc/cni/net.d that another CNI left, by name. */
  leftoverConfs: z.record(z.string(), z.string()).default({}),
  /** known_hosts holds another host key than the node shows. */
  hostKeyChanged: z.boolean().default(false),
  kernel: z.string().optional(),
});

const nodes = z.union([
  z.array(nodeSettings.extend({ name })).min(1),
  z.strictObject({
    workers: z.int().min(0),
    controlPlanes: z.int().min(0).default(1),
    zones: z.array(z.string()).default(['zone-a']),
    /** By node name: `worker-2: { cordoned: true }`. */
    overrides: z.record(z.string(), nodeSettings).default({}),
  }),
]);

const workload = z.strictObject({
  kind: z.enum(['Deployment', 'DaemonSet', 'StatefulSet', 'Pod']).default('Deployment'),
  name,
  namespace: name.default('default'),
  /** Not for DaemonSet and Pod. */
  replicas: z.int().min(0).default(1),
  image: z.string().default('registry.k8s.io/e2e-test-images/agnhost:2.53'),
  /** Container port, TCP. */
  port: port.default(8080),
  hostPort: port.optional(),
  hostNetwork: z.boolean().default(false),
  graceSeconds: z.number().min(0).default(30),
  /** How long the container takes to stop after SIGTERM, at most its grace period. */
  stopMs: z.number().min(0).optional(),
  preStopSeconds: z.number().min(0).default(0),
  nodeName: z.string().optional(),
  nodeSelector: labels.optional(),
  tolerations: z.array(z.record(z.string(), z.unknown())).default([]),
  /** Spread over zones and nodes, as far as it goes. */
  spread: z.boolean().default(true),
  emptyDir: z.boolean().default(false),
  labels: labels.default({}),
});

const amount = z.union([z.int().min(0), z.string().regex(/^\d+%$/, 'must be a number or a percentage')]);

const budget = z
  .strictObject({
    name,
    namespace: name.default('default'),
    /** Selects the pods of the workload of that name (label `app`). */
    app: z.string(),
    minAvailable: amount.optional(),
    maxUnavailable: amount.optional(),
  })
  .refine(
    (each) => (each.minAvailable === undefined) !== (each.maxUnavailable === undefined),
    'needs minAvailable or maxUnavailable, and not both',
  );

const policy = z.strictObject({ name, namespace: name.default('default'), spec: z.record(z.string(), z.unknown()) });

const service = z.strictObject({
  name,
  namespace: name.default('default'),
  type: z.enum(['ClusterIP', 'NodePort']).default('ClusterIP'),
  /** Selects the pods of the workload of that name (label `app`). */
  app: z.string(),
  port: port.default(80),
  targetPort: port.default(8080),
  nodePort: z.int().min(30000).max(32767).optional(),
  clusterIP: z.ipv4().optional(),
});

/** Packets a second of simulated time, of one stream. */
const perSecond = z.number().min(0).default(100);
const streamBase = {
  name: z.string().optional(),
  /** IP packet size; 1450 is what fits a VXLAN on an underlay of 1500. */
  bytes: z.int().min(28).max(9000).default(512),
  /** At most so many streams of this entry. */
  limit: z.int().min(1).default(12),
};
const stream = z.discriminatedUnion('kind', [
  /** `namespace/app` or `app`; pairs are made across nodes. */
  z.strictObject({
    kind: z.literal('pod-to-pod'),
    from: z.string(),
    to: z.string(),
    protocol: z.enum(['udp', 'tcp']).default('udp'),
    perSecond,
    ...streamBase,
  }),
  z.strictObject({
    kind: z.literal('cluster-ip'),
    from: z.string(),
    service: z.string(),
    perSecond: perSecond.default(20),
    ...streamBase,
  }),
  /** From outside the cluster to the service's node port on each node. */
  z.strictObject({
    kind: z.literal('node-port'),
    service: z.string(),
    perSecond: perSecond.default(20),
    ...streamBase,
  }),
  z.strictObject({ kind: z.literal('dns'), from: z.string(), perSecond: perSecond.default(10), ...streamBase }),
]);

const fault = z
  .looseObject({ name: z.string(), nodes: z.array(z.string()).optional(), times: z.int().min(1).optional() })
  .superRefine((each, context) => {
    if (isFaultName(each.name)) return;
    context.addIssue({
      code: 'custom',
      path: ['name'],
      message: `unknown fault; the simulator knows ${faultNames.join(', ')}`,
    });
  });

const timing = z.strictObject({
  /** From bound to Running with the CNI's answer; sandbox, image on the node, container start. */
  podStart: range(600, 1800),
  /** From Running to Ready: what readiness probes take. */
  podReady: range(500, 2000),
  /** From the agent's pod bound to Ready: AGENT-READY was 4.3 to 8.5 s. */
  agentStart: range(4000, 8000),
  /** Between SIGTERM and the end of an agent's container. */
  agentStop: range(400, 1200),
  kubeletStop: range(400, 900),
  kubeletStart: range(400, 800),
  /** `crictl stopp` + `rmp` of one sandbox without / with a running container (§0a.13). */
  sandboxRemoval: range(40, 90),
  sandboxRemovalRunning: range(250, 420),
  /** After a sandbox failed: kubelet tries again so much later; 9 to 12 s were seen behind the fence (§0a.13). */
  sandboxBackoff: range(9000, 12000),
  /** From the end of a sandbox to its collection by kubelet, which comes once a minute (§0b.2). */
  sandboxCollection: range(0, 60_000),
  /** From a change in the conf directory to the network being loaded. */
  confLoad: range(80, 300),
  /** flanneld brings a deleted flannel.1 back (§0a.5: < 0.1 s). */
  flannelRecreate: range(40, 100),
  /** kube-proxy: from a changed EndpointSlice to its rules. */
  endpointSync: range(50, 300),
  /** Without a heartbeat for so long a node is Unknown. */
  nodeGrace: range(40_000),
  imagePull: range(2000, 6000),
});

const defaultImages = [
  'registry.k8s.io/pause:3.10.1',
  'registry.k8s.io/kube-proxy:v1.34.10',
  'registry.k8s.io/coredns/coredns:v1.12.1',
  'registry.k8s.io/e2e-test-images/agnhost:2.53',
  'ghcr.io/flannel-io/flannel:v0.28.9',
  'ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel1',
  'docker.io/calico/node:v3.28.5',
  'docker.io/calico/cni:v3.28.5',
  'docker.io/calico/pod2daemon-flexvol:v3.28.5',
];

export const scenarioSchema = z.strictObject({
  name,
  title: z.string().default(''),
  /** Simulated seconds in a real one; 0: every wait is one tick. */
  speed: z.number().min(0).default(1),
  seed: z.int().default(1),
  versions: z
    .strictObject({
      kubernetes: z.string().default('v1.34.10'),
      containerRuntime: z.string().default('containerd://2.1.9'),
      kernel: z.string().default('6.12.48-amd64'),
      os: z.string().default('Debian GNU/Linux 13 (trixie)'),
    })
    .prefault({}),
  /** Of one API request and of one SSH command, in simulated ms. */
  latency: z.strictObject({ api: z.number().min(0).default(4), ssh: z.number().min(0).default(120) }).prefault({}),
  cni: z.literal('flannel').default('flannel'),
  podNetwork: cidr.default('10.244.0.0/16'),
  serviceNetwork: cidr.default('10.96.0.0/16'),
  /** Node addresses are taken from here; they exist in the model only. */
  nodeNetwork: cidr.default('10.99.0.0/16'),
  /** Routers outside of the cluster that speak BGP with the nodes that peer with them. */
  routers: z.array(z.strictObject({ address: z.ipv4(), asNumber: z.int().min(1).max(4294967294) })).default([]),
  /** Prefix length of each node's own subnet; longer than the node network's makes several subnets behind one router. */
  subnetPrefix: z.int().min(8).max(32).optional(),
  underlayMtu: z.int().min(576).max(9216).default(1500),
  nodes,
  /** Images that are on every node from the start, besides those of the system, of Calico and of the probes. */
  images: z
    .array(z.string())
    .default([])
    .transform((more) => [...new Set([...defaultImages, ...more])]),
  timing: timing.prefault({}),
  workloads: z.array(workload).default([]),
  budgets: z.array(budget).default([]),
  policies: z.array(policy).default([]),
  services: z.array(service).default([]),
  traffic: z.array(stream).default([]),
  faults: z.array(fault).default([]),
});
