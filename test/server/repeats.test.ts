import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPlanner } from '../../src/server/planning.ts';
import { startServer } from '../../src/server/serve.ts';
import type { RecordKind } from '../../src/store/types.ts';
import { atGate, migration, startFixture, token, type Fixture } from './fixture.ts';

let api: Fixture;
beforeEach(async () => {
  api = await startFixture();
  atGate(api);
});
afterEach(() => api.close());

const at = `/v1/migrations/${migration}`;
const headers = { 'x-request-id': 'one' };

/** The same installation after its server was started again: nothing is in memory. */
async function restart(): Promise<void> {
  const { store, control } = api;
  await api.server.stop();
  const server = await startServer({ store, control, planner: createPlanner(), token, version: '0.0.0' }, { port: 0 });
  Object.assign(api, { server, url: server.url });
}
const callAgain = (path: string, body: unknown, as = 'ana') =>
  fetch(`${api.url}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'x-cutover-actor': as,
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(body),
  });

describe('a request id', () => {
  const others: [what: string, path: string, body: object, as?: string][] = [
    ['another act', `${at}/abort`, { mode: 'hold', reason: 'r' }],
    ['an act that the workflow records', `${at}/resume`, { reason: 'r' }],
    ['another body', `${at}/pause`, { scope: 'wave', reason: 'r' }],
    ['another person', `${at}/pause`, { scope: 'node', reason: 'r' }, 'bob'],
    ['a launch', '/v1/migrations', { planHash: '0'.repeat(64), reason: 'r' }],
  ];

  it.each(others)('is refused for %s, which is not done', async (_, path, body, as = 'ana') => {
    await api.call('POST', `${at}/pause`, { body: { scope: 'node', reason: 'r' }, headers });

    const { status, body: answer } = await api.call('POST', path, { body, as, headers });

    expect([status, answer.error.type]).toEqual([409, 'RequestIdUsed']);
    expect(answer.error.message).toContain('the request id one was used before');
    expect(api.control.sent.map(({ name }) => name)).toEqual(['pause']);
    expect(api.control.started).toEqual([]);
  });

  it.each(others.slice(0, 4))('is refused for %s after a restart, too', async (_, path, body, as) => {
    await api.call('POST', `${at}/pause`, { body: { scope: 'node', reason: 'r' }, headers });
    await restart();

    const answer = await callAgain(path, body, as);

    expect([answer.status, await answer.json()]).toMatchObject([409, { error: { type: 'RequestIdUsed' } }]);
    expect(api.control.sent.map(({ name }) => name)).toEqual(['pause']);
  });

  const write = (kind: RecordKind, of: string): void =>
    void api.store.append({
      key: `${kind}:${of}`,
      kind,
      at: new Date().toISOString(),
      actor: 'workflow',
      migration: of,
      planHash: api.planHash,
      outcome: 'completed',
    });
  const launchAnother = async (): Promise<string> => {
    write('migration.ended', migration);
    const launched = await api.call('POST', '/v1/migrations', {
      body: { planHash: api.planHash, reason: 'go' },
      headers,
    });
    expect(launched.status).toBe(200);
    await restart();
    return launched.body.migration as string;
  };

  it('of a launch is refused for a pause, which would have had no record', async () => {
    const launched = await launchAnother();

    const answer = await callAgain(`/v1/migrations/${launched}/pause`, {});

    expect(answer.status).toBe(409);
    expect(api.control.sent).toEqual([]);
  });

  it('of a launch does not start the migration a second time once it has ended', async () => {
    const launched = await launchAnother();
    write('migration.started', launched);
    write('migration.ended', launched);

    const answer = await callAgain('/v1/migrations', { planHash: api.planHash, reason: 'go' });

    expect([answer.status, await answer.json()]).toMatchObject([200, { migration: launched }]);
    expect(api.control.started).toHaveLength(1);
  });

  it.each([
    ['pause', {}],
    ['resume', {}],
    ['abort', { mode: 'hold', reason: 'r' }],
    ['rollback', { scope: { all: true }, reason: 'r' }],
    ['nodes/worker-1/retry', {}],
    ['nodes/worker-1/skip', {}],
    ['gates/after-canary/refresh', {}],
    [
      'gates/after-canary/decision',
      { verdict: 'reject', reason: 'r', planHash: '0'.repeat(64), evidenceDigest: '0'.repeat(64) },
    ],
  ])('is in the record before %s is delivered', async (path, body) => {
    const deliver = api.control.update;
    let recorded: string[] = [];
    api.control.update = (...given) => {
      recorded = api.store.records({ actor: 'bob' }).map(({ key }) => key);
      return deliver(...given);
    };

    const { status } = await api.call('POST', `${at}/${path}`, { body, as: 'bob', headers });

    expect([status, recorded]).toEqual([200, ['request:one']]);
  });

  it('that was refused for two different things is written down twice', async () => {
    for (const gate of ['a', 'b']) await api.call('POST', `${at}/nodes/${gate}/retry`, { body: {}, headers });

    expect(api.store.records({ kind: ['attempt.refused'] }).map(({ node }) => node)).toEqual(['a', 'b']);
  });
});
