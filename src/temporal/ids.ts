/**
 * Every id that Temporal knows, built in one place. `:` separates, never `/`: Temporal's HTTP API cannot address ids
 * with slashes.
 */
export const taskQueue = 'cutover';

/** The id is the lock: one migration for each cluster, named by the UID of its namespace kube-system. */
export const clusterWorkflowId = (clusterUid: string): string => `migration:${clusterUid}`;

const turned = (id: string, turn: number): string => (turn === 0 ? id : `${id}:turn:${turn}`);

/** `turn` counts the runs of waves beyond the first of each: repeats and rollbacks. */
export const waveWorkflowId = (clusterUid: string, migration: string, stage: string, wave: string, turn = 0): string =>
  turned(`${clusterWorkflowId(clusterUid)}:${migration}:${stage}:wave:${wave}`, turn);

export const nodeWorkflowId = (clusterUid: string, migration: string, stage: string, node: string, turn = 0): string =>
  turned(`${clusterWorkflowId(clusterUid)}:${migration}:${stage}:node:${node}`, turn);

export const observeWorkflowId = (requestId: string): string => `observe:${requestId}`;
export const policyWorkflowId = (planHash: string, requestId: string): string =>
  `policy:${planHash.slice(0, 12)}:${requestId}`;
export const preflightWorkflowId = (planHash: string, requestId: string): string =>
  `preflight:${planHash.slice(0, 12)}:${requestId}`;
export const leaseWorkflowId = (migration: string, requestId: string, what: 'take' | 'give-back'): string =>
  `lease:${what}:${migration}:${requestId}`;
