import { once } from 'node:events';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { migratedNodes } from '../../activities/check-context.ts';
import { kinds } from '../../src/kubernetes/kinds.ts';
import { hashOf } from '../../src/plan/hash.ts';
import { CutoverError } from '../../src/errors.ts';
import { checkResult, migration, networkLabel, startWorld, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

const failureOf = (running: Promise<unknown>): Promise<ApplicationFailure> =>
  running.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: ApplicationFailure) => error,
  );

describe('the record', () => {
  it('has how a step began and how it ended, with place, attempt and evidence', async () => {
    await world.run('node.purge', { node: 'w1', verify: ['pod-to-pod'], attempt: 2, nodeAttempt: 3, activityId: '7' });

    const [began, ended] = world.records.records({ migration });
    expect(began).toMatchObject({
      key: 'migration:u:node:run-1:7:2:began',
      kind: 'step.began',
      actor: 'worker:test',
      planHash: world.planHash,
      stage: '1-flannel-to-calico',
      wave: 'canary',
      node: 'w1',
      step: 'node-purge',
      direction: 'forward',
      attempt: 2,
      nodeAttempt: 3,
    });
    expect(ended).toMatchObject({
      key: 'migration:u:node:run-1:7:2:ended',
      kind: 'step.ended',
      outcome: 'ok',
      checks: [{ id: 'pod-to-pod', evidence: { asked: 1 } }],
    });
    expect(ended?.durationMs).toBeGreaterThanOrEqual(0);
    expect(ended?.evidenceDigest).toBe(hashOf({ checks: ended?.checks, evidence: ended?.evidence }));
  });

  /** The store fails so often, then works. */
  const storeFails = (times: number) => {
    const real = world.records.append.bind(world.records);
    let left = times;
    return vi.spyOn(world.records, 'append').mockImplementation((input) => {
      if (left-- > 0) throw new CutoverError('StoreUnusable', 'the disk is full');
      return real(input);
    });
  };

  it('comes before the effect: a store that cannot be written is waited for, and nothing is done meanwhile', async () => {
    let doneMeanwhile = 0;
    const append = storeFails(2);
    const before = append.getMockImplementation()!;
    append.mockImplementation((input) => {
      doneMeanwhile = Math.max(doneMeanwhile, world.nodes.calls.length);
      return before(input);
    });

    await world.run('node.startKubelet', { node: 'w1' });

    expect(world.records.records({ migration }).map(({ kind }) => kind)).toEqual(['step.began', 'step.ended']);
    expect(world.nodes.calls).toHaveLength(1);
    // `ended` is written after the effect, `began` before it.
    expect(append.mock.calls[2]![0].kind).toBe('step.began');
  });

  it('of the end is waited for, too: the effect is there once, and so is each record', async () => {
    const real = world.records.append.bind(world.records);
    let failed = 0;
    vi.spyOn(world.records, 'append').mockImplementation((input) => {
      if (input.kind === 'step.ended' && failed++ < 2) throw new CutoverError('StoreUnusable', 'the disk is full');
      return real(input);
    });

    await world.run('node.startKubelet', { node: 'w1' });

    expect(failed).toBe(3);
    expect(world.nodes.calls).toHaveLength(1);
    expect(world.records.records({ kind: ['step.ended'] })).toHaveLength(1);
  });

  it('tells of an outage of the API server: the step waits, goes on, and nothing failed', async () => {
    let times = 0;
    world.nodes.before.run = () => {
      if (times++ < 2) throw new CutoverError('ClusterUnreachable', 'nothing answers at https://10.0.0.1:6443');
    };

    await world.run('node.startKubelet', { node: 'w1' });

    const kinds = world.records.records({ migration }).map(({ kind, outcome = '' }) => `${kind} ${outcome}`.trim());
    expect(kinds).toEqual(['step.began', 'step.waiting', 'step.resumed ClusterUnreachable', 'step.ended ok']);
  });

  it('of a failure has type, message and remedy', async () => {
    world.nodes.before.run = () => {
      throw new CutoverError('NodeUnreachable', 'w1 does not answer on 10.99.0.1:22');
    };

    await failureOf(world.run('node.purge', { node: 'w1' }));

    const ended = world.records.records({ kind: ['step.ended'] })[0];
    expect(ended).toMatchObject({
      outcome: 'failed',
      error: { type: 'NodeUnreachable', message: 'w1 does not answer on 10.99.0.1:22', remedy: expect.any(String) },
    });
  });
});

