import {
  ActivityFailure,
  ApplicationFailure,
  TimeoutFailure,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { CutoverError } from '../../src/errors.ts';
import { translate } from '../../src/server/temporal-control.ts';

describe('what Temporal throws', () => {
  const refused = ApplicationFailure.create({
    type: 'GateClosed',
    message: 'gate after-canary is not open',
    nonRetryable: true,
  });

  it('becomes what the validator of the workflow said', () => {
    expect(translate(new WorkflowUpdateFailedError('Workflow Update failed', refused))).toMatchObject({
      type: 'GateClosed',
      message: 'gate after-canary is not open',
      remedy: 'list the open gates with `cutover gates`',
    });
  });

  it('becomes what the activity said, with its own remedy and details', () => {
    const cause = ApplicationFailure.create({
      type: 'KubeconfigInvalid',
      message: 'no such file: /x',
      details: [{ remedy: 'write one', file: '/x' }],
    });
    const failure = new ActivityFailure(
      'activity failed',
      'observeCluster',
      '1',
      'MAXIMUM_ATTEMPTS_REACHED' as never,
      'worker',
      cause,
    );

    expect(
      translate(new WorkflowFailedError('Workflow execution failed', failure, 'NON_RETRYABLE_FAILURE' as never)),
    ).toMatchObject({
      type: 'KubeconfigInvalid',
      message: 'no such file: /x',
      remedy: 'write one',
      details: { file: '/x' },
    });
  });

  it('is unknown and safe to repeat when an update was not answered in time', () => {
    expect(translate(new WorkflowUpdateRPCTimeoutOrCancelledError('deadline'))).toMatchObject({
      type: 'TemporalUnreachable',
      details: { outcome: 'unknown', safeToRepeat: true },
    });
  });

  it('names the missing worker when nobody finished a workflow in time', () => {
    const timeout = new TimeoutFailure('timed out', undefined, 'START_TO_CLOSE' as never);

    expect(
      translate(new WorkflowFailedError('Workflow execution timed out', timeout, 'TIMEOUT' as never)),
    ).toMatchObject({ type: 'TemporalUnreachable', remedy: expect.stringContaining('cutover worker') });
  });

  it('is the end of the migration when its workflow is gone', () => {
    expect(translate(new WorkflowNotFoundError('not found', 'migration:x', undefined))).toMatchObject({
      type: 'MigrationEnded',
    });
  });

  it('is a bug when its type is not in the table, and an error of ours stays as it is', () => {
    const ours = new CutoverError('NotFound', 'x');

    expect(
      translate(
        new WorkflowUpdateFailedError(
          'failed',
          ApplicationFailure.create({ type: 'TypeError', message: 'x is undefined' }),
        ),
      ),
    ).toMatchObject({ type: 'Internal', message: 'x is undefined' });
    expect(translate(ours)).toBe(ours);
  });
});
