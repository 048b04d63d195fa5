import { createRoute, z } from '@hono/zod-openapi';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import { launch, migrationId } from '../launch.ts';
import {
  resolveMigration,
  viewMigration,
  viewMigrations,
  type MigrationSummary,
  type MigrationView,
} from '../migration-views.ts';
import { findPlan } from '../plan-views.ts';
import type { OutageWatch } from '../outages.ts';
import { launchRequest } from '../schemas.ts';
import { body, migrationParam, responses, shape, shapes } from './respond.ts';

const start = createRoute({
  method: 'post',
  path: '/v1/migrations',
  summary:
    'Launch a compiled plan; refused while another migration holds the cluster, or when preflight blocks or warns of what the plan does not acknowledge',
  request: { body: body(launchRequest) },
  responses: responses(
    'It runs',
    z.object({ migration: z.string(), planHash: z.string(), request: z.string() }).openapi('Launched'),
  ),
});
const list = createRoute({
  method: 'get',
  path: '/v1/migrations',
  summary: 'Migrations: those that wait for a person first, then those that run, then the ended ones, newest first',
  responses: responses(
    'Migrations',
    shapes<MigrationSummary>('MigrationSummary', 'id, plan, state, since, requester, counts, gate, pause'),
  ),
});
const one = createRoute({
  method: 'get',
  path: '/v1/migrations/{id}',
  summary: 'One migration with its waves, nodes, gate and pause, as computed from the records',
  request: { params: migrationParam },
  responses: responses(
    'The migration',
    shape<MigrationView>('MigrationView', 'MigrationSummary with steps, waves and nodes'),
  ),
});

export function migrationRoutes(app: CutoverApp, dependencies: ServerDependencies, outages: OutageWatch): void {
  const { store } = dependencies;

  app.openapi(start, async (c) => {
    const { planHash, reason, takeOver } = c.req.valid('json');
    c.set('planHash', planHash);
    c.set('reason', reason);
    const request = { id: c.get('request'), actor: c.get('actor'), fingerprint: c.get('fingerprint') ?? '' };
    c.set('launch', true);
    c.set('migration', migrationId(findPlan(store, planHash).plan.name, request));
    const migration = await launch(dependencies, { planHash, reason, takeOver }, request);
    return c.json({ migration, planHash, request: request.id }, 200);
  });
  app.openapi(list, (c) => c.json({ items: viewMigrations(store) }, 200));
  app.openapi(one, async (c) => {
    const view = viewMigration(store, resolveMigration(store, c.req.valid('param').id));
    // Of a migration that has ended, nothing waits.
    return c.json(view.endedAt === '' ? { ...view, outages: await outages.now() } : view, 200);
  });
}
