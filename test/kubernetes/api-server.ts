import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKubernetesClient } from '../../src/kubernetes/client.ts';
import type { KubernetesClient } from '../../src/kubernetes/types.ts';
import type { ApiFault, FaultRequest } from '../../src/simulator/api/api-server-types.ts';
import { createObjectStore, type ApiObjectStore } from '../../src/simulator/api/object-store.ts';
import { startApiServer } from '../../src/simulator/api/server.ts';
import { createClock, type RunningClock } from '../../src/simulator/clock.ts';
import type { KubeletGateway } from '../../src/simulator/types.ts';

export interface TestApiServer {
  url: string;
  store: ApiObjectStore;
  clock: RunningClock;
  client: KubernetesClient;
  kubeconfig: string;
  /** Asked for each request; an answer is the fault that it meets. */
  faults: { next(request: FaultRequest): ApiFault | undefined };
  /** Every request that arrived, `VERB resource` with the name. */
  requests: FaultRequest[];
  folder: string;
  stop(): Promise<void>;
}

/** The simulator's API server on a free port, and a client of it through a kubeconfig on disk. */
export async function startTestApiServer(
  options: { exec?: KubeletGateway['exec']; bookmarkIntervalMs?: number } = {},
): Promise<TestApiServer> {
  const clock = createClock({ speed: 0 });
  const store = createObjectStore(clock);
  const requests: FaultRequest[] = [];
  const faults: TestApiServer['faults'] = { next: () => undefined };
  const kubelets: KubeletGateway = { exec: options.exec ?? (async () => ({ exitCode: 0 })), logs: () => '' };
  const server = await startApiServer({
    store,
    clock,
    kubelets,
    ...(options.bookmarkIntervalMs === undefined ? {} : { bookmarkIntervalMs: options.bookmarkIntervalMs }),
    faults: {
      next: (request) => {
        requests.push(request);
        return faults.next(request);
      },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'cutover-test-'));
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, kubeconfigFor(server.url));
  return {
    url: server.url,
    store,
    clock,
    client: createKubernetesClient({ kubeconfig, context: '' }),
    kubeconfig,
    faults,
    requests,
    folder,
    stop: async () => {
      await server.stop();
      clock.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const kubeconfigFor = (server: string, token = 'top-secret-token'): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'lab', cluster: { server } }],
    users: [{ name: 'ada', user: { token } }],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'ada' } }],
    'current-context': 'lab',
  });
