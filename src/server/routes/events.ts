import { createRoute, z } from '@hono/zod-openapi';
import { streamSSE } from 'hono/streaming';
import { CutoverError } from '../../errors.ts';
import { subjectOf } from '../../names.ts';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import { resolveMigration } from '../migration-views.ts';
import { errorSchema } from '../schemas.ts';
import { migrationParam } from './respond.ts';

/** A comment line this often keeps proxies from closing a quiet stream, in ms. */
const keepAliveMs = 15_000;
const recordsAtOnce = 500;
/** Streams that may be open at once: of one person, and of all. Each holds a connection and asks the store for news. */
const streams = { person: 16, all: 128 };

const route = createRoute({
  method: 'get',
  path: '/v1/migrations/{id}/events',
  summary: 'The records of a migration as they are written: server-sent events, `id` is the seq of the record',
  request: {
    params: migrationParam,
    query: z.object({
      after: z.coerce
        .number()
        .int()
        .min(0)
        .optional()
        .describe('Only records after this seq; Last-Event-ID says the same'),
    }),
  },
  responses: {
    200: { description: 'A stream without end', content: { 'text/event-stream': { schema: z.string() } } },
    default: { description: 'Refused or failed', content: { 'application/json': { schema: errorSchema } } },
  },
});

export function eventRoutes(app: CutoverApp, { store }: ServerDependencies): void {
  const open = new Map<string, number>();
  /** @throws CutoverError TooManyRequests */
  function take(person: string): () => void {
    const own = open.get(person) ?? 0;
    const all = [...open.values()].reduce((sum, count) => sum + count, 0);
    if (own >= streams.person || all >= streams.all)
      throw new CutoverError(
        'TooManyRequests',
        own >= streams.person
          ? `${person === '' ? 'callers without a name' : person} may have ${streams.person} event streams open at once`
          : `the server has ${all} event streams open, and takes no more`,
        { remedy: 'end a `cutover status --watch` that is no longer needed' },
      );
    open.set(person, own + 1);
    return () => {
      const left = open.get(person)! - 1;
      if (left > 0) open.set(person, left);
      else open.delete(person);
    };
  }

  app.openapi(route, (c) => {
    const migration = resolveMigration(store, c.req.valid('param').id);
    const lastEventId = Number(c.req.header('last-event-id'));
    let after = c.req.valid('query').after ?? (Number.isInteger(lastEventId) && lastEventId > 0 ? lastEventId : 0);

    const release = take(subjectOf(c.get('actor')));
    return streamSSE(c, async (stream) => {
      const bell = createBell();
      const unsubscribe = store.subscribe(bell.ring);
      stream.onAbort(bell.ring);
      try {
        while (!stream.aborted) {
          const records = store.records({ migration, afterSeq: after, limit: recordsAtOnce });
          for (const record of records) {
            await stream.writeSSE({ id: String(record.seq), event: record.kind, data: JSON.stringify(record) });
            after = record.seq;
          }
          if (records.length > 0) continue;
          if (!(await bell.rung(keepAliveMs))) await stream.write(': still here\n\n');
        }
      } finally {
        unsubscribe();
        release();
      }
    });
  });
}

/** Something to wait for. A ring while nobody waits is not lost. */
function createBell(): { ring(): void; rung(timeoutMs: number): Promise<boolean> } {
  let pending = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      pending = true;
      wake?.();
    },
    rung: async (timeoutMs) => {
      if (!pending)
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      wake = undefined;
      const rang = pending;
      pending = false;
      return rang;
    },
  };
}
