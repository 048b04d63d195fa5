import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { World } from './workflow-world.ts';

const folder = fileURLToPath(new URL('../histories/', import.meta.url));

/**
 * With RECORD_HISTORIES=1, keeps the history of every workflow of this test under test/histories, for the replay test.
 * Record again only when a change of the workflows is meant to break what was recorded.
 */
export async function recordHistories(world: World, test: string): Promise<void> {
  if (process.env['RECORD_HISTORIES'] !== '1') return;
  mkdirSync(folder, { recursive: true });
  const name = test
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 60);
  const query = `WorkflowId STARTS_WITH "migration:${world.clusterUid}"`;
  for await (const { workflowId, runId } of world.client.workflow.list({ query })) {
    const history = await world.client.workflow.getHandle(workflowId, runId).fetchHistory();
    const what = workflowId.split(':').slice(2).join('.') || `cluster-${runId.slice(0, 4)}`;
    writeFileSync(`${folder}${name}.${what.replace(/^test-\w+\./, '')}.json.gz`, gzipSync(historyToJSON(history)));
  }
}

export const recordedHistories = (): { name: string; history: unknown }[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.json.gz'))
    .map((name) => ({ name, history: JSON.parse(gunzipSync(readFileSync(folder + name)).toString()) as unknown }));
