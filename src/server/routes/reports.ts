import { createRoute, z } from '@hono/zod-openapi';
import { reportHtml } from '../../report/html.ts';
import { reportMarkdown } from '../../report/markdown.ts';
import type { CaptureReport } from '../../report/types.ts';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import { resolveMigration } from '../migration-views.ts';
import { reportOf, viewCaptures } from '../reports.ts';
import { errorSchema } from '../schemas.ts';
import { migrationParam, responses, shapes } from './respond.ts';

const report = createRoute({
  method: 'get',
  path: '/v1/migrations/{id}/report',
  summary: 'What a change board reads: what changed, what it cost, what was gained, who approved',
  request: {
    params: migrationParam,
    query: z.object({ format: z.enum(['json', 'html', 'markdown']).default('json').describe('How it is drawn') }),
  },
  responses: {
    200: {
      description: 'The report',
      content: {
        'application/json': {
          schema: z.object({}).openapi('Report', {
            description: 'summary, stages, acts, gates, checks, nodes, captures, cost, record',
            additionalProperties: true,
          }),
        },
        'text/html': { schema: z.string() },
        'text/markdown': { schema: z.string() },
      },
    },
    default: { description: 'Refused or failed', content: { 'application/json': { schema: errorSchema } } },
  },
});
const captures = createRoute({
  method: 'get',
  path: '/v1/migrations/{id}/captures',
  summary: 'Bandwidth, latency and bytes on the wire before and after each stage, compared',
  request: { params: migrationParam },
  responses: responses('Captures', shapes<CaptureReport>('CaptureReport', 'stage, before, after, judgement')),
});

export function reportRoutes(app: CutoverApp, { store }: ServerDependencies): void {
  app.openapi(report, (c) => {
    const found = reportOf(store, resolveMigration(store, c.req.valid('param').id));
    const { format } = c.req.valid('query');
    if (format === 'html') return c.body(reportHtml(found), 200, { 'content-type': 'text/html; charset=utf-8' });
    if (format === 'markdown')
      return c.body(reportMarkdown(found), 200, { 'content-type': 'text/markdown; charset=utf-8' });
    return c.json(found, 200);
  });
  app.openapi(captures, (c) =>
    c.json({ items: viewCaptures(store, resolveMigration(store, c.req.valid('param').id)) }, 200),
  );
}
