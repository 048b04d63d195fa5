import type { KubeletGateway, SimClock } from '../types.ts';
import type { ApiObjectStore } from './object-store.ts';
import type { ResourceTable } from './resources.ts';

/** An injected failure of one request. `inStream` answers a watch with 200 and an ERROR event instead of the status. */
export interface ApiFault {
  status: 410 | 429 | 500;
  /** Seconds, for the Retry-After header. @default 1 with 429 */
  retryAfter?: number;
  inStream?: boolean;
}

/** What a fault hook is asked about. */
export interface FaultRequest {
  method: string;
  path: string;
  verb: string;
  /** `pods`, `daemonsets.apps`; `` for discovery and the like. */
  resource: string;
  namespace?: string;
  name?: string;
  subresource?: string;
}

export interface ApiServerOptions {
  store: ApiObjectStore;
  clock: SimClock;
  kubelets: KubeletGateway;
  /** Real milliseconds before each answer. @default 0 */
  latencyMs?: number | (() => number);
  faults?: { next(request: FaultRequest): ApiFault | undefined };
  /** Real milliseconds between bookmarks of a watch. @default 10000 */
  bookmarkIntervalMs?: number;
  /** @default 127.0.0.1 */
  host?: string;
  /** @default 0: any free port */
  port?: number;
}

/** What handlers work with. */
export interface Context {
  store: ApiObjectStore;
  clock: SimClock;
  kubelets: KubeletGateway;
  table: ResourceTable;
  bookmarkIntervalMs: number;
}

export interface Reply {
  code: number;
  /** An object is sent as JSON. */
  body: string | object;
  contentType?: string;
  headers?: Record<string, string>;
}
