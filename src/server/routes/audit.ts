import { createRoute, z } from '@hono/zod-openapi';
import { auditQuery, errorSchema, recordSchema } from '../schemas.ts';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import { exportRecords } from '../../store/export.ts';
import { notedHead } from '../../store/noted-head.ts';
import type { AuditRecord, RecordFilter, Store, VerifyReport } from '../../store/types.ts';
import { resolveMigration } from '../migration-views.ts';
import { responses, shape, typed } from './respond.ts';

const list = createRoute({
  method: 'get',
  path: '/v1/audit',
  summary: 'Records of the audit log, in order',
  request: { query: auditQuery },
  responses: responses('Records', z.object({ items: z.array(typed<AuditRecord>(recordSchema)) })),
});
const verify = createRoute({
  method: 'get',
  path: '/v1/audit/verify',
  summary:
    'Whether the record is whole: finds an edit, a deletion, a reordering, a truncation, what was added or replaced',
  request: {
    query: z.object({
      head: z.string().max(100).optional().describe('A head that was noted: SEQ:HASH or sha256:HASH'),
    }),
  },
  responses: responses(
    'What was found',
    shape<VerifyReport>(
      'VerifyReport',
      'ok, records, head { seq, hash }, problems (one sentence each), outside (what the anchor outside covers)',
    ),
  ),
});
const exported = createRoute({
  method: 'get',
  path: '/v1/audit/export',
  summary: 'Records as newline-delimited JSON or CSV',
  request: { query: auditQuery.extend({ format: z.enum(['ndjson', 'csv']).default('ndjson') }) },
  responses: {
    200: {
      description: 'The records',
      content: { 'application/x-ndjson': { schema: z.string() }, 'text/csv': { schema: z.string() } },
    },
    default: { description: 'Refused or failed', content: { 'application/json': { schema: errorSchema } } },
  },
});

export function auditRoutes(app: CutoverApp, { store }: ServerDependencies): void {
  app.openapi(list, (c) => c.json({ items: store.records(filterOf(store, c.req.valid('query'))) }, 200));
  app.openapi(verify, (c) => {
    const { head } = c.req.valid('query');
    return c.json(store.verify(head === undefined ? undefined : notedHead(head)), 200);
  });
  app.openapi(exported, (c) => {
    const { format, ...query } = c.req.valid('query');
    const filter = filterOf(store, query);
    // Made although the chain may be broken: whoever looks into that needs the records most.
    const { ok, head: last } = store.verify();
    // The seal says that these records came from here as they were written: not of a broken record.
    const head = ok ? store.head() : last;
    const text = exportRecords(store.records(filter), { format, head, filter, exportedAt: new Date().toISOString() });
    return c.body(text, 200, { 'content-type': format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson' });
  });
}

function filterOf(store: Store, { after, migration, kind, ...rest }: z.output<typeof auditQuery>): RecordFilter {
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) as RecordFilter;
  return {
    ...given,
    ...(kind === undefined ? {} : { kind }),
    ...(after === undefined ? {} : { afterSeq: after }),
    // Refused launches name migrations that never were: an exact name is taken as it is.
    ...(migration === undefined
      ? {}
      : { migration: migration === 'latest' ? resolveMigration(store, migration) : migration }),
  };
}
