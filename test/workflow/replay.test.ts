import { Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { bundleWorkflows, installRuntime } from '../../src/temporal/worker.ts';
import { recordedHistories } from '../support/histories.ts';

const log = pino({ level: 'silent' });

describe('recorded histories', () => {
  it('replay with the workflows as they are now', async () => {
    installRuntime(log);
    const workflowBundle = await bundleWorkflows(log);
    const histories = recordedHistories();
    const endings = new Set(histories.map(({ name }) => name.split('.')[0]));

    const failures: string[] = [];
    for (const { name, history } of histories) {
      await Worker.runReplayHistory({ workflowBundle, replayName: name }, history).catch((error: unknown) =>
        failures.push(`${name}: ${String(error)}`),
      );
    }

    expect(failures).toEqual([]);
    // Each kind of ending has its own recording; see test/support/histories.ts.
    expect(endings.size).toBeGreaterThanOrEqual(15);
  }, 300_000);
});
