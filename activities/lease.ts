import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import {
  givingBack,
  leaseDurationMs,
  readLease,
  leaseRef,
  renewal,
  renewEveryMs,
  sameTerm,
  taking,
  trustMs,
  writeLease,
  type Lease,
} from '../src/kubernetes/cluster-lease.ts';
import type { KubernetesClient } from '../src/kubernetes/types.ts';
import type { CompiledPlan } from '../src/plan/types.ts';
import type { AuditRecord, RecordKind, Store } from '../src/store/types.ts';
import { asCutoverError } from './failures.ts';
import type { TakeLeaseInput, TakenLease } from './types.ts';

/** How long after its end a migration's lease is given back, when the cluster does not answer at first. */
const giveBackWithinMs = 60 * 60_000;
const lookEveryMs = 2_000;

/** How this installation holds the leases of clusters. One for each process. */
export interface Leases {
  /**
   * Asked before every effect of a step: nothing is written where another installation has taken over. Costs no request
   * while this process renewed a moment ago.
   *
   * @throws CutoverError LeaseLost, for good; ClusterUnreachable | KubernetesRefused when the cluster could not be asked
   */
  hold(kubernetes: KubernetesClient, clusterUid: string, migration: string): Promise<void>;
  /** @throws CutoverError LeaseHeld | MigrationRunning | ClusterUnreachable | KubernetesRefused */
  take(kubernetes: KubernetesClient, input: Omit<TakeLeaseInput, 'planHash'>, course: Course): Promise<TakenLease>;
  /** Gives it back, unless it is another's, or its migration runs: a copy of the request must not cost it its lease. */
  giveBack(kubernetes: KubernetesClient, clusterUid: string, migration: string): Promise<void>;
  /** Renews in the background for every running migration of this installation, and gives back what ended. Returns the way to stop it. */
  keep(kubernetesOf: (cluster: CompiledPlan['cluster']) => KubernetesClient, log: Logger): () => void;
}

export interface Course {
  progress(message: string): void;
  signal: AbortSignal;
}

export interface LeaseTimes {
  durationMs: number;
  renewEveryMs: number;
  trustMs: number;
}

