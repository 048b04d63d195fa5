import { createRoute, type z } from '@hono/zod-openapi';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import { requireNode, resolveMigration, viewHistory, type NodeHistory } from '../migration-views.ts';
import type { OutageWatch } from '../outages.ts';
import { explainNode, type Why } from '../why.ts';
import { migrationParam, responses, shape, text } from './respond.ts';

const nodeParam = migrationParam.extend({ node: text('Name of the node') });

const why = createRoute({
  method: 'get',
  path: '/v1/migrations/{id}/nodes/{node}/why',
  summary: 'One sentence: what the node does or waits for, who can unblock it, when it tries again',
  request: { params: nodeParam },
  responses: responses('Why', shape<Why>('Why', 'node, state, sentence, remedy, pending')),
});
const history = createRoute({
  method: 'get',
  path: '/v1/migrations/{id}/nodes/{node}/history',
  summary: 'Everything that happened to one node, in order',
  request: { params: nodeParam },
  responses: responses(
    'Its history',
    shape<NodeHistory>('NodeHistory', 'node, state, attempts, and entries with durations, checks and errors'),
  ),
});

export function nodeRoutes(app: CutoverApp, dependencies: ServerDependencies, outages: OutageWatch): void {
  const { store } = dependencies;
  const place = ({ id, node }: z.output<typeof nodeParam>) => {
    const migration = resolveMigration(store, id);
    return { migration, node: requireNode(store, migration, node) };
  };

  app.openapi(why, async (c) => {
    const { migration, node } = place(c.req.valid('param'));
    return c.json(await explainNode(dependencies, migration, node, outages), 200);
  });
  app.openapi(history, (c) => {
    const { migration, node } = place(c.req.valid('param'));
    return c.json(viewHistory(store, migration, node), 200);
  });
}
