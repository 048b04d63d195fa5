import type { Logger } from 'pino';
import type { CheckContext, CheckResult } from '../src/checks/types.ts';
import type { KubernetesClient } from '../src/kubernetes/types.ts';
import type { NodeAccess } from '../src/node/types.ts';
import type { CompiledPlan } from '../src/plan/types.ts';
import type { Store } from '../src/store/types.ts';
import type { Leases } from './lease.ts';

/** What activities work with; a worker makes it once. */
export interface ActivityDeps {
  store: Store;
  /** Cached: one client, hence one connection pool, for each cluster. */
  kubernetes(cluster: Pick<CompiledPlan['cluster'], 'kubeconfig' | 'context'>): KubernetesClient;
  /** Cached: connections to nodes are kept. */
  nodes(ssh: CompiledPlan['access']['ssh']): NodeAccess;
  runChecks(ids: readonly string[], context: CheckContext): Promise<CheckResult[]>;
  leases: Leases;
  log: Logger;
  /** Ms since the epoch. */
  now(): number;
  /** Of this worker, for the record. */
  identity: string;
  /** See outage.ts; tests have less. */
  nodePatienceMs?: number;
}
