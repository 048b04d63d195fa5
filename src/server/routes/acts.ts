import { createRoute, type z } from '@hono/zod-openapi';
import { act } from '../acts.ts';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import { requireNode, requireWave, resolveMigration } from '../migration-views.ts';
import { abortRequest, acceptedSchema, nodeRequest, pauseRequest, resumeRequest, rollBackRequest } from '../schemas.ts';
import { body, migrationParam, responses, text } from './respond.ts';

/** A POST by which a person asks something of a migration. */
const asked = <P extends string, B extends z.ZodType, Q extends z.ZodObject>(
  path: P,
  summary: string,
  request: B,
  params: Q,
) =>
  createRoute({
    method: 'post',
    path,
    summary,
    request: { params, body: body(request) },
    responses: responses('Accepted; the message says what happens now', acceptedSchema),
  });

const nodeParam = migrationParam.extend({ node: text('Name of the node') });
const pause = asked(
  '/v1/migrations/{id}/pause',
  'Pause: now, after the nodes in flight, or after the wave',
  pauseRequest,
  migrationParam,
);
const resume = asked('/v1/migrations/{id}/resume', 'Go on after a pause', resumeRequest, migrationParam);
const abort = asked(
  '/v1/migrations/{id}/abort',
  'End the migration here; nodes that are done stay as they are',
  abortRequest,
  migrationParam,
);
const rollBack = asked(
  '/v1/migrations/{id}/rollback',
  'Take a node, a wave or everything back to the old network',
  rollBackRequest,
  migrationParam,
);
const retry = asked(
  '/v1/migrations/{id}/nodes/{node}/retry',
  'Try a node again that waits for a person',
  nodeRequest,
  nodeParam,
);
const skip = asked(
  '/v1/migrations/{id}/nodes/{node}/skip',
  'Go on without a node that waits for a person',
  nodeRequest,
  nodeParam,
);

export function actRoutes(app: CutoverApp, dependencies: ServerDependencies): void {
  const { store } = dependencies;

  app.openapi(pause, async (c) => {
    const { reason, scope } = c.req.valid('json');
    const migration = resolveMigration(store, c.req.valid('param').id);
    return c.json(
      await act(dependencies, c, migration, reason, {
        update: 'pause',
        args: { scope },
        record: { kind: 'pause.requested', outcome: scope },
      }),
      200,
    );
  });

  app.openapi(resume, async (c) => {
    const { reason } = c.req.valid('json');
    const migration = resolveMigration(store, c.req.valid('param').id);
    return c.json(
      await act(dependencies, c, migration, reason, {
        update: 'resume',
        args: {},
        record: { kind: 'resume.requested' },
      }),
      200,
    );
  });

  app.openapi(abort, async (c) => {
    const { reason, mode } = c.req.valid('json');
    const migration = resolveMigration(store, c.req.valid('param').id);
    return c.json(
      await act(dependencies, c, migration, reason, {
        update: 'abort',
        args: { mode },
        record: { kind: 'abort.requested', outcome: mode },
      }),
      200,
    );
  });

  app.openapi(rollBack, async (c) => {
    const { reason, scope } = c.req.valid('json');
    const migration = resolveMigration(store, c.req.valid('param').id);
    const place =
      'node' in scope
        ? { node: requireNode(store, migration, scope.node) }
        : 'wave' in scope
          ? { wave: requireWave(store, migration, scope.wave) }
          : {};
    return c.json(
      await act(dependencies, c, migration, reason, {
        update: 'rollBack',
        args: { scope },
        record: { kind: 'rollback.requested', outcome: Object.keys(scope)[0]!, ...place },
      }),
      200,
    );
  });

  for (const [route, update, kind] of [
    [retry, 'retryNode', 'retry.requested'],
    [skip, 'skipNode', 'skip.requested'],
  ] as const) {
    app.openapi(route, async (c) => {
      const { reason } = c.req.valid('json');
      const { id, node } = c.req.valid('param');
      const migration = resolveMigration(store, id);
      requireNode(store, migration, node);
      return c.json(
        await act(dependencies, c, migration, reason, { update, args: { node }, record: { kind, node } }),
        200,
      );
    });
  }
}