describe('failures', () => {
  it.each([
    ['NodeUnreachable', true],
    ['VerbFailed', false],
    ['HostKeyMismatch', true],
    ['AttemptFenced', true],
  ] as const)('of type %s leave as an ApplicationFailure, nonRetryable %s', async (type, nonRetryable) => {
    world.nodes.before.run = () => {
      throw new CutoverError(type, 'it went wrong', { details: { tried: 2 }, remedy: 'do this' });
    };

    const failure = await failureOf(world.run('node.purge', { node: 'w1' }));

    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({
      type,
      nonRetryable,
      message: 'it went wrong',
      details: [{ tried: 2, remedy: 'do this' }],
    });
    expect(failure.cause).toBeUndefined();
  });

  it('that nobody foresaw are bugs of ours, and never a plain Error', async () => {
    world.nodes.before.run = () => {
      throw new TypeError('x is not a function');
    };

    expect(await failureOf(world.run('node.purge', { node: 'w1' }))).toMatchObject({
      name: 'ApplicationFailure',
      type: 'Internal',
      message: 'x is not a function',
      nonRetryable: true,
    });
  });

  it('name a plan that the store does not have, and are not retried', async () => {
    const { MockActivityEnvironment } = await import('@temporalio/testing');
    const input = {
      place: { migration, planHash: 'ab'.repeat(32), stage: 's' },
      step: { id: 's', title: 's', direction: 'forward' as const },
      nodeAttempt: 1,
      with: {},
      verify: [],
    };

    const failure = await failureOf(new MockActivityEnvironment().run(world.activities['cluster.check']!, input));

    expect(failure).toMatchObject({ type: 'NotFound', nonRetryable: true });
    expect(world.records.records()).toEqual([]);
  });

  it('carry no secrets, neither to Temporal nor into the record', async () => {
    const secrets = {
      bearer: 'Authorization: Bearer abcdef0123456789',
      pem: '-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----',
      jwt: 'eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrOHMifQ.c2lnbmF0dXJl',
      yaml: 'client-key-data: TUlJRW93SUJBQUtDQVFFQQ==',
      password: 'password=hunter2hunter2',
    };
    world.nodes.before.run = () => {
      throw new CutoverError('VerbFailed', `it printed ${Object.values(secrets).join(' and ')}`, {
        details: { token: 'hunter2hunter2', output: secrets.pem },
      });
    };

    const failure = await failureOf(world.run('node.purge', { node: 'w1' }));

    const seen = JSON.stringify([failure.message, failure.details, world.records.records()]);
    for (const part of ['abcdef0123456789', 'MIIEowIBAAKCAQEA', 'c2lnbmF0dXJl', 'TUlJRW93', 'hunter2'])
      expect(seen).not.toContain(part);
    expect(failure.message).toContain('[redacted]');
  });
});

