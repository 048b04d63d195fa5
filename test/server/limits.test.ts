import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atGate, migration, startFixture, token, type Fixture } from './fixture.ts';

let api: Fixture;
beforeEach(async () => {
  api = await startFixture();
  atGate(api);
});
afterEach(() => api.close());

/** Over node:http, which sends Host, Origin and paths as they are given. */
const raw = (
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(api.url);
    const sent = request(
      { hostname, port, path, method, headers: { authorization: `Bearer ${token}`, ...headers } },
      (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => void (body += text));
        answer.once('end', () => resolve({ status: answer.statusCode!, body }));
      },
    );
    sent.once('error', reject).end();
  });

/** Bytes on a connection, until the server closes it. */
const bytes = (text: string): Promise<string> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(api.url);
    let got = '';
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.setEncoding('utf8').on('data', (chunk: string) => void (got += chunk));
    socket.once('error', () => undefined).once('close', () => resolve(got));
  });

describe('what is too large', () => {
  it('is a body above 1 MiB, with and without a length, and nothing is done', async () => {
    const big = JSON.stringify({ reason: 'x'.repeat(1024 * 1024) });
    const chunked = new ReadableStream({
      start(stream) {
        stream.enqueue(new TextEncoder().encode(big));
        stream.close();
      },
    });

    for (const body of [big, chunked]) {
      const answer = await fetch(`${api.url}/v1/migrations/${migration}/pause`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'x-cutover-actor': 'ana',
          'content-type': 'application/json',
        },
        body,
        duplex: 'half',
      } as RequestInit);

      expect([answer.status, await answer.json()]).toEqual([
        413,
        {
          error: {
            type: 'TooLarge',
            message: 'the body of the request is larger than 1 MiB',
            remedy: 'send less',
          },
        },
      ]);
    }
    expect(api.control.sent).toEqual([]);
  });

  it('is an address above 16 KiB', async () => {
    expect(await raw(`/v1/audit?actor=${'a'.repeat(20_000)}`)).toMatchObject({
      status: 431,
      body: expect.stringContaining('address and headers are larger than 16 KiB'),
    });
  });

  it('is a plan of more problems than anybody reads: it is refused in a moment', async () => {
    const yaml = `apiVersion: cutover.dev/v1alpha1\nkind: MigrationPlan\nmetadata: { name: x }\n${Array.from({ length: 30_000 }, (_, index) => `key${index}: v`).join('\n')}`;
    const began = performance.now();

    const { status, body } = await api.call('POST', '/v1/plans', {
      body: { yaml, file: 'p.yaml', baseDirectory: '/' },
    });

    expect([status, body.error.type]).toEqual([422, 'PlanInvalid']);
    expect(body.error.message).toMatch(/there may be more: the first 50 problems are listed$/);
    // It took 18 s; the bound leaves room for a slow machine.
    expect(performance.now() - began).toBeLessThan(6_000);
  });
});

describe('event streams', () => {
  it('are limited for each person, and one that ends makes room', async () => {
    const open = (as: string, signal?: AbortSignal) =>
      fetch(`${api.url}/v1/migrations/${migration}/events`, {
        headers: { authorization: `Bearer ${token}`, 'x-cutover-actor': as },
        ...(signal ? { signal } : {}),
      });
    const end = new AbortController();
    const first = await open('ana', end.signal);
    const others = await Promise.all(Array.from({ length: 15 }, () => open('ana')));
    expect([first, ...others].map(({ status }) => status)).toEqual(Array.from({ length: 16 }, () => 200));

    const refused = await open('Ana');
    expect([refused.status, await refused.json()]).toMatchObject([
      429,
      { error: { type: 'TooManyRequests', message: 'ana may have 16 event streams open at once' } },
    ]);
    expect((await open('bob')).status).toBe(200);
    end.abort();

    await expect.poll(async () => (await open('ana')).status, { timeout: 5_000 }).toBe(200);
  });
});

describe('what is no request', () => {
  it('is an escape that encodes nothing: refused as the caller’s fault, and written down', async () => {
    const path = `/v1/migrations/${migration}/nodes/%E0%A4%A/retry`;

    const answer = await raw(path, { 'x-cutover-actor': 'ana' }, 'POST');

    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([400, { error: { type: 'Usage' } }]);
  });

  it('is one whose headers do not come to an end, or that is no HTTP', async () => {
    expect(await bytes('hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*this is no HTTP request/s);
    expect(await bytes('GET /v1/health HTTP/1.1\r\nHost: localhost\r\n')).toMatch(
      /^HTTP\/1\.1 408 .*did not arrive in time/s,
    );
  }, 30_000);

  it.each([
    ['a zero-width space in a reason', 'pause', { reason: 'lun\u200bch' }],
    ['an escape sequence in a reason', 'pause', { reason: '\u001b[2Kapproved' }],
    ['C1 in a reason', 'abort', { mode: 'hold', reason: '\u009b31m' }],
    ['a bidi override in a reason', 'resume', { reason: 'a\u202eb' }],
    ['DEL in a node', 'rollback', { scope: { node: 'worker\u007f-1' }, reason: 'r' }],
    ['a line in a reason', 'pause', { reason: 'a\nb' }],
    ['an escape in an id', 'nodes/worker%1b[2K/retry', {}],
    ['a bidi override in an id', 'nodes/worker%E2%80%AE/retry', {}],
  ])('is %s', async (_, path, body) => {
    const before = api.control.sent.length;

    const { status, body: answer } = await api.call('POST', `/v1/migrations/${migration}/${path}`, { body });

    expect([status, answer.error.type]).toEqual([400, 'Usage']);
    expect(answer.error.message).toMatch(/cannot be seen \(U\+[0-9A-F]{4}\)/);
    expect(api.control.sent).toHaveLength(before);
    expect(JSON.stringify(api.store.records())).not.toMatch(/\\u001b|\\u009b|\\u007f|\u202e|\u200b/);
  });
});

describe('a web page', () => {
  it.each([
    ['that rebinds its name', { host: 'evil.example:7777' }, 403],
    ['of another origin', { origin: 'https://evil.example' }, 403],
    ['of no origin', { origin: 'null' }, 403],
  ])('%s gets nothing, not even health', async (_, headers, expected) => {
    expect((await raw('/v1/health', headers as Record<string, string>)).status).toBe(expected);
    expect((await raw('/v1/migrations', headers as Record<string, string>)).status).toBe(expected);
  });

  it.each([{ host: 'localhost:1' }, { host: '[::1]:1' }, { host: '192.0.2.1' }])(
    'is not what asks %j',
    async (headers) => {
      expect((await raw('/v1/health', headers)).status).toBe(200);
    },
  );
});
