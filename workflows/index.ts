/** The one entry of the workflow bundle: exports workflows and nothing else. */
export { migrateCluster } from './migrate-cluster.ts';
export { migrateWave } from './migrate-wave.ts';
export { migrateNode } from './migrate-node.ts';
export { observeCluster, policyReport, preflight, takeLease, giveBackLease } from './inspect.ts';
