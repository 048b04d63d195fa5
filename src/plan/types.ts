import type { JsonObject } from '../json.ts';
import type { DeclaredFlow } from '../policy/types.ts';

/**
 * The words of design §2 as types. A compiled plan is plain JSON, immutable, and named by the SHA-256 of its canonical
 * form; everything a migration needs travels in it, so a migration under way never picks up a newer runbook.
 */

/** One call of a verb. A verb is the name of an activity, such as `node.drain`. */
export interface Action {
  verb: string;
  with?: JsonObject;
}

export interface Step extends Action {
  /** Unique within its list, kebab-case: `runtime-loaded`. */
  id: string;
  /** What a person reads while it runs: `Move the pods away, within budgets`. */
  title: string;
  /** What takes it back, in this order. Registered before the verb runs; every one tolerates that the verb never ran. */
  undo?: Action[];
  /** Ids of checks that run in the same activity after the verb; one that blocks fails the step. */
  verify?: string[];
  /** Of one attempt, in seconds. Default 300. */
  timeoutSeconds?: number;
  /** Attempts that Temporal makes by itself before the step counts as failed. Default 3. */
  attempts?: number;
  /** The node has no working network before this step is done: nothing pauses here. */
  inOneGo?: boolean;
  /**
   * Only of a node's steps: begins together with the step before it, and nothing else begins before both have ended. At most one of
   * them changes the node itself: each attempt there fences the earlier ones.
   */
  alongside?: boolean;
  /** The workflow waits this long before the verb runs (a soak): a timer, no activity slot is held. */
  waitSeconds?: number;
  /**
   * Only of prepare: when its checks fail on a cluster that no earlier stage or migration has changed, the migration ends, and
   * what was prepared until then is taken back.
   */
  endsWhenChecksFail?: boolean;
  /** After this step the old network cannot be had back by undo. */
  pointOfNoReturn?: boolean;
  /** Of a cluster step: passed before the verb runs. */
  gate?: GateSpec;
}

/** The runbook of one kind of change, as data. */
export interface Runbook {
  /** Cluster steps before the first node. */
  prepare: Step[];
  /** The steps of each node, in order. */
  node: Step[];
  /** Cluster steps after the last node. */
  finalize: Step[];
  /** Checks that must pass after a node was rolled back. */
  verifyRollback: string[];
  /** Preflight checks, cluster-wide, before anything is touched. */
  preflight: string[];
  /** Those of a later stage that can be asked before the stages ahead of it have run. */
  preflightAhead?: string[];
}

/** One kind of change: what it is, and its runbook for the settings of a plan. */
export interface Route {
  id: string;
  title: string;
  from: string;
  to: string;
  /** Names of the bundles (folders pinned by SHA-256) that a stage with this route must give under `with`. */
  bundles: string[];
  /** Takes `spec.stages[].bgp`. */
  bgp?: true;
  /** Checks that every gate of such a stage takes as evidence, beside those of the plan. */
  gateChecks?: string[];
  runbook(settings: RouteSettings): Runbook;
}

/** What a runbook is built from: the plan's own settings, resolved. */
export interface RouteSettings {
  drain: CompiledPlan['drain'];
  strategy: CompiledPlan['strategy'];
  /** Given to routes that take them. */
  bgp?: BgpSettings;
  /** A gate before a cluster step, as the plan wants its gates; `id` is unique within the stage. */
  gate?(id: string, wanted: StepGate): GateSpec;
}

/** What a runbook asks of a gate before one of its steps. */
export interface StepGate {
  /** Checks besides those that every gate of the plan has. */
  checks: string[];
  /** What an approver has to know before the step: what it will cost. */
  note?: string;
  /** No soak of its own: the gate follows another soak. */
  noSoak?: boolean;
}

/** `spec.stages[].bgp` of the plan, resolved. */
export interface BgpSettings {
  encapsulation: 'CrossSubnet' | 'Never';
  /** `vxlan`: CrossSubnet without BGP. */
  backend: 'bird' | 'vxlan';
  asNumber: number;
  /** Whether every node speaks to every other in the end. */
  mesh: boolean;
  /** Nodes that reflect routes. */
  routeReflectors: string[];
  /** Routers outside of the cluster; no `nodes` means every node. */
  peers: { address: string; asNumber: number; nodes?: string[] }[];
  /** How long sessions must have been up when they are asked for. */
  stableSeconds: number;
  soakSeconds: number;
  /** A flip that does not bring the traffic back within this time is taken back by itself. */
  revertAfterSeconds: number;
  /** Node by node, with a pool of its own for pods of nodes that have moved, instead of flips. */
  newPool?: { cidr: string };
}

export interface PlannedNode {
  name: string;
  /** `topology.kubernetes.io/zone`, or `` when the node has none. */
  zone: string;
  controlPlane: boolean;
  /** An earlier migration that was aborted brought it to the new network: it is not migrated again, but can go back. */
  adopted?: true;
  /**
   * What the node looked like when the plan was made; drift stops the node (DriftFound). Of an adopted node: what it
   * looks like once it is back on the old network.
   */
  fingerprint: NodeFingerprint;
}

export interface NodeFingerprint {
  kubelet: string;
  containerRuntime: string;
  kernel: string;
  podCIDR: string;
  internalIP: string;
  /** SSH host key, `SHA256:…`. */
  hostKey: string;
  /** Files of /etc/cni/net.d: name -> SHA-256 hex. */
  cniConfs: { [name: string]: string };
  /** MTU of the old overlay link (flannel.1), bytes; 0 when there is none. */
  overlayMtu: number;
}

