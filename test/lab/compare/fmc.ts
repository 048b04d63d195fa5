import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKubernetesClient } from '../../../src/kubernetes/client.ts';
import { calicoModule } from '../build/images.ts';
import { kubectl } from '../cluster/control-plane.ts';
import { inNode } from '../cluster/node.ts';
import { awaitThat } from '../run.ts';
import type { Result } from '../results.ts';
import { running } from '../settings.ts';
import { judge } from '../traffic/judge.ts';
import { startRecorder } from '../traffic/recorder.ts';
import type { Cut } from '../traffic/types.ts';
import { residueOf } from './residue.ts';

const networkLabel = 'projectcalico.org/node-network-during-migration';

/**
 * Calico's own way from Flannel: upstream's two manifests of that version as they are, on a fresh cluster. The Job drains
 * node after node and says Complete at the end (kube-controllers/pkg/controllers/flannelmigration).
 */
export async function migrateWithCalicosJob(say: (line: string) => void, watchMs: number): Promise<Result> {
  const kubernetes = createKubernetesClient({ kubeconfig: running.kubeconfig, context: '' });
  const recorder = await startRecorder(kubernetes);
  const folder = join(await calicoModule(), 'manifests', 'flannel-migration');
  await kubectl(['apply', '-f', join(folder, 'calico.yaml')]);
  await kubectl(['-n', 'kube-system', 'rollout', 'status', 'deployment', 'calico-kube-controllers', '--timeout=120s']);
  const startedAt = Date.now();
  const watching = watchNodes(kubernetes);
  await kubectl(['apply', '-f', '-'], await readFile(join(folder, 'migration-job.yaml'), 'utf8'));
  say('Calico’s Job runs');
  await awaitThat(
    "Calico's Job is Complete",
    900_000,
    async () => {
      const [job] = await kubernetes.list({ apiVersion: 'batch/v1', kind: 'Job' }, { namespace: 'kube-system' });
      return Number(job?.['status']?.succeeded ?? 0) > 0;
    },
    1_000,
  );
  const seconds = (Date.now() - startedAt) / 1000;
  const { cuts, spans } = await watching.stop();
  say(`Calico’s Job is Complete after ${seconds.toFixed(0)} s; the clients are watched on`);
  await new Promise((resolve) => setTimeout(resolve, watchMs));
  const judged = judge(await recorder.measured(), cuts);
  await recorder.stop();
  const residue = await residueOf((node, script) => inNode(node, ['sh', '-c', script]));
  return {
    scenario: 'compare: Calico’s Job',
    seconds,
    nodeSeconds: Object.fromEntries([...spans].map(([node, { from, to }]) => [node, (to - from) / 1000])),
    judged,
    residue,
  };
}

/** When each node was cordoned, given up by Flannel, and took pods again: nobody else writes that down. */
function watchNodes(kubernetes: ReturnType<typeof createKubernetesClient>) {
  const cuts: Cut[] = [];
  const spans = new Map<string, { from: number; to: number }>();
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      for (const { metadata, spec } of await kubernetes.list({ apiVersion: 'v1', kind: 'Node' }).catch(() => [])) {
        const now = Date.now();
        const cordoned = spec?.unschedulable === true;
        const span = spans.get(metadata.name);
        if (cordoned) spans.set(metadata.name, { from: span?.from ?? now, to: now });
        const left = metadata.labels?.[networkLabel] === 'none';
        if (left && !cuts.some(({ node }) => node === metadata.name))
          cuts.push({ node: metadata.name, at: new Date(now).toISOString() });
      }
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await loop;
      return { cuts, spans };
    },
  };
}
