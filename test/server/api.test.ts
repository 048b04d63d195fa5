import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CutoverError } from '../../src/errors.ts';
import { atGate, check, evidenceOf, gateDigest, migration, startFixture, type Fixture } from './fixture.ts';

let api: Fixture;
beforeEach(async () => {
  api = await startFixture();
});
afterEach(() => api.close());

const gatePath = `/v1/migrations/${migration}/gates/after-canary`;
const refusedOf = () => api.store.records({ kind: ['attempt.refused'] });

describe('who may ask', () => {
  it('answers health without a token and nothing else', async () => {
    expect((await fetch(`${api.url}/v1/health`)).status).toBe(200);

    const refused = await fetch(`${api.url}/v1/migrations`);

    expect(refused.status).toBe(401);
    expect(await refused.json()).toMatchObject({
      error: { type: 'Unauthorized', message: expect.any(String), remedy: expect.any(String) },
    });
  });

  it('counts who has no token, under no name, and lets the others through when there are many', async () => {
    atGate(api);
    const records = api.store.records().length;
    const headers = { authorization: 'Bearer wrong' };
    const path = `/v1/migrations/${migration}/pause`;

    const answers = await Promise.all(
      Array.from({ length: 300 }, () => api.call('POST', path, { body: {}, as: 'mallory', headers })),
    );

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 429]));
    expect(api.store.records()).toHaveLength(records);
    expect(api.control.sent).toEqual([]);
    expect((await api.call('GET', '/v1/health')).body).toMatchObject({ status: 'ok', refused: 300 });
    expect((await api.call('POST', path, { body: {} })).status).toBe(200);
  });

  it('refuses a change by nobody, by the worker, and by a name with control characters', async () => {
    atGate(api);
    for (const as of [
      '',
      'worker:1',
      'workflow',
      'Workflow',
      'work\u00adflow',
      'ana\nbob',
      'an\u200ba',
      '\u202eana',
      'ana\u009b31m',
      'a'.repeat(129),
    ]) {
      const { status, body } = await api.call('POST', `/v1/migrations/${migration}/pause`, { body: {}, as });

      expect([status, body.error.type]).toEqual([400, 'Usage']);
    }
    expect(api.control.sent).toEqual([]);
  });

  it('takes names outside ASCII', async () => {
    atGate(api);

    await api.call('POST', `/v1/migrations/${migration}/pause`, { body: { reason: 'lunch' }, as: 'Jürgen Ō' });

    expect(api.control.sent[0]?.args).toMatchObject({ actor: 'Jürgen Ō', reason: 'lunch' });
  });
});

