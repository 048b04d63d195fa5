/**
 * The one table of what can go wrong. Each error has a type, a meaning, a remedy for the person who reads it, and what
 * the CLI exits with and the API answers with. Activities throw these as `ApplicationFailure`s of the same type.
 *
 * Exit codes: 0 ok, 1 error, 2 usage (kubectl and POSIX habit).
 */
interface ErrorEntry {
  meaning: string;
  /** What to do, in the imperative. A thrown error may give a better one of its own. */
  remedy: string;
  exitCode: 1 | 2;
  httpStatus: number;
  /** Whether Temporal may try the activity again by itself. */
  retryable: boolean;
}

const entry = (meaning: string, remedy: string, httpStatus: number, retryable = false, exitCode: 1 | 2 = 1) =>
  ({ meaning, remedy, exitCode, httpStatus, retryable }) satisfies ErrorEntry;

export const errorTable = {
  // What a person wrote
  PlanInvalid: entry('the plan file cannot be used', 'correct the plan at the place that is named', 422),
  RouteUnknown: entry('no route of that name exists', 'choose one of the routes that `cutover plan --help` lists', 422),
  WaveEmpty: entry('a wave selects no node', 'change or remove that wave', 422),
  Usage: entry('the command cannot be understood', 'see `cutover --help`', 400, false, 2),
  // Reaching things
  KubeconfigInvalid: entry(
    'the kubeconfig cannot be used',
    'correct spec.cluster of the plan, or KUBECONFIG where the worker runs',
    422,
  ),
  ClusterUnreachable: entry(
    'the Kubernetes API does not answer',
    'check the network path to the API server',
    502,
    true,
  ),
  KubernetesRefused: entry('the Kubernetes API refused a request', 'read the message of the API server', 502),
  NodeUnreachable: entry('SSH to the node fails', 'check the node, its address and the SSH config', 502),
  HostKeyMismatch: entry(
    'the node shows another SSH host key than the one on file',
    'find out why the key changed; if it is right, update known_hosts yourself',
    409,
  ),
  VerbFailed: entry('a program on the node failed', 'read its message, look at the node', 500, true),
  AttemptFenced: entry('a newer attempt owns this node', 'nothing: the newer attempt goes on', 409),
  ServerUnreachable: entry(
    'the Cutover server does not answer',
    'start it with `cutover up`, or set CUTOVER_SERVER',
    502,
  ),
  TemporalUnreachable: entry(
    'the Temporal server does not answer',
    'check TEMPORAL_ADDRESS, or start `cutover up`',
    502,
    true,
  ),
  Unauthorized: entry(
    'the token is missing or wrong',
    'set CUTOVER_TOKEN or use the data directory of the server',
    401,
  ),
  TooManyRequests: entry('more requests came than the server takes', 'wait a minute, then try again', 429),
  TooLarge: entry('the request is larger than the server takes', 'send less', 413),
  RequestIdUsed: entry('the request id belongs to another request', 'send another x-request-id, or leave it out', 409),
  // State of a migration
  NotFound: entry('it does not exist', 'list what exists first', 404),
  MigrationRunning: entry(
    'a migration of this cluster is under way',
    'watch it with `cutover status`, or abort it',
    409,
  ),
  LeaseHeld: entry(
    'another installation of Cutover migrates this cluster',
    'work there; take the cluster over only when that installation is gone for good',
    409,
  ),
  LeaseLost: entry(
    'the lease of this cluster is no longer held by this migration',
    'find out who has taken the cluster over, and agree on who goes on',
    409,
  ),
  MigrationEnded: entry('the migration has ended', 'start a new one with `cutover launch`', 409),
  GateClosed: entry('the gate is not open', 'list the open gates with `cutover gates`', 409),
  PlanHashMismatch: entry('the decision names another plan', 'read the gate again and decide on what it shows', 409),
  EvidenceMismatch: entry(
    'the evidence changed since it was read',
    'read the gate again and decide on what it shows',
    409,
  ),
  EvidenceExpired: entry(
    'the evidence is older than the plan allows',
    'take it anew with `cutover gates refresh`, read it, and decide again',
    409,
  ),
  WaveIncomplete: entry(
    'nodes that should be on the new network are not',
    'migrate these nodes first, or approve with --incomplete and a reason',
    409,
  ),
  AlreadyDecided: entry('this person has decided already', 'ask another approver', 409),
  NotAllowed: entry('this person may not do that', 'ask somebody who may', 403),
  NodeNotWaiting: entry('the node does not wait for a person', 'see what it does with `cutover why`', 409),
  // What stops a node
  DrainBlocked: entry('pods cannot be evicted in time', 'raise the budget, scale up, or skip the node', 409),
  DriftFound: entry('the node is not as it was when the plan was made', 'compare, then plan again or retry', 409),
  ChecksFailed: entry('checks block', 'read the evidence of each check that blocks', 409),
  AgentNotReady: entry('the new agent does not become ready', 'look at the events and logs of its pod', 409),
  RuntimeNotLoaded: entry(
    'the container runtime has not loaded the CNI conf',
    'look at /etc/cni/net.d and `crictl info`',
    409,
    true,
  ),
  StepTimedOut: entry('a step took longer than it may', 'look at the node; then retry, skip or roll back', 409),
  // The record
  RecordBroken: entry('the audit record is not what was written', 'keep the file as it is and tell your auditor', 500),
  StoreUnusable: entry(
    'the database cannot be used',
    'check the path, the disk, the permissions and who has it locked; everything goes on when it is back',
    503,
    true,
  ),
  Internal: entry('this is a bug of Cutover', 'report it with the message', 500),
} satisfies Record<string, ErrorEntry>;

export type ErrorType = keyof typeof errorTable;

/**
 * Outages: what Cutover itself cannot reach. No node is to blame for one, so it is waited for without end and never counted.
 */
const outages: readonly ErrorType[] = ['StoreUnusable', 'RecordBroken', 'ClusterUnreachable'];

/** A node that is out of reach may also be the node's own trouble: it is waited for, and then a person is asked. */
export const isOutage = (type: ErrorType): boolean => outages.includes(type) || type === 'NodeUnreachable';

/** An error that a person can act on. `message` says what and where, `remedy` what to do. */
export class CutoverError extends Error {
  readonly type: ErrorType;
  readonly remedy: string;
  /** Anything that helps, as plain JSON and without secrets: line and column, blocked pods, a field-by-field diff. */
  readonly details: unknown;

  constructor(type: ErrorType, message: string, options: { remedy?: string; details?: unknown; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CutoverError';
    this.type = type;
    this.remedy = options.remedy ?? errorTable[type].remedy;
    this.details = options.details;
  }
}
