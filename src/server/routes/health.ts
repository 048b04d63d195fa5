import { createRoute, z } from '@hono/zod-openapi';
import type { CutoverApp } from '../app.ts';
import type { ServerDependencies } from '../context.ts';
import type { OutageWatch } from '../outages.ts';
import { errorSchema } from '../schemas.ts';
import { serverProof } from '../signature.ts';
import { responses } from './respond.ts';

const outage = z.object({
  what: z.enum(['record', 'temporal']),
  since: z.string(),
  message: z.string(),
  remedy: z.string(),
});
const anchor = z
  .object({ seq: z.number(), at: z.string(), failingSince: z.string().optional() })
  .describe('The anchor outside (CUTOVER_ANCHOR): the last record that it covers');
const route = createRoute({
  method: 'get',
  path: '/v1/health',
  summary: 'Whether the server answers, and what it depends on and cannot reach; needs no token',
  security: [],
  responses: responses(
    'It does',
    z
      .object({
        status: z.enum(['ok', 'degraded']),
        version: z.string(),
        outages: z.array(outage),
        anchor: anchor.optional(),
        refused: z.number().int().describe('Requests without the right token since the server began'),
      })
      .openapi('Health'),
  ),
});

const metrics = createRoute({
  method: 'get',
  path: '/metrics',
  summary: 'The same for Prometheus, in its text format; needs no token',
  security: [],
  responses: {
    200: { description: 'Gauges', content: { 'text/plain': { schema: z.string() } } },
    default: { description: 'Refused or failed', content: { 'application/json': { schema: errorSchema } } },
  },
});

const identity = createRoute({
  method: 'get',
  path: '/v1/identity',
  summary:
    'Proves with an HMAC over x-cutover-nonce that the server knows the token; asked before anything is told to it',
  security: [],
  request: {
    headers: z.object({
      'x-cutover-nonce': z.string().regex(/^[\w-]{16,64}$/, '16 to 64 characters of base64url, used once'),
    }),
  },
  responses: responses('The proof', z.object({ proof: z.string() }).openapi('Identity')),
});

/** Prometheus' text format: what a monitor alerts on. Needs no token, and tells no names. */
const gauges = { record: 'cutover_record_writable', temporal: 'cutover_temporal_reachable' } as const;

export function healthRoutes(
  app: CutoverApp,
  { version, token, outside }: ServerDependencies,
  outages: OutageWatch,
  refused: () => number,
): void {
  app.openapi(identity, (c) => c.json({ proof: serverProof(token, c.req.valid('header')['x-cutover-nonce']) }, 200));

  app.openapi(route, async (c) => {
    const now = await outages.now();
    const kept = outside?.state();
    return c.json(
      {
        status: now.length === 0 ? ('ok' as const) : ('degraded' as const),
        version,
        outages: now,
        // Without its message: it names paths, and this answer needs no token.
        ...(kept && {
          anchor: { seq: kept.seq, at: kept.at, ...(kept.failing && { failingSince: kept.failing.since }) },
        }),
        refused: refused(),
      },
      200,
    );
  });

  app.openapi(metrics, async (c) => {
    const now = await outages.now();
    const lines = Object.entries(gauges).flatMap(([what, name]) => [
      `# TYPE ${name} gauge`,
      `${name} ${now.some((each) => each.what === what) ? 0 : 1}`,
    ]);
    lines.push('# TYPE cutover_refused_requests_total counter', `cutover_refused_requests_total ${refused()}`);
    return c.text(`${lines.join('\n')}\n`, 200, { 'content-type': 'text/plain; version=0.0.4' });
  });
}