describe('acts', () => {
  it.each([
    ['pause', { scope: 'wave', reason: 'r' }, 'pause', { scope: 'wave' }, 'pause.requested'],
    ['resume', { reason: 'r' }, 'resume', {}, 'resume.requested'],
    ['abort', { mode: 'hold', reason: 'r' }, 'abort', { mode: 'hold' }, 'abort.requested'],
    [
      'rollback',
      { scope: { node: 'worker-1' }, reason: 'r' },
      'rollBack',
      { scope: { node: 'worker-1' } },
      'rollback.requested',
    ],
    [
      'rollback',
      { scope: { wave: 'canary' }, reason: 'r' },
      'rollBack',
      { scope: { wave: 'canary' } },
      'rollback.requested',
    ],
    ['rollback', { scope: { all: true }, reason: 'r' }, 'rollBack', { scope: { all: true } }, 'rollback.requested'],
    ['nodes/worker-1/retry', { reason: 'r' }, 'retryNode', { node: 'worker-1' }, 'retry.requested'],
    ['nodes/worker-1/skip', { reason: 'r' }, 'skipNode', { node: 'worker-1' }, 'skip.requested'],
  ] as const)(
    '%s is written down, sent with the request id as update id, and answered',
    async (path, body, update, args, kind) => {
      atGate(api);

      const answer = await api.call('POST', `/v1/migrations/${migration}/${path}`, {
        body,
        as: 'bob',
        headers: { 'x-request-id': 'request-1' },
      });

      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({ accepted: true, request: 'request-1', migration, message: `${update} accepted` });
      expect(api.control.sent).toEqual([
        {
          target: { clusterUid: 'cluster-uid', migration },
          name: update,
          args: { ...args, actor: 'bob', reason: 'r', at: expect.any(String) },
          request: { id: 'request-1', actor: 'bob' },
        },
      ]);
      const written = api.store.records({ actor: 'bob' });
      expect(written.map((record) => record.kind)).toEqual([kind]);
      expect(written[0]).toMatchObject({ migration, planHash: api.planHash, reason: 'r', key: 'request:request-1' });
    },
  );

  it('does and records the same request once, and answers the same', async () => {
    atGate(api);
    const pause = () =>
      api.call('POST', `/v1/migrations/${migration}/pause`, { body: {}, headers: { 'x-request-id': 'same' } });

    const [first, second] = [await pause(), await pause()];

    expect(second.body).toEqual(first.body);
    expect(api.store.records({ kind: ['pause.requested'] })).toHaveLength(1);
    expect(api.control.sent.map(({ request }) => request.id)).toEqual(['same']);
  });

  it.each(['GateClosed', 'PlanHashMismatch', 'EvidenceMismatch', 'AlreadyDecided', 'NotAllowed'] as const)(
    'writes down a decision that the workflow refuses as %s',
    async (type) => {
      atGate(api);
      api.control.refusals = [new CutoverError(type, `refused as ${type}`)];

      const { status, body } = await api.call('POST', `${gatePath}/decision`, {
        body: {
          verdict: 'approve',
          reason: 'looks good',
          planHash: api.planHash,
          evidenceDigest: `sha256:${gateDigest}`,
        },
        as: 'bob',
      });

      expect([status, body.error.type]).toEqual([type === 'NotAllowed' ? 403 : 409, type]);
      expect(refusedOf()).toMatchObject([
        {
          actor: 'bob',
          migration,
          planHash: api.planHash,
          outcome: type,
          reason: 'looks good',
          evidence: { gate: 'after-canary' },
          error: { type },
        },
      ]);
      expect(api.store.records({ gate: 'after-canary', kind: ['attempt.refused'] })).toHaveLength(1);
    },
  );

  it('says that the outcome is not known when Temporal does not answer, and does not call that a refusal', async () => {
    atGate(api);
    api.control.refusals = [
      new CutoverError('TemporalUnreachable', 'no answer came in time', { details: { safeToRepeat: true } }),
    ];

    const { status, body } = await api.call('POST', `/v1/migrations/${migration}/pause`, { body: {} });

    expect(status).toBe(502);
    expect(body.error.details).toEqual({ safeToRepeat: true });
    expect(refusedOf()).toEqual([]);
  });

  it('refuses every act on a migration that has ended, without asking Temporal', async () => {
    atGate(api);
    api.record('migration.ended', { outcome: 'completed' });

    const { status, body } = await api.call('POST', `/v1/migrations/${migration}/resume`, { body: {} });

    expect([status, body.error.type]).toEqual([409, 'MigrationEnded']);
    expect(api.control.sent).toEqual([]);
    expect(refusedOf()).toHaveLength(1);
  });

  it.each([
    [
      'a rejection without a reason',
      `${gatePath}/decision`,
      { verdict: 'reject', planHash: 'a'.repeat(64), evidenceDigest: 'b'.repeat(64) },
    ],
    ['a decision without the evidence', `${gatePath}/decision`, { verdict: 'approve', planHash: 'a'.repeat(64) }],
    [
      'a digest that is none',
      `${gatePath}/decision`,
      { verdict: 'approve', planHash: 'a'.repeat(64), evidenceDigest: 'sha256:xyz' },
    ],
    ['an unknown pause scope', `/v1/migrations/${migration}/pause`, { scope: 'later' }],
    [
      'a rollback of two things',
      `/v1/migrations/${migration}/rollback`,
      { scope: { node: 'worker-1', all: true }, reason: 'r' },
    ],
    ['an abort without a reason', `/v1/migrations/${migration}/abort`, { mode: 'hold' }],
  ])('refuses %s as Usage, names the field, and writes it down', async (_, path, body) => {
    atGate(api);

    const answer = await api.call('POST', path, { body });

    expect([answer.status, answer.body.error.type]).toEqual([400, 'Usage']);
    expect(answer.body.error.message).toMatch(/reason|evidenceDigest|scope/);
    expect(refusedOf()).toHaveLength(1);
    expect(api.control.sent).toEqual([]);
  });

  it('refuses a body that is not JSON', async () => {
    atGate(api);

    const response = await fetch(`${api.url}/v1/migrations/${migration}/pause`, {
      method: 'POST',
      headers: {
        authorization: 'Bearer token-of-the-test',
        'x-cutover-actor': 'ana',
        'content-type': 'application/json',
      },
      body: '{"scope":',
    });

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { type: 'Usage' } });
  });
});

