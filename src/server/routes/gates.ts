import { createRoute } from '@hono/zod-openapi';
import { CutoverError } from '../../errors.ts';
import { act } from '../acts.ts';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import { resolveMigration, viewGates, type GateView } from '../migration-views.ts';
import { acceptedSchema, decisionRequest, refreshRequest } from '../schemas.ts';
import { suggestion } from '../suggestion.ts';
import { body, migrationParam, responses, shape, shapes, text } from './respond.ts';

const gateParam = migrationParam.extend({ gate: text('Id of the gate: `after-canary`') });
const described =
  'id, state, planHash, evidence (digest, verdict, checks), approvals and what is still needed, soak, what happens at its end';

const list = createRoute({
  method: 'get',
  path: '/v1/migrations/{id}/gates',
  summary: 'Gates that were reached, the open one first',
  request: { params: migrationParam },
  responses: responses('Gates', shapes<GateView>('GateView', described)),
});
const one = createRoute({
  method: 'get',
  path: '/v1/migrations/{id}/gates/{gate}',
  summary: 'One gate with its evidence',
  request: { params: gateParam },
  responses: responses('The gate', shape<GateView>('GateView', described)),
});
const decide = createRoute({
  method: 'post',
  path: '/v1/migrations/{id}/gates/{gate}/decision',
  summary: 'Approve or reject, naming the plan and the evidence that were seen',
  request: { params: gateParam, body: body(decisionRequest) },
  responses: responses('The decision counts', acceptedSchema),
});

const refresh = createRoute({
  method: 'post',
  path: '/v1/migrations/{id}/gates/{gate}/refresh',
  summary: 'Take the evidence of an open gate anew; approvals of the older count no more',
  request: { params: gateParam, body: body(refreshRequest) },
  responses: responses('Accepted: the gate shows it as soon as the checks have answered', acceptedSchema),
});

export function gateRoutes(app: CutoverApp, dependencies: ServerDependencies): void {
  const { store } = dependencies;
  const gatesOf = (id: string): { migration: string; gates: GateView[] } => {
    const migration = resolveMigration(store, id);
    return { migration, gates: viewGates(store, migration) };
  };

  app.openapi(list, (c) => c.json({ items: gatesOf(c.req.valid('param').id).gates }, 200));

  app.openapi(one, (c) => {
    const { id, gate } = c.req.valid('param');
    const { migration, gates } = gatesOf(id);
    const found = gates.find((candidate) => candidate.id === gate);
    if (!found)
      throw new CutoverError('NotFound', `migration ${migration} has not come to a gate ${gate}`, {
        remedy: suggestion(
          gate,
          gates.map((candidate) => candidate.id),
          'gate',
        ),
      });
    return c.json(found, 200);
  });

  app.openapi(refresh, async (c) => {
    const { id, gate } = c.req.valid('param');
    const { reason } = c.req.valid('json');
    const { migration } = gatesOf(id);
    return c.json(
      await act(dependencies, c, migration, reason, {
        update: 'refresh',
        args: { gate },
        record: { kind: 'refresh.requested', message: `of gate ${gate}` },
      }),
      200,
    );
  });

  app.openapi(decide, async (c) => {
    const { id, gate } = c.req.valid('param');
    const decision = c.req.valid('json');
    const { migration } = gatesOf(id);
    return c.json(
      await act(dependencies, c, migration, decision.reason, {
        update: 'decide',
        args: { gate, ...decision },
        record: { kind: 'decision.requested', outcome: decision.verdict, message: `of gate ${gate}` },
      }),
      200,
    );
  });
}
