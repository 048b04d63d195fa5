import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { CutoverError, errorTable } from '../errors.ts';
import { createAuthorizer } from './authorize.ts';
import type { ServerDependencies, ServerEnv } from './context.ts';
import { errorBody, toCutoverError } from './errors.ts';
import { limitBody, plainPath, proveAnswer, refuseForeignPages } from './guards.ts';
import { watchOutages } from './outages.ts';
import { actorOf, requestIdOf } from './people.ts';
import { recordRefusal, type Attempt } from './refusals.ts';
import { createRepeats } from './repeats.ts';
import { actRoutes } from './routes/acts.ts';
import { auditRoutes } from './routes/audit.ts';
import { eventRoutes } from './routes/events.ts';
import { gateRoutes } from './routes/gates.ts';
import { healthRoutes } from './routes/health.ts';
import { migrationRoutes } from './routes/migrations.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { planRoutes } from './routes/plans.ts';
import { reportRoutes } from './routes/reports.ts';

export type CutoverApp = OpenAPIHono<ServerEnv>;

/** Of a path in the record, in characters. */
const longestPath = 500;
const openPaths = new Set(['/v1/health', '/v1/identity', '/metrics', '/openapi.json']);

/** The HTTP API: everything that changes a migration goes through here. */
export function createApp(dependencies: ServerDependencies): CutoverApp {
  const { store, token, version, log } = dependencies;
  const authorizer = createAuthorizer(token, (refused) =>
    log?.warn({ refused }, 'requests without the right token are refused; they are counted in /v1/health'),
  );
  const repeats = createRepeats();

  const app: CutoverApp = new OpenAPIHono<ServerEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const [issue] = result.error.issues;
      const where = issue?.path.length ? `${issue.path.join('.')}: ` : '';
      throw new CutoverError('Usage', `the request cannot be understood: ${where}${issue?.message ?? ''}`, {
        remedy: 'see /openapi.json',
        details: { issues: result.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })) },
      });
    },
  });

  app.use(proveAnswer(token));
  app.use(async (c, next) => {
    c.set('actor', '');
    c.set('request', '');
    refuseForeignPages(c, dependencies.names ?? []);
    plainPath(c);
    await next();
  });
  app.use(limitBody);
  app.use(async (c, next) => {
    if (!openPaths.has(c.req.path)) await authorizer.check(c);
    c.set('request', requestIdOf(c.req.header('x-request-id')));
    c.header('x-request-id', c.get('request'));
    c.set('actor', actorOf(c.req.header('x-cutover-actor')));
    if (c.req.method === 'GET') return next();
    if (c.get('actor') === '')
      throw new CutoverError('Usage', 'the request does not say who acts', {
        remedy: 'say who acts: --as NAME, CUTOVER_ACTOR, or the header x-cutover-actor',
      });
    return repeats(c, next);
  });

  app.onError((thrown, c) => {
    const error = toCutoverError(
      isBadJson(thrown) ? new CutoverError('Usage', 'the body of the request is not JSON') : thrown,
    );
    if (error.type === 'Internal') log?.error({ err: thrown, request: c.get('request') }, error.message);
    const attempt = refusedAttempt(c, error);
    if (attempt) recordRefusal(store, attempt, error);
    return c.json(errorBody(error), errorTable[error.type].httpStatus as 400);
  });

  app.notFound((c) => {
    throw new CutoverError('NotFound', `there is no ${c.req.method} ${c.req.path}`, { remedy: 'see /openapi.json' });
  });

  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description:
      'The token of the file `<CUTOVER_HOME>/token`. Whoever holds it is believed to be the person that x-cutover-actor names.',
  });
  const outages = watchOutages(dependencies);
  for (const routes of [
    planRoutes,
    migrationRoutes,
    eventRoutes,
    gateRoutes,
    actRoutes,
    nodeRoutes,
    reportRoutes,
    auditRoutes,
  ])
    routes(app, dependencies, outages);
  healthRoutes(app, dependencies, outages, authorizer.refused);
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'Cutover',
      version,
      description:
        'Every error is `{ error: { type, message, remedy, details } }`. Whoever changes something names themselves in x-cutover-actor; x-request-id makes a repeat harmless.',
    },
    security: [{ bearer: [] }],
  });
  return app;
}

const isBadJson = (thrown: unknown): boolean =>
  thrown instanceof Error && 'status' in thrown && thrown.status === 400 && /JSON/i.test(thrown.message);

/**
 * What is written down of a request that was refused: an attempt to change a migration by a person who is named and
 * whose request knew the token. Others are counted only, or anyone could fill the record under any name.
 */
function refusedAttempt(c: Context<ServerEnv>, error: CutoverError): Attempt | undefined {
  const { httpStatus } = errorTable[error.type];
  const actor = c.get('actor') ?? '';
  if (c.req.method === 'GET' || actor === '' || httpStatus >= 500) return undefined;
  const [, , collection, migration, part, name] = c.req.path.split('/').map(decodeURIComponent);
  if (collection !== 'migrations') return undefined;
  const resolved = c.get('migration') ?? migration;
  return {
    request: c.get('request'),
    actor,
    what: `${c.req.method} ${c.req.path}`.slice(0, longestPath),
    ...(resolved === undefined ? {} : { migration: resolved }),
    ...(c.get('planHash') === undefined ? {} : { planHash: c.get('planHash')! }),
    ...(c.get('reason') === undefined ? {} : { reason: c.get('reason')! }),
    ...(c.get('launch') ? { launch: true } : {}),
    ...(part === 'nodes' && name !== undefined ? { node: name } : {}),
    ...(part === 'gates' && name !== undefined ? { gate: name } : {}),
  };
}
