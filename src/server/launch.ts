import { createHash } from 'node:crypto';
import type { Evidence } from '../../activities/types.ts';
import { CutoverError } from '../errors.ts';
import type { Store } from '../store/types.ts';
import type { ServerDependencies } from './context.ts';
import { viewMigrations } from './migration-views.ts';
import type { RequestOf } from './migrations.ts';
import { findPlan } from './plan-views.ts';
import { preflightPlan, verdictSentence } from './plans.ts';

/** Preflight evidence younger than this, in ms, counts at launch; older is taken again. */
const freshMs = 10 * 60_000;

export interface LaunchOptions {
  planHash: string;
  reason: string;
  /** Launch although preflight warns. Nothing overrides a block. */
  acceptWarnings: boolean;
}

/** `<plan name>-<6 hex>`, the same for the same request. */
export const migrationId = (planName: string, request: RequestOf): string =>
  `${planName}-${createHash('sha256').update(request.id).digest('hex').slice(0, 6)}`;

/**
 * Starts the migration of a compiled plan.
 *
 * @returns its id
 * @throws CutoverError NotFound | ChecksFailed | MigrationRunning | TemporalUnreachable
 */
export async function launch(
  dependencies: ServerDependencies,
  { planHash, reason, acceptWarnings }: LaunchOptions,
  request: RequestOf,
): Promise<string> {
  const { store, control } = dependencies;
  const { plan } = findPlan(store, planHash);
  const clusterUid = plan.cluster.uid;
  const migration = migrationId(plan.name, request);

  const running = viewMigrations(store).find(
    ({ cluster, endedAt, startedAt, id }) =>
      cluster.uid === clusterUid && endedAt === '' && startedAt !== '' && id !== migration,
  );
  if (running)
    throw new CutoverError(
      'MigrationRunning',
      `${running.id} is under way on this cluster (${running.state}, launched by ${running.requester})`,
      {
        remedy: `watch it with \`cutover status ${running.id}\`, or abort it`,
        details: { migration: running.id },
      },
    );

  // One that would refuse is asked again: what it found may have been corrected since.
  const known = freshPreflight(store, planHash);
  const evidence =
    known && !stops(known.verdict, acceptWarnings) ? known : await preflightPlan(dependencies, planHash, request);
  refuseByVerdict(evidence, acceptWarnings);

  store.append({
    key: `request:${request.id}`,
    kind: 'migration.requested',
    at: new Date().toISOString(),
    actor: request.actor,
    migration,
    planHash,
    ...(reason === '' ? {} : { reason }),
    message: `preflight: ${verdictSentence(evidence)}`,
    evidenceDigest: evidence.digest,
  });
  await control.start({ migration, planHash, clusterUid, requester: request.actor }, request);
  return migration;
}

function freshPreflight(store: Store, planHash: string): Pick<Evidence, 'checks' | 'verdict' | 'digest'> | undefined {
  const last = store.records({ kind: ['preflight.ended'] }).findLast((record) => record.planHash === planHash);
  if (!last?.checks || Date.now() - Date.parse(last.at) > freshMs) return undefined;
  return { checks: last.checks, verdict: last.outcome as Evidence['verdict'], digest: last.evidenceDigest ?? '' };
}

const stops = (verdict: Evidence['verdict'], acceptWarnings: boolean): boolean =>
  verdict === 'block' || (verdict === 'warn' && !acceptWarnings);

function refuseByVerdict({ checks, verdict }: Pick<Evidence, 'checks' | 'verdict'>, acceptWarnings: boolean): void {
  const stopping = checks.filter((check) => stops(check.verdict, acceptWarnings));
  if (stopping.length === 0) return;
  const sentences = stopping.map(({ id, node, message }) => `${id}${node ? ` on ${node}` : ''}: ${message}`);
  const shown = `${sentences.slice(0, 3).join('; ')}${sentences.length > 3 ? `; and ${sentences.length - 3} more` : ''}`;
  throw new CutoverError('ChecksFailed', `preflight ${verdict === 'block' ? 'blocks' : 'warns'}: ${shown}`, {
    remedy:
      verdict === 'block'
        ? 'correct what blocks and run `cutover preflight` again'
        : 'correct it, or launch with --accept-warnings',
    details: { verdict, checks: stopping },
  });
}
