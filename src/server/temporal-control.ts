import {
  ActivityFailure,
  ApplicationFailure,
  type Client,
  type Connection,
  TimeoutFailure,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowIdConflictPolicy,
  WorkflowIdReusePolicy,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  isGrpcDeadlineError,
  isGrpcServiceError,
} from '@temporalio/client';
import type { LoadedDataConverter } from '@temporalio/common';
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { Evidence, TakenLease } from '../../activities/types.ts';
import { CutoverError } from '../errors.ts';
import type { Json } from '../json.ts';
import { clientAs, type TemporalAddress } from '../temporal/connect.ts';
import {
  clusterWorkflowId,
  leaseWorkflowId,
  observeWorkflowId,
  policyWorkflowId,
  preflightWorkflowId,
  taskQueue,
} from '../temporal/ids.ts';
import { isErrorType } from './errors.ts';
import type { MigrationControl, PendingActivity, RequestOf, UpdateTarget } from './migrations.ts';

/** Milliseconds an update may take until the person is told that the outcome is unknown. */
const updateDeadlineMs = 15_000;
const readDeadlineMs = 5_000;
const pingDeadlineMs = 2_000;
/** A person waits for these at a prompt; without a worker they would wait for ever. */
const inspectionTimeout = '5 minutes';

/** The MigrationControl that talks to Temporal. Each call runs under the name of the person who asked. */
export function temporalControl(
  connection: Connection,
  address: Pick<TemporalAddress, 'namespace' | 'keys'>,
): MigrationControl {
  const as = ({ actor }: RequestOf): Client => clientAs(connection, address, actor);
  const reader = clientAs(connection, address, 'cutover-server');
  const { loadedDataConverter } = reader.options;

  /** Name of the migration that holds the cluster now, `` when none does. */
  const holder = async (workflowId: string): Promise<string> => {
    try {
      const { memo, status } = await reader.withDeadline(Date.now() + readDeadlineMs, () =>
        reader.workflow.getHandle(workflowId).describe(),
      );
      return status.name === 'RUNNING' ? nameIn(memo, workflowId) : '';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return '';
      throw error;
    }
  };

  /** Has a worker do something that a person waits for; the same request again waits for the same. */
  const inspect = <Answer>(type: string, workflowId: string, input: object, request: RequestOf): Promise<Answer> =>
    translated(
      () =>
        as(request).workflow.execute(type, {
          workflowId,
          workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
          workflowExecutionTimeout: inspectionTimeout,
          taskQueue,
          args: [input],
        }) as Promise<Answer>,
    );

  return {
    observe: async (input, request) =>
      (await inspect<{ factsSha256: string }>('observeCluster', observeWorkflowId(request.id), input, request))
        .factsSha256,

    policy: async (input, request) =>
      (
        await inspect<{ reportSha256: string }>(
          'policyReport',
          policyWorkflowId(input.planHash, request.id),
          input,
          request,
        )
      ).reportSha256,

    preflight: (planHash, request) =>
      inspect<Evidence>('preflight', preflightWorkflowId(planHash, request.id), { planHash }, request),

    takeLease: (input, request) =>
      inspect<TakenLease>('takeLease', leaseWorkflowId(input.migration, request.id, 'take'), input, request),

    giveBackLease: (input, request) =>
      inspect<void>('giveBackLease', leaseWorkflowId(input.migration, request.id, 'give-back'), input, request),

    start: (input, request) =>
      translated(async () => {
        const workflowId = clusterWorkflowId(input.clusterUid);
        try {
          await as(request).workflow.start('migrateCluster', {
            workflowId,
            workflowIdConflictPolicy: WorkflowIdConflictPolicy.FAIL,
            workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
            taskQueue,
            memo: { migration: input.migration, planHash: input.planHash, requester: input.requester },
            staticSummary: `${input.migration}, asked for by ${input.requester}`,
            args: [{ ...input, requestedAt: new Date().toISOString() }],
          });
        } catch (error) {
          if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
          const running = await holder(workflowId);
          if (running === input.migration) return;
          throw new CutoverError('MigrationRunning', `${running || 'another migration'} is under way on this cluster`, {
            details: { migration: running },
          });
        }
      }),

    update: (target: UpdateTarget, name, args, request) =>
      translated(async () => {
        const workflowId = clusterWorkflowId(target.clusterUid);
        const running = await holder(workflowId);
        if (running !== target.migration) throw new CutoverError('MigrationEnded', `${target.migration} has ended`);
        const client = as(request);
        return client.withDeadline(Date.now() + updateDeadlineMs, () =>
          client.workflow.getHandle(workflowId).executeUpdate<Json, [typeof args & { request: string }]>(name, {
            args: [{ ...args, request: request.id }],
            updateId: request.id,
          }),
        );
      }),

    ping: () =>
      translated(async () => {
        await reader.withDeadline(Date.now() + pingDeadlineMs, () => connection.workflowService.getSystemInfo({}));
      }),

    pending: (workflowId) =>
      translated(async () => {
        try {
          const { raw } = await reader.withDeadline(Date.now() + readDeadlineMs, () =>
            reader.workflow.getHandle(workflowId).describe(),
          );
          return await Promise.all(
            (raw.pendingActivities ?? []).map((each) => pendingActivity(each, loadedDataConverter)),
          );
        } catch (error) {
          if (error instanceof WorkflowNotFoundError) return [];
          throw error;
        }
      }),
  };
}

