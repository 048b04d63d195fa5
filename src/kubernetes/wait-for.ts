import { setTimeout as sleep } from 'node:timers/promises';
import { Watch } from '@kubernetes/client-node';
import type { LoadedKubeconfig } from './kubeconfig.ts';
import { backoffMs, refused } from './transport.ts';
import type { KubernetesObject } from './types.ts';

export interface Collection {
  path: string;
  query: { [name: string]: string | undefined };
  list(): Promise<{ items: KubernetesObject[]; resourceVersion: string }>;
}

interface WatchEvent {
  type: string;
  object: KubernetesObject & { code?: number };
}

/** How a watch ended: with an answer, closed (go on from the last version), or expired (list again). */
type Ending<T> = { answer: T } | 'closed' | 'expired';

const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/**
 * Lists, then watches from the version of the list; resumes a watch that was closed, lists again after a 410.
 *
 * @returns what `done` answered, undefined at the end of the time
 * @throws the signal's reason when it aborts
 */
export async function waitFor<T>(
  { config }: LoadedKubeconfig,
  collection: Collection,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  done: (objects: KubernetesObject[]) => T | undefined,
): Promise<T | undefined> {
  const deadline = Date.now() + timeoutMs;
  const over = signal ? AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) : AbortSignal.timeout(timeoutMs);
  for (let failures = 0; ;) {
    const { items, resourceVersion } = await collection.list();
    signal?.throwIfAborted();
    const objects = new Map(items.map((item) => [keyOf(item), item]));
    const answer = done([...objects.values()]);
    if (answer !== undefined) return answer;

    let version = resourceVersion;
    for (;;) {
      if (Date.now() >= deadline) return undefined;
      const ending = await watchOnce(version);
      signal?.throwIfAborted();
      if (typeof ending === 'object') return ending.answer;
      if (ending === 'expired') break;
      if (failures > 0 && Date.now() < deadline)
        await sleep(Math.min(backoffMs(failures), Math.max(0, deadline - Date.now())));
    }

    function watchOnce(from: string): Promise<Ending<T>> {
      return new Promise((resolve, reject) => {
        const query = { ...collection.query, resourceVersion: from, allowWatchBookmarks: 'true' };
        let connection: AbortController | undefined;
        let settled = false;
        const settle = (run: () => void): void => {
          if (settled) return;
          settled = true;
          over.removeEventListener('abort', onOver);
          connection?.abort();
          run();
        };
        const onOver = (): void => settle(() => resolve('closed'));
        over.addEventListener('abort', onOver);

        const onEvent = (event: WatchEvent): void => {
          if (settled) return;
          if (event.type === 'ERROR') {
            failures++;
            return settle(() => resolve('expired'));
          }
          failures = 0;
          version = event.object.metadata.resourceVersion ?? version;
          if (event.type === 'BOOKMARK') return;
          if (event.type === 'DELETED') objects.delete(keyOf(event.object));
          else objects.set(keyOf(event.object), event.object);
          try {
            const found = done([...objects.values()]);
            if (found !== undefined) settle(() => resolve({ answer: found }));
          } catch (error) {
            settle(() => reject(error as Error));
          }
        };
        const onEnd = (error: (Error & { statusCode?: number }) | null): void => {
          const code = error?.statusCode ?? 0;
          if (code === 410) return settle(() => resolve('expired'));
          if (code === 401 || code === 403) {
            const answer = { code, body: { message: error!.message }, retryAfterMs: 0 };
            return settle(() => reject(refused({ method: 'GET', path: `${collection.path}?watch=true` }, answer)));
          }
          // A silent watch is ended by client-node after 30 s; that is no failure.
          if (error && error.name !== 'TimeoutError') failures++;
          settle(() => resolve('closed'));
        };

        if (over.aborted) return onOver();
        new Watch(config)
          .watch(collection.path, query, (type, object) => onEvent({ type, object }), onEnd)
          .then(
            (controller) => {
              connection = controller;
              if (settled) controller.abort();
            },
            (error: Error) => onEnd(error),
          );
      });
    }
  }
}
