import type { Logger } from 'pino';
import { createKubernetesClient } from './client.ts';
import type { KubernetesClient } from './types.ts';

/** One client, hence one connection pool, for each kubeconfig and context. For the `kubernetes` of `createActivities`. */
export function createKubernetesPool(
  log?: Logger,
): (cluster: { kubeconfig: string; context: string }) => KubernetesClient {
  const clients = new Map<string, KubernetesClient>();
  return ({ kubeconfig, context }) => {
    const key = JSON.stringify([kubeconfig, context]);
    const known = clients.get(key);
    if (known) return known;
    const client = createKubernetesClient({ kubeconfig, context, ...(log ? { log } : {}) });
    clients.set(key, client);
    return client;
  };
}
