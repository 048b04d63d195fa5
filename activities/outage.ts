import { CutoverError, isOutage } from '../src/errors.ts';

/** Between two tries while something cannot be reached, ms: doubles from the first to the last. */
const betweenMs = { first: 500, last: 10_000 };

/** How long a node may be out of reach before a person is asked, ms: a reboot of a machine takes less. */
export const nodePatienceMs = 60_000;

export interface OutageHost {
  /** Default `nodePatienceMs`. */
  nodePatienceMs?: number;
  /** Ms since the epoch. */
  now(): number;
  /** Throws when the waiting has to end: the attempt is cancelled, or its worker shuts down. */
  sleep(ms: number): Promise<void>;
  /** Says what is waited for, once for each try. */
  tell(message: string, details: { outage: string; since: string }): void;
  /** Called when an outage begins and when it is over; it must not throw for another outage. */
  began?(error: CutoverError): void;
  ended?(error: CutoverError, lastedMs: number): void;
}

/**
 * Does `work`, and does it again for as long as what fails is an outage: the store, the API server, a node. Everything
 * that Cutover does may be done twice, so it begins from its own beginning.
 *
 * @throws what `work` throws when that is no outage; NodeUnreachable after `nodePatienceMs`; what `sleep` throws
 */
export async function outlast<T>(host: OutageHost, work: () => T | Promise<T>): Promise<T> {
  let first: CutoverError | undefined;
  let since = 0;
  for (let waitMs = betweenMs.first; ; waitMs = Math.min(waitMs * 2, betweenMs.last)) {
    try {
      const result = await work();
      if (first) host.ended?.(first, host.now() - since);
      return result;
    } catch (error) {
      if (!(error instanceof CutoverError) || !isOutage(error.type)) throw error;
      since ||= host.now();
      if (error.type === 'NodeUnreachable' && host.now() - since >= (host.nodePatienceMs ?? nodePatienceMs))
        throw error;
      if (!first) host.began?.(error);
      first ??= error;
      host.tell(`waiting for ${what[error.type] ?? 'it'}, ${lasted(host.now() - since)}: ${error.message}`, {
        outage: error.type,
        since: new Date(since).toISOString(),
      });
      await host.sleep(waitMs);
    }
  }
}

const what: { [type: string]: string } = {
  StoreUnusable: 'the record (the database of Cutover)',
  RecordBroken: 'the record (the database of Cutover)',
  ClusterUnreachable: 'the Kubernetes API',
  NodeUnreachable: 'the node over SSH',
};

const lasted = (ms: number): string => (ms < 1_000 ? 'for less than 1 s' : `for ${Math.round(ms / 1000)} s`);
