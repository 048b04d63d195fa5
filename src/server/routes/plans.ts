import { createRoute, z } from '@hono/zod-openapi';
import type { Evidence } from '../../../activities/types.ts';
import type { CompiledPlan } from '../../plan/types.ts';
import type { PolicyReport } from '../../policy/report.ts';
import type { CutoverApp } from '../app.ts';
import type { RequestVariables, ServerDependencies } from '../context.ts';
import type { RequestOf } from '../migrations.ts';
import { compileSource, policyOf, preflightPlan, preflightProgressOf } from '../plans.ts';
import { evidenceSchema, planRequest, policyRequest, preflightProgress } from '../schemas.ts';
import { findPlan, viewPlan, viewPlans, type PlanView } from '../plan-views.ts';
import { body, responses, shape, shapes, text, typed } from './respond.ts';

const hashParam = z.object({ hash: text('SHA-256 of the compiled plan, or the start of it') });
const planView = 'Name, hash, outline (stages, waves, nodes, gates), warnings, estimate';

const compile = createRoute({
  method: 'post',
  path: '/v1/plans',
  summary: 'Compile a plan file against the live cluster, and keep it by its hash',
  request: { body: body(planRequest) },
  responses: responses('The compiled plan', shape<PlanView>('PlanView', planView)),
});
const list = createRoute({
  method: 'get',
  path: '/v1/plans',
  summary: 'Compiled plans, newest first',
  responses: responses('Plans', shapes<PlanView>('PlanView', planView)),
});
const one = createRoute({
  method: 'get',
  path: '/v1/plans/{hash}',
  summary: 'One compiled plan, whole',
  request: { params: hashParam },
  responses: responses(
    'The plan',
    shape<PlanView & { plan: CompiledPlan }>('CompiledPlan', `${planView}; and the compiled plan itself`),
  ),
});
const policy = createRoute({
  method: 'post',
  path: '/v1/plans/{hash}/policy',
  summary:
    'Judge the policies of the cluster as Calico will: what they would cut of the flows that work today; changes nothing',
  request: { params: hashParam, body: body(policyRequest) },
  responses: responses(
    'The report',
    shape<PolicyReport>(
      'PolicyReport',
      'Hazards with their ids and remedies, policies, flows by source, gaps, and the matrix when asked for',
    ),
  ),
});
const preflight = createRoute({
  method: 'post',
  path: '/v1/plans/{hash}/preflight',
  summary: 'Ask the cluster everything that must hold before it is touched; changes nothing',
  request: { params: hashParam },
  responses: responses('What the checks said', typed<Evidence>(evidenceSchema)),
});
const progress = createRoute({
  method: 'get',
  path: '/v1/plans/{hash}/preflight/{request}',
  summary: 'How far a preflight is that was asked for with this request id',
  request: {
    params: hashParam.extend({ request: text('The x-request-id with which the preflight was asked for') }),
  },
  responses: responses('How far it is; `running` is false before it began and after it ended', preflightProgress),
});

export function planRoutes(app: CutoverApp, dependencies: ServerDependencies): void {
  const { store } = dependencies;

  app.openapi(compile, async (c) => {
    const request = workOf(c.var);
    return c.json(await compileSource(dependencies, c.req.valid('json'), request), 200);
  });

  app.openapi(list, (c) => c.json({ items: viewPlans(store) }, 200));

  app.openapi(one, (c) => {
    const { hash, plan } = findPlan(store, c.req.valid('param').hash);
    return c.json({ ...viewPlan(store, hash, plan), plan }, 200);
  });

  app.openapi(policy, async (c) => {
    const { hash } = findPlan(store, c.req.valid('param').hash);
    const request = workOf(c.var);
    const { flows, matrix } = c.req.valid('json');
    return c.json(await policyOf(dependencies, hash, { flows, matrix }, request), 200);
  });

  app.openapi(preflight, async (c) => {
    const { hash } = findPlan(store, c.req.valid('param').hash);
    const request = { id: c.get('request'), actor: c.get('actor') };
    return c.json(await preflightPlan(dependencies, hash, request), 200);
  });

  app.openapi(progress, async (c) => {
    const { hash, request } = c.req.valid('param');
    return c.json(await preflightProgressOf(dependencies, findPlan(store, hash).hash, request), 200);
  });
}

/** Another body is other work, also when the request has an id that was used before. */
const workOf = ({ request, fingerprint = '', actor }: RequestVariables): RequestOf => ({
  id: `${request}.${fingerprint.slice(0, 12)}`,
  actor,
});
