import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLeases, type Leases } from '../../activities/lease.ts';
import { leaseRef, readLease, type Lease } from '../../src/kubernetes/cluster-lease.ts';
import type { JsonObject } from '../../src/json.ts';
import type { RecordKind, Store } from '../../src/store/types.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { startTestApiServer, type TestApiServer } from '../kubernetes/api-server.ts';
import { until } from '../support/until.ts';

const clusterUid = 'cluster-uid';
const times = { durationMs: 600, renewEveryMs: 100, trustMs: 200 };
const quiet = pino({ level: 'silent' });

interface Installation {
  store: Store;
  leases: Leases;
  /** Its clock runs behind or before the real one by so much. */
  skewMs: number;
  has(kind: RecordKind, migration: string): void;
  take(migration: string, options?: { takeOver?: boolean }): ReturnType<Leases['take']>;
  hold(migration: string): Promise<void>;
}

let server: TestApiServer;
let stores: Store[];
let planHash: string;
beforeEach(async () => {
  server = await startTestApiServer();
  stores = [];
});
afterEach(async () => {
  for (const store of stores) store.close();
  await server.stop();
});

const lease = (): Lease => readLease(server.store.get('leases.coordination.k8s.io', 'kube-system', 'cutover')!);
const writes = (): number =>
  server.requests.filter(({ verb }) => verb === 'patch' || verb === 'create' || verb === 'update').length;

function install(name: string): Installation {
  const store = openStore(join(server.folder, `${name}.db`), { pollMs: 20 });
  stores.push(store);
  planHash = store.putDocument('plan', { cluster: { uid: clusterUid, kubeconfig: server.kubeconfig, context: '' } });
  const installation: Installation = {
    store,
    skewMs: 0,
    leases: createLeases({ store, identity: name, now: () => Date.now() + installation.skewMs }, times),
    has: (kind, migration) =>
      void store.append({
        key: `${kind}:${migration}`,
        kind,
        at: new Date().toISOString(),
        actor: 'ana',
        migration,
        planHash,
      }),
    take: (migration, { takeOver = false } = {}) =>
      installation.leases.take(
        server.client,
        { migration, person: `${name}-person`, takeOver },
        { progress: () => {}, signal: new AbortController().signal },
      ),
    hold: (migration) => installation.leases.hold(server.client, clusterUid, migration),
  };
  return installation;
}

const keep = ({ leases }: Installation): (() => void) => leases.keep(() => server.client, quiet);