describe('names', () => {
  it.each([
    [`/v1/migrations/prod-000002`, `did you mean ${migration}?`],
    [`/v1/migrations/${migration}/gates/after-canari`, 'did you mean after-canary?'],
    [`/v1/migrations/${migration}/nodes/worker-11/why`, 'did you mean worker-1?'],
    ['/v1/plans/ffffffff', 'compile it first: `cutover plan -f plan.yaml`'],
    ['/v1/nothing', 'see /openapi.json'],
  ])('answers 404 for %s with what to do', async (path, remedy) => {
    atGate(api);

    const { status, body } = await api.call('GET', path);

    expect([status, body.error.type, body.error.remedy]).toEqual([404, 'NotFound', remedy]);
  });

  it.each(['latest', migration, 'prod', '000001'])('finds the migration as %s', async (written) => {
    atGate(api);

    const { body } = await api.call('GET', `/v1/migrations/${written}`);

    expect(body.id).toBe(migration);
  });

  it('finds a plan by the start of its hash and as latest', async () => {
    for (const written of [api.planHash.slice(0, 8), `sha256:${api.planHash}`, 'latest'])
      expect((await api.call('GET', `/v1/plans/${written}`)).body.hash).toBe(api.planHash);
  });

  it('refuses to roll back a wave that the plan lacks', async () => {
    atGate(api);

    const { status, body } = await api.call('POST', `/v1/migrations/${migration}/rollback`, {
      body: { scope: { wave: 'wave-3' }, reason: 'r' },
    });

    expect([status, body.error.remedy]).toEqual([404, 'did you mean wave-2?']);
  });
});

