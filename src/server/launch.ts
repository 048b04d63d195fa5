import { createHash } from 'node:crypto';
import type { Evidence, TakenLease } from '../../activities/types.ts';
import { CutoverError } from '../errors.ts';
import type { Store } from '../store/types.ts';
import { recordRequest, refuseOther } from './asked.ts';
import type { ServerDependencies } from './context.ts';
import { viewMigrations } from './migration-views.ts';
import type { RequestOf } from './migrations.ts';
import { findPlan } from './plan-views.ts';
import { effectiveVerdict, verdictCounts } from '../checks/acknowledge.ts';
import { some } from '../checks/define.ts';
import { preflightPlan } from './plans.ts';

/**
 * Preflight evidence younger than this, in ms, counts at launch: as long as a person takes from the answer of one command to
 * the next. Older is taken again: minutes are enough for another to begin, or for a node to change.
 */
const freshMs = 10_000;

export interface LaunchRequest extends RequestOf {
  /** SHA-256 over actor, act and body. */
  fingerprint: string;
}

export interface LaunchOptions {
  planHash: string;
  reason: string;
  /** From an installation that does not renew its lease of the cluster. */
  takeOver?: boolean;
}

/** `<plan name>-<6 hex>`, the same for the same request. */
export const migrationId = (planName: string, request: RequestOf): string =>
  `${planName}-${createHash('sha256').update(request.id).digest('hex').slice(0, 6)}`;

/**
 * Starts the migration of a compiled plan. Preflight must pass: nothing overrides a block, and the plan itself acknowledges
 * warnings.
 *
 * @returns its id
 * @throws CutoverError NotFound | RequestIdUsed | ChecksFailed | MigrationRunning | LeaseHeld | Usage | TemporalUnreachable
 */
export async function launch(
  dependencies: ServerDependencies,
  { planHash, reason, takeOver = false }: LaunchOptions,
  request: LaunchRequest,
): Promise<string> {
  const { store, control } = dependencies;
  if (takeOver && reason.trim() === '')
    throw new CutoverError('Usage', 'taking a cluster over needs a reason', { remedy: 'say it with --reason' });
  const { plan } = findPlan(store, planHash);
  const clusterUid = plan.cluster.uid;
  const migration = migrationId(plan.name, request);

  // The same request once more, perhaps after its migration has ended: it is not started a second time.
  const earlier = store.records({ migration, kind: ['migration.requested'] })[0];
  if (earlier) {
    refuseOther(earlier, request.id, request.fingerprint);
    if (store.records({ migration, kind: ['migration.started'], limit: 1 }).length > 0) return migration;
  }

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

  const start = () => control.start({ migration, planHash, clusterUid, requester: request.actor }, request);
  if (earlier) {
    // The same request again: what was asked then let it pass, and it may run by now.
    await start();
    return migration;
  }

  const preflight = () => passedPreflight(dependencies, planHash, request);
  const lease = { planHash, migration, person: request.actor, takeOver };
  let evidence: Checked;
  let from: TakenLease['from'];
  if (takeOver) {
    // While the lease is seen unchanged, nothing happens on the cluster: a preflight that refuses must not cost the holder it.
    evidence = await preflight();
    ({ from } = await control.takeLease(lease, request));
  } else {
    // First the lease, then the preflight: no other installation changes what it finds.
    await control.takeLease(lease, request);
    evidence = await preflight().catch(async (error: unknown) => {
      // Kept, it would only be in the way of others for a while: this installation may take it again at any time.
      await control.giveBackLease({ planHash, migration }, request).catch(() => {});
      throw error;
    });
  }

  recordRequest(
    store,
    { request: request.id, fingerprint: request.fingerprint, actor: request.actor },
    {
      kind: 'migration.requested',
      migration,
      planHash,
      ...(reason === '' ? {} : { reason }),
      message: `preflight: ${verdictCounts(evidence.checks)}${from ? `; the cluster was taken over from ${from.migration} of installation ${from.installation} (launched by ${from.person || 'an unknown person'}), which last renewed its lease at ${from.renewedAt}` : ''}`,
      evidenceDigest: evidence.digest,
    },
    from ? { takenOverFrom: { ...from } } : {},
  );
  await start();
  return migration;
}

type Checked = Pick<Evidence, 'checks' | 'verdict' | 'digest'>;

/** @throws CutoverError ChecksFailed */
async function passedPreflight(
  dependencies: ServerDependencies,
  planHash: string,
  request: RequestOf,
): Promise<Checked> {
  // One that would refuse is asked again: what it found may have been corrected since.
  const known = freshPreflight(dependencies.store, planHash);
  const evidence = known?.verdict === 'pass' ? known : await preflightPlan(dependencies, planHash, request);
  refuseByVerdict(evidence);
  return evidence;
}

function freshPreflight(store: Store, planHash: string): Checked | undefined {
  const last = store.records({ kind: ['preflight.ended'] }).findLast((record) => record.planHash === planHash);
  if (!last?.checks || Date.now() - Date.parse(last.at) > freshMs) return undefined;
  return { checks: last.checks, verdict: last.outcome as Evidence['verdict'], digest: last.evidenceDigest ?? '' };
}

/** One sentence; for what blocks the first ones whole, for what warns the ids and what to write. @throws CutoverError ChecksFailed */
function refuseByVerdict({ checks, verdict }: Pick<Evidence, 'checks' | 'verdict'>): void {
  if (verdict === 'pass') return;
  const stopping = checks.filter((check) => effectiveVerdict(check) === verdict);
  const details = { verdict, checks: stopping };
  if (verdict === 'block') {
    const sentences = stopping.map(({ id, node, message }) => `${id}${node ? ` on ${node}` : ''}: ${message}`);
    throw new CutoverError(
      'ChecksFailed',
      `preflight blocks: ${sentences.slice(0, 3).join('; ')}${sentences.length > 3 ? `; and ${sentences.length - 3} more` : ''}`,
      { remedy: 'correct what blocks and run `cutover preflight` again', details },
    );
  }
  const ids = [...new Set(stopping.map(({ id }) => id))];
  throw new CutoverError(
    'ChecksFailed',
    `preflight warns, and the plan does not acknowledge it: ${some(ids, 12)} (see \`cutover preflight\`)`,
    {
      remedy: `correct it; or, when it is no reason to stop, write under spec.acknowledge ${ids.map((id) => `- {id: ${id}, reason: …}`).join(' ')} and plan again`,
      details,
    },
  );
}