describe('the lease of a cluster', () => {
  it('names installation, migration and person, and is a Lease that others can read', async () => {
    const a = install('a');

    await a.take('m-1');

    const object = server.store.get('leases.coordination.k8s.io', leaseRef.namespace, leaseRef.name)!;
    expect(object['spec']).toMatchObject({
      holderIdentity: `${a.store.installation()}/m-1`,
      leaseDurationSeconds: 60,
      leaseTransitions: 0,
      renewTime: expect.stringMatching(/T\d\d:\d\d:\d\d\.\d{6}Z$/),
    });
    expect(lease()).toMatchObject({ migration: 'm-1', person: 'a-person', held: true });
  });

  it('goes to one of two that ask at once', async () => {
    const installations = ['a', 'b', 'c', 'd'].map(install);

    const ends = await Promise.allSettled(installations.map((each) => each.take('m-1')));

    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const end of ends)
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ type: 'LeaseHeld', message: /since/ });
  });

  it('tells the second who holds it, since when, and how to take over', async () => {
    const [a, b] = [install('a'), install('b')];
    await a.take('m-1');

    await expect(b.take('m-2')).rejects.toMatchObject({
      type: 'LeaseHeld',
      message: expect.stringMatching(
        new RegExp(
          `^m-1 of installation ${a.store.installation()} \\(launched by a-person\\) holds this cluster since .*Z, and last renewed its lease at .*Z$`,
        ),
      ),
      remedy: expect.stringContaining('--take-over'),
    });
    expect(lease()).toMatchObject({ installation: a.store.installation() });
  });

  it('is not taken over while it is renewed, whatever the clocks say', async () => {
    const [a, b] = [install('a'), install('b')];
    a.skewMs = -3_600_000;
    await a.take('m-1');
    a.has('migration.started', 'm-1');
    const stop = keep(a);

    await expect(b.take('m-2', { takeOver: true })).rejects.toMatchObject({
      type: 'LeaseHeld',
      message: expect.stringContaining('still holds this cluster'),
    });

    stop();
    expect(lease()).toMatchObject({ installation: a.store.installation(), held: true });
  });

  it('is taken over once it was seen unchanged for its duration; the first is told, and keeps nothing', async () => {
    const [a, b] = [install('a'), install('b')];
    a.skewMs = 3_600_000;
    await a.take('m-1');
    await a.hold('m-1');
    const from = performance.now();

    const taken = await b.take('m-2', { takeOver: true });

    expect(performance.now() - from).toBeGreaterThanOrEqual(times.durationMs);
    expect(taken.from).toMatchObject({ installation: a.store.installation(), migration: 'm-1', person: 'a-person' });
    expect(lease()).toMatchObject({ installation: b.store.installation(), migration: 'm-2', transitions: 1 });
    await expect(a.hold('m-1')).rejects.toMatchObject({
      type: 'LeaseLost',
      message: expect.stringContaining(`m-2 of installation ${b.store.installation()} (launched by b-person)`),
    });
    await b.hold('m-2');
  });

  it('once lost is written down by the workers, once, although no step asks; and that it is held again', async () => {
    const [a, b] = [install('a'), install('b')];
    await a.take('m-1');
    a.has('migration.started', 'm-1');
    await b.take('m-2', { takeOver: true });
    const changes = () => a.store.records({ kind: ['lease.lost', 'lease.held'] });

    const stops = [keep(a), keep(a)];
    await until(() => changes().length > 0, 'it is written down', 5_000);
    await new Promise((resolve) => setTimeout(resolve, 3 * times.renewEveryMs));

    expect(changes()).toMatchObject([
      { kind: 'lease.lost', migration: 'm-1', message: expect.stringContaining('took this cluster over') },
    ]);
    await server.client.delete(leaseRef);
    await until(() => changes().length > 1, 'it is held again', 5_000);
    expect(changes().map(({ kind }) => kind)).toEqual(['lease.lost', 'lease.held']);
    for (const stop of stops) stop();
  });

  it('stays lost when the one who took over has ended', async () => {
    const [a, b] = [install('a'), install('b')];
    await a.take('m-1');
    await b.take('m-2', { takeOver: true });
    await b.leases.giveBack(server.client, clusterUid, 'm-2');

    await expect(a.hold('m-1')).rejects.toMatchObject({ type: 'LeaseLost', message: /has ended since/ });
    await expect(a.take('m-3')).resolves.toEqual({});
  });

  it('costs no request while it was renewed a moment ago, and one renewal for all who ask at once', async () => {
    const a = install('a');
    await a.take('m-1');
    await a.hold('m-1');
    const before = writes();

    await Promise.all(Array.from({ length: 20 }, () => a.hold('m-1')));
    const trusted = writes() - before;
    await new Promise((resolve) => setTimeout(resolve, times.trustMs + 50));
    await Promise.all(Array.from({ length: 20 }, () => a.hold('m-1')));

    expect([trusted, writes() - before]).toEqual([0, 1]);
  });

  it('is not lost when the API does not answer: that is trouble of ours, and may be tried again', async () => {
    const a = install('a');
    await a.take('m-1');
    server.faults.next = () => ({ code: 503 }) as never;

    await expect(a.hold('m-1')).rejects.toMatchObject({ type: 'ClusterUnreachable' });

    server.faults.next = () => undefined;
    await a.hold('m-1');
  }, 60_000);

  it('is renewed in the background by any worker, and by the same installation after all were gone', async () => {
    const a = install('a');
    await a.take('m-1');
    a.has('migration.started', 'm-1');
    const { renewedAt } = lease();
    await new Promise((resolve) => setTimeout(resolve, times.durationMs * 2));

    const stops = [keep(a), keep(a)];
    await until(() => lease().renewedAt > renewedAt, 'a renewal', 5_000);

    for (const stop of stops) stop();
    expect(lease()).toMatchObject({ installation: a.store.installation(), migration: 'm-1', held: true });
  });

  it('is given back soon after the end, also by a worker that starts later', async () => {
    const a = install('a');
    await a.take('m-1');
    a.has('migration.started', 'm-1');
    const stop = keep(a);
    a.has('migration.ended', 'm-1');
    await until(() => !lease().held, 'the lease is given back', 5_000);
    stop();
    await a.take('m-2');
    a.has('migration.started', 'm-2');
    a.has('migration.ended', 'm-2');

    const again = keep(a);

    await until(() => !lease().held, 'the lease is given back', 5_000);
    again();
    await expect(a.hold('m-2')).rejects.toMatchObject({ type: 'LeaseLost', message: /has ended/ });
    await expect(install('b').take('m-3')).resolves.toEqual({});
  });

  it('of a running migration is not given back by a request that comes late', async () => {
    const a = install('a');
    await a.take('m-1');
    a.has('migration.started', 'm-1');

    await a.leases.giveBack(server.client, clusterUid, 'm-1');

    expect(lease()).toMatchObject({ migration: 'm-1', held: true });
  });

  it('of a migration that never started is no hindrance to its own installation', async () => {
    const a = install('a');
    await a.take('m-1');
    await a.take('m-2');
    a.has('migration.started', 'm-2');

    await a.hold('m-2');

    await expect(a.take('m-3')).rejects.toMatchObject({ type: 'MigrationRunning', message: /^m-2 / });
    await expect(a.hold('m-1')).rejects.toMatchObject({ type: 'LeaseLost' });
  });

  it('is made for a migration that is older than leases, and again when a person deleted it', async () => {
    const a = install('a');
    a.has('migration.started', 'm-1');

    await a.hold('m-1');

    expect(lease()).toMatchObject({ migration: 'm-1', held: true });
  });
});

describe('the name of an installation', () => {
  it('is the same for every process that shares the database, and another in each database', () => {
    const [a, b] = [install('a'), install('b')];
    const again = openStore(join(server.folder, 'a.db'));
    stores.push(again);

    expect(again.installation()).toBe(a.store.installation());
    expect(a.store.installation()).not.toBe(b.store.installation());
    expect(a.store.installation()).toMatch(/^[a-z0-9-]{1,64}$/);
    expect(a.store.verify()).toMatchObject({ ok: true } satisfies JsonObject);
  });
});
