import { z } from '@hono/zod-openapi';
import { errorTable, type ErrorType } from '../errors.ts';
import { hiddenCharacter } from '../names.ts';
import { recordKinds } from '../store/types.ts';

/** Requests and the fixed parts of answers, as zod: what is checked is what /openapi.json says. */

export const errorSchema = z
  .object({
    error: z.object({
      type: z.enum(Object.keys(errorTable) as [ErrorType, ...ErrorType[]]),
      message: z.string().describe('One sentence: what is wrong, and where'),
      remedy: z.string().describe('What to do about it'),
      details: z.unknown().optional().describe('Anything that helps, without secrets'),
    }),
  })
  .openapi('Error');

const sha256 = z
  .string()
  .regex(/^(sha256:)?[0-9a-f]{64}$/, 'a SHA-256 in 64 hex digits')
  .transform((text) => text.replace(/^sha256:/, ''));

export const checkSchema = z
  .looseObject({
    id: z.string(),
    layer: z.string(),
    title: z.string(),
    verdict: z.enum(['pass', 'warn', 'block']),
    message: z.string(),
    remedy: z.string().optional(),
    acknowledged: z.string().optional().describe('Why the plan accepts this warning; it counts as passed'),
    node: z.string().optional(),
    evidence: z.unknown(),
  })
  .openapi('CheckResult');

export const evidenceSchema = z
  .object({
    checks: z.array(checkSchema),
    digest: z.string().describe('SHA-256 over the canonical JSON of checks'),
    verdict: z.enum(['pass', 'warn', 'block']),
    at: z.string(),
  })
  .openapi('Evidence');

export const preflightProgress = z
  .object({
    running: z.boolean(),
    done: z.number().int().describe('Checks that have answered'),
    of: z.number().int().describe('Checks in all; 0 until a worker has begun'),
  })
  .openapi('PreflightProgress');

export const recordSchema = z
  .looseObject({
    seq: z.number().int(),
    kind: z.enum(recordKinds),
    at: z.string().describe('ISO 8601, UTC'),
    actor: z.string(),
    migration: z.string().optional(),
    node: z.string().optional(),
    message: z.string().optional(),
    prev: z.string(),
    hash: z.string().describe('SHA-256 of the canonical JSON of this record without `hash`'),
  })
  .openapi('AuditRecord');

/** Text of one line without characters that cannot be seen: it is shown to people and written into the record. */
const plain = (text: z.ZodString): z.ZodString =>
  text.superRefine((value, context) => {
    const hidden = hiddenCharacter(value);
    if (hidden) context.addIssue({ code: 'custom', message: `it has a character that cannot be seen (${hidden})` });
  });

export const reasonSchema = plain(z.string().trim().max(2000))
  .default('')
  .describe('Why, on one line; it goes into the audit log');
const requiredReason = plain(z.string().trim().min(1, 'a reason is required').max(2000));

export const planRequest = z
  .object({
    yaml: z
      .string()
      .max(512 * 1024)
      .describe('The plan file, as it is'),
    file: plain(z.string().min(1).max(4096)).describe('Its name, for messages'),
    baseDirectory: plain(z.string().min(1).max(4096)).describe(
      'Absolute path that relative paths in the plan start from',
    ),
  })
  .openapi('PlanRequest');

export const policyRequest = z
  .object({
    flows: z
      .object({
        text: z.string().max(2_000_000).describe('The file of flows, as it is'),
        file: plain(z.string().min(1).max(4096)).describe('Its name, for messages'),
      })
      .optional()
      .describe('Instead of the flows of the plan'),
    matrix: z.boolean().default(false).describe('With the verdict of every workload to every other'),
  })
  .openapi('PolicyRequest');

export const launchRequest = z
  .object({
    planHash: sha256,
    reason: reasonSchema,
    takeOver: z
      .boolean()
      .default(false)
      .describe('Take the cluster over from an installation that does not renew its lease; needs a reason'),
  })
  .openapi('LaunchRequest');

export const decisionRequest = z
  .object({
    verdict: z.enum(['approve', 'reject']),
    reason: reasonSchema,
    onReject: z.enum(['hold', 'rollback-wave']).default('hold').describe('What a rejection does'),
    planHash: sha256.describe('The plan that the person saw'),
    evidenceDigest: sha256.describe('The evidence that the person saw'),
    incomplete: z.boolean().optional().describe('Pass although nodes that should be on the new network are not'),
  })
  .refine(({ verdict, reason }) => verdict === 'approve' || reason !== '', {
    path: ['reason'],
    message: 'a rejection needs a reason',
  })
  .refine(({ incomplete, reason }) => !incomplete || reason !== '', {
    path: ['reason'],
    message: 'passing a gate whose wave is incomplete needs a reason',
  })
  .openapi('DecisionRequest');

export const refreshRequest = z.object({ reason: reasonSchema }).openapi('RefreshRequest');
export const pauseRequest = z
  .object({
    scope: z
      .enum(['now', 'node', 'wave'])
      .default('node')
      .describe('now: before the next step; node: after nodes in flight; wave: after the wave'),
    reason: reasonSchema,
  })
  .openapi('PauseRequest');
export const resumeRequest = z.object({ reason: reasonSchema }).openapi('ResumeRequest');
export const abortRequest = z
  .object({ mode: z.enum(['rollback', 'hold']).describe('What happens to nodes in flight'), reason: requiredReason })
  .openapi('AbortRequest');
export const rollBackRequest = z
  .object({
    scope: z.union([
      z.strictObject({ node: plain(z.string().min(1).max(253)) }),
      z.strictObject({ wave: plain(z.string().min(1).max(253)) }),
      z.strictObject({ all: z.literal(true) }),
    ]),
    reason: requiredReason,
  })
  .openapi('RollBackRequest');
export const nodeRequest = z.object({ reason: reasonSchema }).openapi('NodeRequest');

export const auditQuery = z.object({
  migration: z.string().optional(),
  node: z.string().optional(),
  gate: z.string().optional(),
  actor: z.string().optional(),
  kind: z
    .string()
    .optional()
    .describe('Kinds, comma separated')
    .transform((text) => text?.split(',').map((kind) => kind.trim()))
    .pipe(z.array(z.enum(recordKinds)).optional()),
  after: z.coerce.number().int().min(0).optional().describe('Only records after this seq'),
  limit: z.coerce.number().int().min(1).max(100_000).optional(),
});

/** Answer of everything that a person asked of a migration. */
export const acceptedSchema = z
  .object({
    accepted: z.literal(true),
    request: z.string().describe('The same request id again is harmless'),
    migration: z.string(),
    message: z.string().describe('What happens now'),
  })
  .openapi('Accepted');