describe('launch', () => {
  const launch = (body: object = {}, headers: Record<string, string> = {}) =>
    api.call('POST', '/v1/migrations', { body: { planHash: api.planHash, reason: 'because', ...body }, headers });

  it('runs preflight, writes both down and starts the workflow under the id of the migration', async () => {
    const { status, body } = await launch();

    expect(status).toBe(200);
    expect(body.migration).toMatch(/^prod-[0-9a-f]{6}$/);
    expect(api.control.started).toEqual([
      { migration: body.migration, planHash: api.planHash, clusterUid: 'cluster-uid', requester: 'ana' },
    ]);
    expect(api.store.records().map(({ kind, actor }) => [kind, actor])).toEqual([
      ['preflight.ended', 'ana'],
      ['migration.requested', 'ana'],
    ]);
    expect((await api.call('GET', '/v1/migrations/latest')).body).toMatchObject({
      id: body.migration,
      state: 'requested',
      requester: 'ana',
      reason: 'because',
    });
  });

  it('is the same migration when the same request comes twice', async () => {
    const first = await launch({}, { 'x-request-id': 'once' });
    const second = await launch({}, { 'x-request-id': 'once' });

    expect(second.body.migration).toBe(first.body.migration);
    expect(api.store.records({ kind: ['migration.requested'] })).toHaveLength(1);
  });

  it('takes the lease of the cluster first, then asks the preflight again unless it was asked seconds ago', async () => {
    const preflight = vi.spyOn(api.control, 'preflight');
    const earlier = (minutes: number): void =>
      void api.store.append({
        key: `preflight:${minutes}`,
        kind: 'preflight.ended',
        at: new Date(Date.now() - minutes * 60_000).toISOString(),
        actor: 'ana',
        planHash: api.planHash,
        outcome: 'pass',
        checks: [check('nodes-ready', 'pass')],
      });
    earlier(2);
    preflight.mockImplementation(() => {
      expect(api.control.leases).toHaveLength(1);
      return Promise.resolve(api.control.evidence);
    });

    const first = await launch({}, { 'x-request-id': 'one' });
    const again = await launch({}, { 'x-request-id': 'one' });

    expect([first.status, again.status]).toEqual([200, 200]);
    expect(preflight).toHaveBeenCalledTimes(1);
    expect(api.control.leases).toEqual([
      { planHash: api.planHash, migration: first.body.migration, person: 'ana', takeOver: false },
    ]);
    expect(api.control.givenBack).toEqual([]);
  });

  it('does nothing while another installation holds the cluster', async () => {
    api.control.leaseRefusals.push(new CutoverError('LeaseHeld', 'm-1 of installation theirs-1 holds this cluster'));

    const { status, body } = await launch();

    expect([status, body.error.type]).toEqual([409, 'LeaseHeld']);
    expect(api.control.started).toEqual([]);
    expect(api.store.records({ kind: ['preflight.ended', 'migration.requested'] })).toEqual([]);
    expect(refusedOf()).toMatchObject([{ outcome: 'LeaseHeld' }]);
  });

  it('gives the lease back when the preflight refuses, and takes none over', async () => {
    api.control.evidence = evidenceOf([check('nodes-ready', 'block', 'worker-2 is not Ready')]);

    await launch();
    const takeOver = await launch({ takeOver: true });

    expect(takeOver.body.error.type).toBe('ChecksFailed');
    expect(api.control.leases).toHaveLength(1);
    expect(api.control.givenBack).toEqual([
      { planHash: api.planHash, migration: expect.stringMatching(/^prod-/) as unknown as string },
    ]);
  });

  it('takes a cluster over only with a reason, and writes down from whom', async () => {
    const refused = await launch({ takeOver: true, reason: ' ' });
    api.control.takenLease = {
      from: {
        installation: 'theirs-1',
        migration: 'm-1',
        person: 'eve',
        since: '2026-12-01T10:00:00.000000Z',
        renewedAt: '2026-12-01T10:05:00.000000Z',
      },
    };
    const accepted = await launch({ takeOver: true, reason: 'their host burned down' });

    expect([refused.status, refused.body.error.type]).toEqual([400, 'Usage']);
    expect(accepted.status).toBe(200);
    expect(api.control.leases).toMatchObject([{ takeOver: true }]);
    expect(api.store.records({ kind: ['migration.requested'] })).toMatchObject([
      {
        reason: 'their host burned down',
        message: expect.stringContaining('taken over from m-1 of installation theirs-1 (launched by eve)'),
        evidence: { takenOverFrom: { installation: 'theirs-1', migration: 'm-1' } },
      },
    ]);
  });

  it('is refused when preflight blocks, whatever is acknowledged', async () => {
    api.control.evidence = evidenceOf([
      { ...check('nodes-ready', 'block', 'worker-2 is not Ready'), acknowledged: 'never mind' },
      check('budgets', 'warn'),
    ]);

    const { status, body } = await launch();

    expect([status, body.error.type]).toEqual([409, 'ChecksFailed']);
    expect(body.error.message).toContain('worker-2 is not Ready');
    expect(api.control.started).toEqual([]);
    expect(refusedOf()).toHaveLength(1);
    expect((await api.call('GET', '/v1/migrations')).body.items).toEqual([]);
  });

  it('asks again after a preflight that blocked: what it found may have been corrected', async () => {
    api.control.evidence = evidenceOf([check('nodes-ready', 'block', 'worker-2 is not Ready')]);
    const refused = await launch();
    api.control.evidence = evidenceOf([check('nodes-ready', 'pass')]);

    const accepted = await launch();

    expect([refused.status, accepted.status]).toEqual([409, 200]);
  });

  it('goes on with warnings only when the plan acknowledges them, and says what to write', async () => {
    const budgets = check('budgets', 'warn', 'payments/api allows 0 disruptions');
    api.control.evidence = evidenceOf([budgets, check('enough-nodes', 'warn')]);
    const refused = await launch();
    api.control.evidence = evidenceOf(
      [budgets, check('enough-nodes', 'warn')].map((one) => ({ ...one, acknowledged: 'known' })),
    );
    const accepted = await launch();

    expect(refused.status).toBe(409);
    expect(refused.body.error.message).toBe(
      'preflight warns, and the plan does not acknowledge it: budgets, enough-nodes (see `cutover preflight`)',
    );
    expect(refused.body.error.remedy).toContain('- {id: budgets, reason: …} - {id: enough-nodes, reason: …}');
    expect(accepted.status).toBe(200);
    expect(api.store.records({ kind: ['migration.requested'] })[0]).toMatchObject({
      message: 'preflight: 0 pass, 2 acknowledged, 0 warn, 0 block',
    });
  });

  it('is refused while a migration of the cluster runs, naming it', async () => {
    atGate(api);

    const { status, body } = await launch();

    expect([status, body.error.type, body.error.details]).toEqual([409, 'MigrationRunning', { migration }]);
    expect(api.control.started).toEqual([]);
  });

  it('is refused by Temporal when another server was quicker, and leaves no migration behind', async () => {
    api.control.startRefusals = [
      new CutoverError('MigrationRunning', 'other is under way', { details: { migration: 'other' } }),
    ];

    const { status } = await launch();

    expect(status).toBe(409);
    expect((await api.call('GET', '/v1/migrations')).body.items).toEqual([]);
    expect((await launch()).status).toBe(200);
  });
});