/** @param times shorter in tests only: every installation of a cluster must have the same */
export function createLeases(
  { store, now, identity }: { store: Store; now(): number; identity: string },
  times: LeaseTimes = { durationMs: leaseDurationMs, renewEveryMs, trustMs },
): Leases {
  /** When this process last began a renewal that succeeded, by cluster and migration. */
  const renewed = new Map<string, Moment>();
  const renewing = new Map<string, Promise<void>>();

  const personOf = (migration: string): string =>
    store.records({ migration, kind: ['migration.requested'], limit: 1 })[0]?.actor ?? '';
  const isOver = (migration: string): boolean => {
    const kinds = store.records({ migration, kind: ['migration.started', 'migration.ended'] }).map(({ kind }) => kind);
    return kinds.includes('migration.ended') || !kinds.includes('migration.started');
  };
  const keyOf = (clusterUid: string, migration: string): string => `${clusterUid} ${migration}`;

  async function renew(kubernetes: KubernetesClient, clusterUid: string, migration: string): Promise<void> {
    const key = keyOf(clusterUid, migration);
    const at = moment();
    const me = { installation: store.installation(), migration, person: personOf(migration) };
    try {
      await writeLease(kubernetes, (lease) => renewal(lease, me, isOver, now()));
      renewed.set(key, at);
    } catch (error) {
      if (asCutoverError(error).type === 'LeaseLost') renewed.delete(key);
      throw error;
    }
  }

  /** One at a time: the steps of fifty nodes ask together. */
  function renewOnce(kubernetes: KubernetesClient, clusterUid: string, migration: string): Promise<void> {
    const key = keyOf(clusterUid, migration);
    const running = renewing.get(key) ?? renew(kubernetes, clusterUid, migration).finally(() => renewing.delete(key));
    renewing.set(key, running);
    return running;
  }

  async function giveBack(kubernetes: KubernetesClient, clusterUid: string, migration: string): Promise<void> {
    if (!isOver(migration)) return;
    renewed.delete(keyOf(clusterUid, migration));
    await writeLease(kubernetes, (lease) =>
      givingBack(lease, { installation: store.installation(), migration }, now()),
    );
  }

  /** Waits for the duration of a lease. @returns the holder, when it was seen not to renew for all of it */
  async function seenDead(kubernetes: KubernetesClient, { progress, signal }: Course): Promise<Lease | undefined> {
    let first: Lease | undefined;
    // By the steady clock alone: one that is set must not shorten this.
    let from = 0;
    for (;;) {
      const found = await kubernetes.get(leaseRef);
      const lease = found && readLease(found);
      if (!lease?.held) return undefined;
      if (first === undefined) {
        first = lease;
        from = performance.now();
      }
      if (!sameTerm(lease, first)) return first;
      const left = times.durationMs - (performance.now() - from);
      if (left <= 0) return first;
      progress(`waiting ${Math.ceil(left / 1000)} s whether ${lease.installation} renews its lease`);
      await sleep(Math.min(lookEveryMs, left), undefined, { signal });
    }
  }

  async function take(
    kubernetes: KubernetesClient,
    { migration, person, takeOver }: Omit<TakeLeaseInput, 'planHash'>,
    course: Course,
  ): Promise<TakenLease> {
    const me = { installation: store.installation(), migration, person };
    const attempt = (overridden?: Lease): Promise<Lease | undefined> =>
      writeLease(kubernetes, (lease) => taking(lease, me, isOver, now(), overridden));
    try {
      await attempt();
      return {};
    } catch (error) {
      if (!takeOver || asCutoverError(error).type !== 'LeaseHeld') throw error;
    }
    const dead = await seenDead(kubernetes, course);
    await attempt(dead);
    return dead === undefined ? {} : { from: { ...dead } };
  }

  function keep(kubernetesOf: (cluster: CompiledPlan['cluster']) => KubernetesClient, log: Logger): () => void {
    /** By id; what ended stays until its lease is given back. */
    const known = new Map<string, { planHash: string; endedAt?: number }>();
    const clusters = new Map<string, CompiledPlan['cluster']>();
    const said = new Map<string, RecordKind>();
    let seen = 0;

    const unread = (limit?: number): AuditRecord[] =>
      store.records({
        kind: ['migration.started', 'migration.ended'],
        afterSeq: seen,
        ...(limit === undefined ? {} : { limit }),
      });
    const look = (): void => {
      for (const { seq, kind, migration, planHash, at } of unread()) {
        seen = seq;
        if (migration === undefined || planHash === undefined) continue;
        known.set(migration, kind === 'migration.ended' ? { planHash, endedAt: Date.parse(at) } : { planHash });
      }
      for (const [migration, { endedAt }] of known)
        if (endedAt !== undefined && now() - endedAt > giveBackWithinMs) known.delete(migration);
    };

    /** Plans of large clusters are megabytes: read once. */
    const clusterOf = (planHash: string): CompiledPlan['cluster'] | undefined => {
      const cluster = clusters.get(planHash) ?? store.getDocument<CompiledPlan>('plan', planHash)?.cluster;
      if (cluster) clusters.set(planHash, cluster);
      return cluster;
    };

    const tend = async (
      migration: string,
      { planHash, endedAt }: { planHash: string; endedAt?: number },
    ): Promise<void> => {
      try {
        const cluster = clusterOf(planHash);
        if (cluster === undefined) return void known.delete(migration);
        const kubernetes = kubernetesOf(cluster);
        if (endedAt === undefined) {
          await renewOnce(kubernetes, cluster.uid, migration);
          note(migration, 'lease.held', 'the lease of the cluster is held again');
        } else {
          await giveBack(kubernetes, cluster.uid, migration);
          if (known.get(migration)?.endedAt === endedAt) known.delete(migration);
        }
      } catch (error) {
        const { type, message } = asCutoverError(error);
        if (type === 'LeaseLost') note(migration, 'lease.lost', message);
        else log.warn({ migration, type }, `the lease of the cluster is not renewed: ${message}`);
      }
    };

    /** Writes down a change once, so that `status` says it although no step asks. */
    const note = (migration: string, kind: 'lease.lost' | 'lease.held', message: string): void => {
      if (said.get(migration) === kind) return;
      const last = store.records({ migration, kind: ['lease.lost', 'lease.held'] }).at(-1);
      if (kind === (last?.kind ?? 'lease.held')) return void said.set(migration, kind);
      log.warn({ migration }, message);
      store.append({
        // Two workers see it at once, and write it once.
        key: `${kind}:${migration}:${last?.seq ?? 0}`,
        kind,
        at: new Date(now()).toISOString(),
        actor: `worker:${identity}`,
        migration,
        message,
      });
      said.set(migration, kind);
    };

    let working: Promise<unknown> | undefined;
    const turn = (): void => {
      try {
        look();
      } catch (error) {
        // What runs is known from the last look; an unusable database is told by whoever needs it.
        log.warn({ type: asCutoverError(error).type }, 'the leases are renewed without a look at the records');
      }
      working ??= Promise.all([...known].map(([migration, of]) => tend(migration, of)))
        // Trouble of the store: the next turn writes it down.
        .catch((error: unknown) =>
          log.warn({ type: asCutoverError(error).type }, 'a lost lease is not written down yet'),
        )
        .finally(() => {
          working = undefined;
        });
    };
    turn();
    const timer = setInterval(turn, times.renewEveryMs);
    timer.unref();
    // An end is seen soon: the next launch, here or elsewhere, need not wait for the next turn.
    const forget = store.subscribe(() => {
      try {
        if (unread(1).length > 0) turn();
      } catch {
        // Whoever appends or reads gets the error; the next turn looks again.
      }
    });
    return () => {
      clearInterval(timer);
      forget();
    };
  }

  return {
    hold: async (kubernetes, clusterUid, migration) => {
      const last = renewed.get(keyOf(clusterUid, migration));
      if (last && since(last) < times.trustMs) return;
      await renewOnce(kubernetes, clusterUid, migration);
    },
    take,
    giveBack,
    keep,
  };
}

/**
 * The steady clock stands still while a machine sleeps, and the other one may be set: the later of both is believed.
 */
interface Moment {
  steady: number;
  wall: number;
}

const moment = (): Moment => ({ steady: performance.now(), wall: Date.now() });
const since = ({ steady, wall }: Moment): number => Math.max(performance.now() - steady, Date.now() - wall);

/** A client whose writes ask `hold` first. */
export const guardedClient = (client: KubernetesClient, hold: () => Promise<void>): KubernetesClient => {
  const guarded =
    <Args extends unknown[], Answer>(write: (...args: Args) => Promise<Answer>) =>
    async (...args: Args): Promise<Answer> => {
      await hold();
      return write(...args);
    };
  return {
    ...client,
    apply: guarded(client.apply),
    create: guarded(client.create),
    mergePatch: guarded(client.mergePatch),
    delete: guarded(client.delete),
    evict: guarded(client.evict),
  };
};
