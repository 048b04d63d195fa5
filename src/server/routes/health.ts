import { createRoute, z } from '@hono/zod-openapi';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import { responses } from './respond.ts';

const route = createRoute({
  method: 'get',
  path: '/v1/health',
  summary: 'Whether the server answers; needs no token',
  security: [],
  responses: responses('It does', z.object({ status: z.literal('ok'), version: z.string() }).openapi('Health')),
});

export function healthRoutes(app: CutoverApp, { version }: ServerDependencies): void {
  app.openapi(route, (c) => c.json({ status: 'ok' as const, version }, 200));
}