describe('views', () => {
  it('shows the migration at its gate with waves, nodes and the evidence', async () => {
    atGate(api);

    const { body } = await api.call('GET', `/v1/migrations/${migration}`);
    const { body: gate } = await api.call('GET', gatePath);

    expect(body).toMatchObject({
      state: 'at-gate',
      gate: 'after-canary',
      requester: 'ana',
      counts: { nodes: 3, migrated: 1, pending: 2 },
      from: 'flannel',
      to: 'calico',
    });
    expect(body.stages[0].waves[0].nodes[0]).toMatchObject({
      name: 'worker-1',
      state: 'migrated',
      nodeAttempt: 2,
      rollbacks: 1,
    });
    expect(gate).toMatchObject({
      state: 'open',
      planHash: api.planHash,
      evidence: { digest: gateDigest, verdict: 'warn' },
      needs: [expect.stringContaining('1 more approval')],
    });
  });

  it('tells the history of a node with the check that failed', async () => {
    atGate(api);

    const { body } = await api.call('GET', `/v1/migrations/${migration}/nodes/worker-1/history`);

    expect(body).toMatchObject({ node: 'worker-1', state: 'migrated', nodeAttempts: 2 });
    expect(body.entries.find((entry: { outcome: string }) => entry.outcome === 'failed')).toMatchObject({
      title: 'Ask the new network',
      checks: [{ id: 'dns', verdict: 'block' }],
    });
  });

  it('says why a pending node waits, and what a running one does by its heartbeat', async () => {
    atGate(api);
    const path = `/v1/migrations/${migration}/nodes/worker-2/why`;

    expect((await api.call('GET', path)).body.sentence).toContain('gate after-canary is open');

    api.record('gate.closed', {
      stage: '1-flannel-to-calico',
      wave: 'canary',
      outcome: 'passed',
      evidence: { gate: 'after-canary' },
    });
    api.record('wave.started', {
      stage: '1-flannel-to-calico',
      wave: 'wave-2',
      direction: 'forward',
      evidence: { nodes: ['worker-2', 'worker-3'], turn: 1 },
    });
    api.record('step.began', {
      stage: '1-flannel-to-calico',
      wave: 'wave-2',
      node: 'worker-2',
      step: 'cordon',
      nodeAttempt: 1,
      attempt: 1,
      direction: 'forward',
      message: 'Take no new pods',
    });
    api.control.pendingActivities = [
      {
        name: 'node.cordon',
        state: 'started',
        attempt: 2,
        maximumAttempts: 3,
        heartbeat: { message: '1 pod is blocked by payments/api' },
        lastFailure: { type: 'ClusterUnreachable', message: 'no answer' },
      },
    ];

    const { body } = await api.call('GET', path);

    expect(body.sentence).toContain('"Take no new pods"');
    expect(body.sentence).toContain(
      '1 pod is blocked by payments/api, attempt 2 of 3; the last attempt failed: no answer',
    );

    api.control.pending = () => Promise.reject(new CutoverError('TemporalUnreachable', 'no Temporal server answers'));
    const doubtful = await api.call('GET', path);
    expect(doubtful.body.sentence).toMatch(
      /"Take no new pods".*\(from the records alone: no Temporal server answers\)$/,
    );
  });
});