describe('verification', () => {
  it('fails the step when a check blocks, with what was measured, and may be tried again', async () => {
    world.checks.answer = (ids) =>
      ids.map((id) =>
        checkResult(
          id,
          id === 'dns'
            ? {
                verdict: 'block',
                message: '0 of 5 names resolve',
                remedy: 'look at CoreDNS',
                evidence: { resolved: 0 },
              }
            : {},
        ),
      );

    const failure = await failureOf(world.run('node.check', { node: 'w1', verify: ['pod-to-pod', 'dns'] }));

    expect(failure).toMatchObject({
      type: 'ChecksFailed',
      nonRetryable: false,
      message: 'dns: 0 of 5 names resolve',
      details: [{ remedy: 'look at CoreDNS', checks: [{ id: 'dns', evidence: { resolved: 0 } }] }],
    });
    expect(world.records.records({ kind: ['step.ended'] })[0]).toMatchObject({
      outcome: 'failed',
      checks: [{ id: 'pod-to-pod' }, { id: 'dns' }],
    });
  });

  it('is about the node of the step, and sees the nodes that have moved', async () => {
    await world.client.mergePatch(
      { apiVersion: 'v1', kind: 'Node', name: 'w2' },
      { metadata: { labels: { 'projectcalico.org/node-network-during-migration': 'calico' } } },
    );
    let seen: unknown;
    world.checks.answer = async (ids, context) => {
      seen = { node: context.node?.name, migrated: await context.migratedNodes(), stage: context.stage.id };
      return ids.map((id) => checkResult(id));
    };

    await world.run('node.check', { node: 'w1', verify: ['dns'] });

    expect(seen).toEqual({ node: 'w1', migrated: ['w2'], stage: '1-flannel-to-calico' });
  });

  it('knows what connection tracking had refused when the node was last snapshotted', async () => {
    const counted: (number | undefined)[] = [];
    world.checks.answer = async (ids, context) => {
      counted.push(context.conntrackDropsBefore?.('w1'));
      return ids.map((id) => checkResult(id));
    };
    await world.run('node.check', { node: 'w1', verify: ['dns'] });
    world.nodes.state('w1').conntrackDrops = 5;
    await world.run('node.snapshot', { node: 'w1' });
    world.nodes.state('w1').conntrackDrops = 8;

    await world.run('node.check', { node: 'w1', verify: ['dns'] });

    expect(counted).toEqual([undefined, 5]);
  });

  it.each([
    { title: 'all are marked', marks: { w1: 'calico', w2: 'flannel', w3: 'none' }, agents: [], moved: ['w1'] },
    { title: 'a mark is gone', marks: { w1: 'calico', w2: 'flannel' }, agents: ['w1', 'w3'], moved: ['w1', 'w3'] },
    { title: 'no node is marked yet', marks: {}, agents: [], moved: [] },
    { title: 'no node is marked any more', marks: {}, agents: ['w1', 'w2', 'w3'], moved: ['w1', 'w2', 'w3'] },
  ])('tell by mark or agent which nodes have moved, without reading any: $title', async ({ marks, agents, moved }) => {
    for (const [name, mark] of Object.entries(marks))
      await world.client.mergePatch({ ...kinds.node, name }, { metadata: { labels: { [networkLabel]: mark } } });
    for (const name of agents)
      world.store.create('pods', {
        ...kinds.pod,
        metadata: { name: `calico-node-${name}`, namespace: 'kube-system', labels: { 'k8s-app': 'calico-node' } },
        spec: { nodeName: name, containers: [{ name: 'calico-node', image: 'calico/node:v3' }] },
      });
    const list = vi.spyOn(world.client, 'list');

    expect((await migratedNodes(world.client)).toSorted()).toEqual(moved);
    expect(list.mock.calls.filter(([{ kind }]) => kind === 'Node')).toEqual([]);
  });

  it('keeps long evidence in the record and out of the history', async () => {
    world.checks.answer = (ids) => ids.map((id) => checkResult(id, { evidence: { list: 'x'.repeat(5_000) } }));

    const result = await world.run('node.check', { node: 'w1', verify: ['dns'] });

    expect(result.checks[0]).toMatchObject({ id: 'dns', evidence: null });
    expect(JSON.stringify(world.records.records({ kind: ['step.ended'] })[0]?.checks).length).toBeGreaterThan(5_000);
  });
});

