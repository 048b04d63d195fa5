import type { DeclaredFlow } from '../policy/types.ts';
import type { NodeFingerprint } from './types.ts';

/** What compiling a plan has to know of the live cluster. Made by the activity `cluster.observe`, plain JSON. */
export interface ClusterFacts {
  uid: string;
  server: string;
  kubernetesVersion: string;
  observedAt: string;
  nodes: NodeFacts[];
  flannel: {
    /** `namespace/name` of the DaemonSet, `` when there is none. */
    daemonSet: string;
    network: string;
    backend: string;
    mtu: number;
    directRouting: boolean;
    addonManaged: boolean;
  } | null;
  calico: { daemonSet: string; pools: string[] } | null;
  workloads: { pods: number; podsByNode: { [node: string]: number } };
  /** Migrations of this cluster that were aborted, since one took everything back or came to its end. */
  aborted: string[];
  budgets: { namespace: string; name: string; disruptionsAllowed: number; pods: number }[];
  networkPolicies: { namespace: string; name: string }[];
  /** Digest of each folder that the plan names, as it is on the worker's disk; `error` when unreadable. */
  bundles: { [name: string]: { path: string; sha256: string; files: number; error?: string } };
  /** The file of flows that the plan names, as it is on the worker's disk; `error` when it cannot be used. */
  flows?: { path: string; flows: DeclaredFlow[]; error?: string; remedy?: string };
}

export interface NodeFacts {
  name: string;
  zone: string;
  controlPlane: boolean;
  ready: boolean;
  unschedulable: boolean;
  labels: { [key: string]: string };
  annotations: { [key: string]: string };
  fingerprint: NodeFingerprint;
  /** IPv4 addresses with their true prefix: `10.0.1.7/24`. Absent when nobody read them. */
  addresses?: string[];
  /** Why SSH or the inspection failed, `` when it did not. */
  unreachable: string;
  /** On the new network, whole, brought there by one of `aborted`. */
  adopted: boolean;
  /** What is half done on it since a migration ended, `` when nothing is: `its dead-man switch is armed`. */
  halfWay: string;
}