describe('audit', () => {
  it('lists by filter, verifies, and exports in both formats', async () => {
    atGate(api);

    const listed = await api.call('GET', `/v1/audit?migration=latest&kind=gate.opened,migration.started`);
    const verified = await api.call('GET', '/v1/audit/verify');
    const ndjson = await (
      await fetch(`${api.url}/v1/audit/export`, { headers: { authorization: 'Bearer token-of-the-test' } })
    ).text();
    const csv = await api.call('GET', '/v1/audit/export?format=csv');

    expect(listed.body.items.map(({ kind }: { kind: string }) => kind)).toEqual(['migration.started', 'gate.opened']);
    expect(verified.body).toMatchObject({ ok: true, problems: [] });
    expect(ndjson.trimEnd().split('\n')).toHaveLength(verified.body.records + 1);
    expect(csv.headers.get('content-type')).toContain('text/csv');
    expect(csv.body).toContain('gate.opened');
  });

  it('compares the record with a head that was noted', async () => {
    atGate(api);
    const { head } = api.store.verify();
    api.store.append({ key: 'later', kind: 'resumed', at: '2026-01-01T00:00:00.000Z', actor: 'ana' });

    for (const [noted, ok] of [
      [`${head.seq}:${head.hash}`, true],
      [`sha256:${head.hash}`, true],
      [`${head.seq + 1}:${head.hash}`, false],
      [`${head.seq + 9}:${head.hash}`, false],
      ['ab'.repeat(32), false],
    ] as const)
      expect((await api.call('GET', `/v1/audit/verify?head=${noted}`)).body.ok, noted).toBe(ok);
    const refused = await api.call('GET', '/v1/audit/verify?head=12');
    expect([refused.status, refused.body.error.message]).toEqual([400, '"12" is no head of a record']);
  });

  it('refuses a kind of record that does not exist', async () => {
    const { status, body } = await api.call('GET', '/v1/audit?kind=gate.opend');

    expect([status, body.error.type]).toEqual([400, 'Usage']);
  });
});