export interface GateSpec {
  /** Kebab-case, unique in the plan: `after-canary`. */
  id: string;
  /** People who must approve; 0 means nobody is asked. */
  approvals: number;
  /** Names that may approve; empty means anybody with the token. */
  approvers: string[];
  /** Whether the person who launched may approve. Default false: two-person rule. */
  requesterMayApprove: boolean;
  /** The gate stays closed at least this long, in seconds, while checks go on. */
  soakSeconds: number;
  /** Ids of checks taken as evidence; one that blocks keeps the gate closed. */
  checks: string[];
  /** After this many seconds without a decision `onTimeout` happens; 0 waits for ever. */
  timeoutSeconds: number;
  onTimeout: 'hold' | 'rollback-wave';
  /** Older evidence must be taken anew before anybody approves, in seconds; absent: it never grows old. */
  evidenceMaxAgeSeconds?: number;
  /** One sentence that an approver has to read: what the step behind the gate will cost. */
  note?: string;
}

export interface CompiledWave {
  /** Kebab-case: `canary`, `wave-2`, `control-plane`; `adopted` for nodes that are on the new network already. */
  id: string;
  nodes: PlannedNode[];
  /** Opens when the wave is done; absent after the last wave unless the plan says so. */
  gate?: GateSpec;
}

export interface CompiledStage {
  /** `1-flannel-to-calico`. */
  id: string;
  route: string;
  from: string;
  to: string;
  with: JsonObject;
  prepare: Step[];
  node: Step[];
  finalize: Step[];
  preflight: string[];
  preflightAhead?: string[];
  verifyRollback: string[];
  /** Of a stage whose route speaks BGP. */
  bgp?: BgpSettings;
  waves: CompiledWave[];
  /** Gate before finalize (the point of no return), when the plan asks for one. */
  finalizeGate?: GateSpec;
}

/** A warning that a person has read and accepts. */
export interface Acknowledgement {
  /** `versions`, or one part of a check: `policy-hazards/<hazard>`. */
  id: string;
  reason: string;
}

export interface CompiledPlan {
  apiVersion: 'cutover.dev/v1alpha1';
  kind: 'CompiledPlan';
  name: string;
  cluster: {
    /** UID of the namespace kube-system: the identity of the cluster and the lock of its migration. */
    uid: string;
    /** Absolute path, or `` for the worker's own default. */
    kubeconfig: string;
    /** `` for the current context. */
    context: string;
    server: string;
    kubernetesVersion: string;
  };
  access: {
    ssh: {
      /** Absolute path of an OpenSSH client config; `` for ~/.ssh/config. Host keys are always checked. */
      configFile: string;
      user: string;
      /** Prefix verbs with `sudo -n`. */
      sudo: boolean;
      connectTimeoutSeconds: number;
    };
  };
  probe: {
    /** Image of the probe pods; Kubernetes' own test image by default. */
    image: string;
    namespace: string;
    /** TCP port that the probe DaemonSet binds on each node as hostPort. */
    hostPort: number;
    nodePort: number;
  };
  drain: {
    timeoutSeconds: number;
    /** Between two tries of an eviction that a budget refused. */
    retrySeconds: number;
    deleteEmptyDirData: boolean;
    /** Evict pods that no controller will bring back. */
    force: boolean;
  };
  strategy: {
    maxUnavailable: number;
    maxUnavailablePerZone: number;
    /** Failed attempts of all nodes together, over the whole migration, before it pauses for a person. */
    failureBudget: number;
    /** What a failed node does: go back by itself, or hold as it is for a person. */
    onFailure: 'rollback' | 'hold';
    /** Attempts of a node, with a rollback between them, before it waits for a person. */
    nodeAttempts: number;
    /** Seconds a node soaks after release before it counts as migrated. */
    nodeSoakSeconds: number;
  };
  /** What is measured before and after a stage; absent in plans of before there were captures. */
  capture?: {
    runs: number;
    /** Of each run of TCP throughput, without its ramp-up. */
    seconds: number;
    /** Two names, from and to; fewer when the plan has not as many nodes, and nothing is measured then. */
    nodes: string[];
    skip: boolean;
  };
  /** For the estimate of what is saved; absent when the plan gives no price. */
  traffic?: {
    /** Of 10^9 bytes. */
    pricePerGB: number;
    currency: string;
    /** 0 to 1. */
    crossZoneShare: number;
    /** Absent: what the capture counts. */
    gbPerMonth?: number;
  };
  /** What bystanders may lose between two gates; the defaults of the check `continuity` when absent. */
  continuity?: { unreachableSeconds: number; brokenConnections: number };
  /** Folders that the plan names, by digest; their content is in the store as blobs. */
  bundles: { [name: string]: { path: string; sha256: string } };
  /** Warnings of preflight that the plan accepts, by check id or `check/part`, each with its reason. */
  acknowledge?: Acknowledgement[];
  /** What policies are judged by. Absent when the plan says nothing about it. */
  policies?: {
    /** Of `file`. */
    flows?: DeclaredFlow[];
    /** As the plan names it, `` without one. */
    file: string;
    /** Whether the nodes are asked which connections they have seen. */
    conntrack: boolean;
  };
  /** Aborted migrations of this cluster: what they made is this one's, to go on with and to take back. */
  adopts?: string[];
  /** Estimate made at compile time, in seconds. */
  estimate: { perNodeSeconds: number; workSeconds: number; soakSeconds: number };
  stages: CompiledStage[];
}

/** Where a step happens; enough to name it in records, logs and sentences. */
export interface StepPlace {
  /** `flannel-to-calico-4f1c2a`: one run of one plan. */
  migration: string;
  planHash: string;
  stage: string;
  wave?: string;
  node?: string;
}