describe('an attempt', () => {
  it('heartbeats while it works, and says what it does', async () => {
    const beat = Promise.withResolvers<{ message: string }>();
    world.checks.answer = async (ids) => {
      await beat.promise;
      return ids.map((id) => checkResult(id));
    };

    await world.run('node.check', { node: 'w1', verify: ['dns'], onHeartbeat: beat.resolve });

    expect(await beat.promise).toEqual({ message: 'checking dns' });
  });

  it('that was cancelled ends as cancelled, undoes nothing and says so in the record', async () => {
    const cancel = new AbortController();
    world.nodes.before.run = () => cancel.abort();

    const error = await world
      .run('node.purge', { node: 'w1', cancel: cancel.signal })
      .catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(CancelledFailure);
    expect(world.nodes.calls.map(({ verb }) => verb)).toEqual(['purge']);
    expect(world.records.records({ kind: ['step.ended'] })[0]).toMatchObject({ outcome: 'cancelled' });
  });

  it('that takes too long is stopped, and says what it was doing', async () => {
    world.nodes.before.run = async (_node, _verb, signal) => void (await once(signal!, 'abort'));

    const failure = await failureOf(world.run('node.purge', { node: 'w1', timeoutMs: 1_000 }));

    expect(failure).toMatchObject({
      type: 'StepTimedOut',
      nonRetryable: true,
      message: 'Do node.purge on w1 took longer than 1 s: Do node.purge',
    });
    expect(world.records.records({ kind: ['step.ended'] })[0]).toMatchObject({
      outcome: 'failed',
      error: { type: 'StepTimedOut' },
    });
  });

  it('has a greater fencing token than every one before it, and an older one is refused by the node', async () => {
    await world.run('node.purge', { node: 'w1' });
    await world.run('node.purge', { node: 'w1', attempt: 2 });
    await world.run('node.startKubelet', { node: 'w1' });
    const tokens = world.nodes.calls.map(({ token }) => token);

    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    expect(new Set(tokens).size).toBe(3);
    expect(Number.isSafeInteger(Date.now() * 1000 + 999)).toBe(true);

    world.nodes.state('w1').token = Number.MAX_SAFE_INTEGER;
    expect(await failureOf(world.run('node.purge', { node: 'w1' }))).toMatchObject({
      type: 'AttemptFenced',
      nonRetryable: true,
    });
  });
});

describe('the lease of the cluster', () => {
  const holder = () => world.store.get('leases.coordination.k8s.io', 'kube-system', 'cutover')!['spec'].holderIdentity;

  it('is held by the installation and the migration whose steps run', async () => {
    await world.run('node.purge', { node: 'w1' });

    expect(holder()).toBe(`${world.records.installation()}/${migration}`);
    expect(world.nodes.calls[0]).toMatchObject({ installation: world.records.installation() });
  });

  it('lost to another installation, it stops every step before its effect', async () => {
    await world.client.create({
      ...kinds.lease,
      metadata: {
        name: 'cutover',
        namespace: 'kube-system',
        annotations: {
          'cutover.dev/installation': 'theirs-1',
          'cutover.dev/migration': 'm-2',
          'cutover.dev/person': 'eve',
        },
      },
      spec: { holderIdentity: 'theirs-1/m-2', acquireTime: '2026-12-01T10:00:00.000000Z' },
    });

    const onNode = await failureOf(world.run('node.purge', { node: 'w1' }));
    const back = await failureOf(world.run('node.unfence', { node: 'w1', direction: 'back' }));
    const inCluster = await failureOf(
      world.run('cluster.labelNodes', { with: { key: networkLabel, value: 'flannel' } }),
    );

    for (const failure of [onNode, back, inCluster])
      expect(failure).toMatchObject({
        type: 'LeaseLost',
        nonRetryable: true,
        message: `m-2 of installation theirs-1 (launched by eve) took this cluster over at 2026-12-01T10:00:00Z; ${migration} does nothing more there`,
      });
    expect(world.nodes.calls).toEqual([]);
    expect(world.node('w1').metadata.labels?.[networkLabel]).toBeUndefined();
    expect(world.records.records({ kind: ['step.ended'] }).map(({ error }) => error?.type)).toEqual([
      'LeaseLost',
      'LeaseLost',
      'LeaseLost',
    ]);
  });

  it('cannot be asked for while the API does not answer: the step waits, and does nothing meanwhile', async () => {
    let asked = 0;
    world.between.kubernetes = (client) => ({
      ...client,
      get: (ref) => {
        if (++asked > 2) return client.get(ref);
        expect(world.nodes.calls).toEqual([]);
        return Promise.reject(new CutoverError('ClusterUnreachable', 'nothing answers'));
      },
    });

    await world.run('node.purge', { node: 'w1' });

    expect(asked).toBeGreaterThan(2);
    expect(world.nodes.calls).toHaveLength(1);
  });
});
