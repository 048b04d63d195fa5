import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodesOf } from '../../support/cutover.ts';
import { until } from '../../support/until.ts';
import { importImage, inNode, inNodeNetwork } from '../cluster/node.ts';
import { keepResult } from '../results.ts';
import { kept, nodeNamed } from '../settings.ts';
import { whatIsFound } from './found.ts';
import { labPlan, nodeNames, startLab, stepTimes, type Lab } from './harness.ts';

let lab: Lab;
let before: Record<string, unknown>;
beforeAll(async () => {
  lab = await startLab();
  before = await whatIsFound(lab);
}, 300_000);
afterAll(() => lab?.stop());

const canary = nodeNamed('worker-1');
const image = 'docker.io/calico/node:v3.28.5';

/** Held by hand: what is broken stays broken until the test mends it. */
const oneTry = (yaml: string): string =>
  labPlan(yaml).replace('nodeAttempts: 2', 'nodeAttempts: 1').replace('nodes: 1', 'nodes: [worker-1]');

/** Breaks something when that step of the canary has begun. */
async function whenBegun(step: string, act: () => Promise<unknown>): Promise<void> {
  await until(
    async () =>
      (await lab.records()).some(
        (record) => record.kind === 'step.began' && record.step === step && record.node === canary.name,
      ),
    `step ${step} of ${canary.name} begins`,
    300_000,
  );
  await act();
}

describe('a node whose new network is broken', () => {
  it.each([
    {
      title: 'because UDP 8472 is dropped',
      at: 'fence',
      damage: () =>
        inNodeNetwork(canary, [
          'nft',
          'add table inet damage; add chain inet damage in { type filter hook input priority -300; }; add rule inet damage in udp dport 8472 drop',
        ]),
      mend: () => inNodeNetwork(canary, ['nft', 'delete', 'table', 'inet', 'damage']),
      says: /pod-to-pod|do not reach|does not reach|lost|answer/,
    },
    {
      title: "because the agent's image is gone from the node",
      at: 'evict',
      damage: () => inNode(canary, ['crictl', 'rmi', image]),
      mend: () => importImage(canary, join(kept.images, 'calico-node.tar')),
      says: /calico-node/,
    },
  ])(
    '$title goes back by itself, and the cluster is whole',
    async ({ title, at, damage, mend, says }) => {
      const recorder = await lab.record();
      await lab.launch(oneTry);
      await whenBegun(at, damage);
      // A rule that drops the overlay is the node's own trouble: the old network cannot be verified before it is mended.
      if (at === 'fence') {
        await until(
          async () => (await lab.records()).some(({ direction }) => direction === 'back'),
          'the node goes back',
          400_000,
        );
        await mend();
      }

      const waiting = await until(
        async () => nodesOf(await lab.status()).find(({ state }) => state === 'waiting'),
        'the node waits for a person',
        600_000,
      );
      if (at !== 'fence') await mend();
      const judged = await lab.judge(recorder);
      keepResult({
        scenario: `broken: ${title}`,
        judged,
        steps: stepTimes(await lab.history(canary.name)),
        notes: [waiting.message],
      });

      expect(waiting).toMatchObject({ name: canary.name, message: expect.stringMatching(says) });
      expect((await lab.inspect(canary.name)).loadedNetworks).toEqual(['cbr0']);
      expect(judged.starved, JSON.stringify(judged.canary)).toBe(false);
      expect(judged.bystanders).toMatchObject({ lost: 0 });

      expect(await lab.cutover('rollback', '--all', '--yes', '--reason', 'enough')).toMatchObject({ code: 0 });
      await lab.reach('rolled-back', 300_000);
      const after = await whatIsFound(lab);
      for (const node of nodeNames) expect(after[node], node).toEqual(before[node]);
      await recorder.stop();
    },
    1_200_000,
  );
});
