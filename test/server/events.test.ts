import { afterEach, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../src/cli/client.ts';
import { atGate, migration, startFixture, token, type Fixture } from './fixture.ts';

let api: Fixture;
beforeEach(async () => {
  api = await startFixture();
  atGate(api);
});
afterEach(() => api.close());

/** Reads events until so many have come, then hangs up. */
async function read(
  count: number,
  headers: Record<string, string> = {},
  query = '',
  meanwhile: () => void = () => undefined,
): Promise<{ id: number; event: string; data: any }[]> {
  const end = new AbortController();
  const response = await fetch(`${api.url}/v1/migrations/${migration}/events${query}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    signal: end.signal,
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const events: { id: number; event: string; data: any }[] = [];
  let text = '';
  meanwhile();
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString();
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const field = (name: string) =>
        block
          .split('\n')
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2) ?? '';
      if (field('id') !== '')
        events.push({ id: Number(field('id')), event: field('event'), data: JSON.parse(field('data')) });
    }
    if (events.length >= count) break;
  }
  end.abort();
  return events;
}

it('sends every record of the migration with its seq as id', async () => {
  const records = api.store.records({ migration });

  const events = await read(records.length);

  expect(events.map(({ id }) => id)).toEqual(records.map(({ seq }) => seq));
  expect(events.map(({ event }) => event)).toEqual(records.map(({ kind }) => kind));
  expect(events.at(-1)?.data).toEqual(records.at(-1));
});

it('resumes after the last event that was seen, by header and by query', async () => {
  const seqs = api.store.records({ migration }).map(({ seq }) => seq);
  const seen = seqs.at(-3)!;

  const byHeader = await read(2, { 'last-event-id': String(seen) });
  const byQuery = await read(2, {}, `?after=${seen}`);

  expect(byHeader.map(({ id }) => id)).toEqual(seqs.slice(-2));
  expect(byQuery.map(({ id }) => id)).toEqual(seqs.slice(-2));
});

it('sends what is written while it listens, and nothing of another migration', async () => {
  const last = api.store.records({ migration }).at(-1)!.seq;

  const events = await read(1, {}, `?after=${last}`, () => {
    api.record('pause.requested', { migration: 'other-000002', actor: 'eve' });
    api.record('pause.requested', { actor: 'bob', outcome: 'node' });
  });

  expect(events).toMatchObject([{ event: 'pause.requested', data: { actor: 'bob', migration } }]);
});

it('refuses a migration that does not exist before the stream begins', async () => {
  const response = await fetch(`${api.url}/v1/migrations/nothing/events`, {
    headers: { authorization: `Bearer ${token}` },
  });

  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ error: { type: 'NotFound' } });
});

it('is read by the client of the CLI, which notices when the server goes away', async () => {
  const client = createApi({ url: api.url, token, actor: 'ana', timeoutMs: 5_000 });
  const ids: number[] = [];
  const all = Promise.withResolvers<void>();
  const expected = api.store.records({ migration }).length;

  const ended = client
    .events(
      `/v1/migrations/${migration}/events`,
      ({ id }) => ids.push(id) === expected && all.resolve(),
      new AbortController().signal,
    )
    .then(
      () => 'ended',
      () => 'broken',
    );
  await all.promise;
  await api.server.stop();

  expect(['ended', 'broken']).toContain(await ended);
  expect(ids).toHaveLength(expected);
});
