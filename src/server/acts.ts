import type { Context } from 'hono';
import type { Act, ClusterUpdate } from '../../workflows/messages.ts';
import type { RecordInput } from '../store/types.ts';
import { CutoverError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { ServerDependencies, ServerEnv } from './context.ts';
import { recordRequest } from './asked.ts';
import { viewMigration } from './migration-views.ts';

export interface Asked {
  update: ClusterUpdate;
  /** What the update takes besides actor, reason and time. */
  args: JsonObject;
  /** What is written down before the workflow is asked; what came of it is recorded by the workflow. */
  record: Pick<RecordInput, 'kind' | 'outcome' | 'node' | 'wave' | 'message'>;
}

export interface Accepted {
  accepted: true;
  request: string;
  migration: string;
  message: string;
}

/**
 * One thing that a person asks of a migration: written down, sent as an update, answered.
 * The request's id is the update's id and the record's key, so the same request twice is done and recorded once.
 *
 * @throws CutoverError MigrationEnded, RequestIdUsed, what the workflow's validator refused, or TemporalUnreachable
 */
export async function act(
  { store, control }: ServerDependencies,
  c: Context<ServerEnv>,
  migration: string,
  reason: string,
  asked: Asked,
): Promise<Accepted> {
  const { actor, request } = c.var;
  c.set('migration', migration);
  c.set('reason', reason);
  const view = viewMigration(store, migration);
  c.set('planHash', view.plan.hash);
  if (view.endedAt !== '') throw new CutoverError('MigrationEnded', `migration ${migration} has ended: ${view.state}`);

  const { at } = recordRequest(store, c.var, {
    migration,
    planHash: view.plan.hash,
    ...(reason === '' ? {} : { reason }),
    ...asked.record,
  });
  const args: Act = { ...asked.args, actor, reason, at };
  const answer = await control.update({ clusterUid: view.cluster.uid, migration }, asked.update, args, {
    id: request,
    actor,
  });
  return { accepted: true, request, migration, message: typeof answer === 'string' ? answer : '' };
}
