import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { beforeAll, describe, expect, it } from 'vitest';
import { bundleWorkflows, installRuntime } from '../../src/temporal/worker.ts';
import { recordedHistories } from '../support/histories.ts';

const log = pino({ level: 'silent' });
let workflowBundle: Awaited<ReturnType<typeof bundleWorkflows>>;
beforeAll(async () => {
  installRuntime(log);
  workflowBundle = await bundleWorkflows(log);
});

const replay = async (histories: { name: string; history: unknown }[]): Promise<string[]> => {
  const failures: string[] = [];
  const inputs = histories.map(({ name, history }) => ({ workflowId: name, history: historyFromJSON(history) }));
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, inputs)) {
    if (error) failures.push(`${workflowId}: ${error.name}`);
  }
  return failures;
};

describe('recorded histories', () => {
  it('replay with the workflows as they are now', async () => {
    const histories = recordedHistories();
    const endings = new Set(histories.map(({ name }) => name.split('.')[0]));

    expect(await replay(histories)).toEqual([]);
    // Each kind of ending has its own recording; see test/support/histories.ts.
    expect(endings.size).toBeGreaterThanOrEqual(15);
  }, 300_000);

  it('would show a workflow that decides otherwise than it did', async () => {
    const [one] = recordedHistories().filter(({ name }) => name.includes('node.worker-1'));
    const text = JSON.stringify(one!.history).replaceAll('"node.b"', '"node.other"');

    expect(await replay([{ name: 'changed', history: JSON.parse(text) }])).toEqual([
      'changed: DeterminismViolationError',
    ]);
  });
});