/** The memo that `start` gives, carried through continue-as-new. */
const nameIn = (memo: Record<string, unknown> | undefined, otherwise: string): string =>
  typeof memo?.['migration'] === 'string' ? memo['migration'] : otherwise;

type RawDescription = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['describe']>>['raw'];
type RawActivity = NonNullable<RawDescription['pendingActivities']>[number];

const states = ['scheduled', 'scheduled', 'started', 'cancelling', 'paused', 'paused'] as const;

async function pendingActivity(raw: RawActivity, converter: LoadedDataConverter): Promise<PendingActivity> {
  const failure = await decodeOptionalFailureToOptionalError(converter, raw.lastFailure);
  const [heartbeat] = await decodeArrayFromPayloads(converter, raw.heartbeatDetails?.payloads?.slice(0, 1));
  const startedAt = iso(raw.lastStartedTime);
  const nextAttemptAt = states[Number(raw.state)] === 'scheduled' ? iso(raw.scheduledTime) : undefined;
  return {
    name: raw.activityType?.name ?? '',
    state: states[raw.state ?? 1] ?? 'scheduled',
    attempt: raw.attempt ?? 1,
    maximumAttempts: raw.maximumAttempts ?? 0,
    ...(failure
      ? {
          lastFailure: {
            type: failure instanceof ApplicationFailure ? (failure.type ?? '') : '',
            message: failure.message,
          },
        }
      : {}),
    ...(heartbeat === undefined ? {} : { heartbeat: heartbeat as Json }),
    ...(startedAt ? { startedAt } : {}),
    ...(nextAttemptAt ? { nextAttemptAt } : {}),
    ...(raw.lastWorkerIdentity ? { worker: raw.lastWorkerIdentity } : {}),
  };
}

/** A protobuf Timestamp; its seconds are a Long, a number or a string, by platform. */
function iso(timestamp: { seconds?: unknown; nanos?: number | null } | null | undefined): string | undefined {
  if (!timestamp) return undefined;
  return new Date(Number(timestamp.seconds ?? 0) * 1000 + Math.floor((timestamp.nanos ?? 0) / 1e6)).toISOString();
}

async function translated<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw translate(error);
  }
}

/** What Temporal's client throws, as an error of the table. */
export function translate(error: unknown): CutoverError {
  if (error instanceof CutoverError) return error;
  if (error instanceof WorkflowUpdateFailedError) return fromFailure(error.cause);
  if (error instanceof WorkflowFailedError) return fromFailure(error.cause);
  if (error instanceof WorkflowNotFoundError) return new CutoverError('MigrationEnded', 'the migration has ended');
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isGrpcDeadlineError(error))
    return new CutoverError('TemporalUnreachable', 'no answer came in time: whether it was accepted is not known', {
      remedy: 'see `cutover status`; the same request may be sent again without harm',
      details: { outcome: 'unknown', safeToRepeat: true },
      cause: error,
    });
  if (isGrpcServiceError(error))
    return new CutoverError('TemporalUnreachable', `Temporal did not take the request: ${error.message}`, {
      cause: error,
    });
  return new CutoverError('Internal', error instanceof Error ? error.message : String(error), { cause: error });
}

function fromFailure(cause: unknown): CutoverError {
  if (cause instanceof ActivityFailure) return fromFailure(cause.cause);
  if (cause instanceof ApplicationFailure) {
    const [details] = (cause.details ?? []) as { remedy?: string }[];
    const type = isErrorType(cause.type) ? cause.type : 'Internal';
    return new CutoverError(type, cause.message, {
      ...(details?.remedy === undefined ? {} : { remedy: details.remedy }),
      ...(details === undefined ? {} : { details }),
      cause,
    });
  }
  if (cause instanceof TimeoutFailure)
    return new CutoverError('TemporalUnreachable', 'no worker finished this in time', {
      remedy: 'see that a worker runs: `cutover up`, or `cutover worker`',
      cause,
    });
  return new CutoverError('Internal', cause instanceof Error ? cause.message : String(cause), { cause });
}
