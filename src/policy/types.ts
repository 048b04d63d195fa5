import type { KubernetesObject } from '../kubernetes/types.ts';

/**
 * What judging policies needs of a cluster, and what it answers. Everything in this folder is pure but `observe.ts`.
 *
 * The question is always the same: with Calico on every node, is this connection allowed, and which policy says so?
 * The answers are those of Calico's Felix, which is what enforces after the migration; where Kubernetes leaves something
 * open (an ipBlock that covers pods), Felix decides it.
 */
export type Protocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP';
export type Direction = 'ingress' | 'egress';
export type Labels = { [key: string]: string };

export interface PolicyPod {
  namespace: string;
  name: string;
  /** `namespace/name` of the Deployment, StatefulSet, DaemonSet, Job …, or of the pod itself when nobody owns it. */
  workload: string;
  labels: Labels;
  serviceAccount: string;
  node: string;
  /** IPv4 address, `` while it has none. */
  ip: string;
  /** Shares the network of its node: no policy selects it, and it is no peer of a selector. */
  hostNetwork: boolean;
  /** Container ports, with `` for one without a name. */
  ports: { name: string; port: number; protocol: Protocol }[];
  /** Whether it resolves names through the cluster's DNS. */
  clusterDns: boolean;
  /** TCP ports that its kubelet asks. */
  probes: number[];
}

export interface PolicyService {
  namespace: string;
  name: string;
  clusterIP: string;
  ports: { port: number; protocol: Protocol }[];
  /** Where each of its ports leads: what kube-proxy puts in place of the ClusterIP before any policy looks. */
  backends: { servicePort: number; protocol: Protocol; ip: string; port: number }[];
  /** Value of the annotation `cutover.dev/clients`, `` when there is none. */
  clients: string;
  /** The cluster's DNS. */
  isDns: boolean;
}

export interface PolicyNode {
  name: string;
  ip: string;
  /** Address of its VXLAN device, which its own packets to pods of other nodes carry; `` when it has none. */
  tunnelIp: string;
  /** Range of its pods, `` when it has none. */
  podCidr: string;
  controlPlane: boolean;
}

/** A webhook that the API server calls through a Service. */
export interface PolicyWebhook {
  /** `ValidatingWebhookConfiguration name`. */
  name: string;
  namespace: string;
  service: string;
  port: number;
}

export interface PolicyCluster {
  nodes: PolicyNode[];
  namespaces: { name: string; labels: Labels }[];
  /** Labels of ServiceAccounts by `namespace/name`. */
  serviceAccounts: { [name: string]: Labels };
  pods: PolicyPod[];
  services: PolicyService[];
  webhooks: PolicyWebhook[];
  /** Every object that is a policy, or that policies refer to, of whatever kind and vendor. */
  objects: KubernetesObject[];
  /** What Felix does with packets of a pod to its own node, after its egress policy let them pass. */
  endpointToHost: 'Accept' | 'Drop' | 'Return';
}

/** One end of a connection, resolved. */
export type Party =
  { kind: 'pod'; pod: PolicyPod } | { kind: 'host'; node: PolicyNode } | { kind: 'address'; ip: string };

/** One connection as the packet filter sees it: after the ClusterIP was replaced by a backend, before any masquerading. */
export interface Connection {
  from: Party;
  to: Party;
  protocol: Protocol;
  /** 0 for ICMP. */
  port: number;
  /** It goes through a Service: a pod that reaches itself this way leaves its own network and is judged. */
  viaService?: boolean;
}

/** What one end says. */
export interface SideVerdict {
  direction: Direction;
  allowed: boolean;
  /** Policies that select the pod of this end for this direction, in the order in which they are asked. */
  selectedBy: string[];
  /** The policy that decided; `` when none did: nothing selects the pod, or no rule matched (then all of `selectedBy`). */
  policy: string;
  /** `egress rule 2`, counted from 1; `` when no rule decided. */
  rule: string;
  /** One clause: `egress rule 2 of NetworkPolicy shop/web allows it`. */
  why: string;
}

export interface Verdict {
  allowed: boolean;
  /** Egress first; an end that no policy can judge (a host, an outside address) is not in it. */
  sides: SideVerdict[];
}

/** How somebody came to know that a flow works today. */
export type FlowSource = 'implied' | 'annotation' | 'file' | 'conntrack';

/** A flow as a person writes it down; ends are what `resolveEnd` takes. */
export interface DeclaredFlow {
  from: string;
  to: string;
  /** Of the Service where `to` is one, else of the pods. 0 for ICMP. */
  port: number;
  protocol: Protocol;
}

/** Connections that a node has seen answered. */
export interface ObservedFlow {
  node: string;
  source: string;
  /** After the ClusterIP was replaced. */
  destination: string;
  protocol: Protocol;
  port: number;
  connections: number;
}

/** One connection that works today, and who says so. */
export interface Flow {
  source: FlowSource;
  /** `flow 3 of flows.yaml`, `Service shop/api, its clients`, `conntrack of n1`. */
  origin: string;
  connection: Connection;
  /** `namespace/name` of the Service that it goes through, where that is known. */
  service?: string;
}
