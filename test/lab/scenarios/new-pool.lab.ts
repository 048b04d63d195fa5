import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approveGate, openGate } from '../../support/cutover.ts';
import { onlyNewPool, thenNewPool } from '../../support/new-pool-plan.ts';
import { until } from '../../support/until.ts';
import { keepResult } from '../results.ts';
import { labPlan, nodeNames, oneWave, startLab, stepTimes, type Lab } from './harness.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
}, 300_000);
afterAll(() => lab?.stop());

const pools = async () =>
  Object.fromEntries(
    (await lab.kubernetes.list({ apiVersion: 'crd.projectcalico.org/v1', kind: 'IPPool' })).map(
      ({ metadata, spec }) => [
        metadata.name,
        { mode: spec?.vxlanMode, selector: spec?.nodeSelector, disabled: spec?.disabled ?? false },
      ],
    ),
  );
/** Of the pods of a node that have its network: the first two bytes of their addresses. */
const ranges = async (node: string): Promise<string[]> => {
  const pods = await lab.kubernetes.list({ apiVersion: 'v1', kind: 'Pod' }, { fieldSelector: `spec.nodeName=${node}` });
  const ips = pods.flatMap(({ metadata, spec, status }) =>
    spec?.hostNetwork === true || metadata.deletionTimestamp || !status?.podIP ? [] : [String(status.podIP)],
  );
  return [...new Set(ips.map((ip) => ip.split('.').slice(0, 2).join('.')))];
};
const tunnel = async (node: string): Promise<string> =>
  String(
    (await lab.kubernetes.get({ apiVersion: 'v1', kind: 'Node', name: node }))?.metadata.annotations?.[
      'projectcalico.org/IPv4VXLANTunnelAddr'
    ],
  );

describe('node by node, with a new pool, on a real cluster', () => {
  let found: Awaited<ReturnType<typeof pools>>;

  it('moves the canary, whose tunnel stays as it is, and takes it back', async () => {
    await lab.launch((yaml) => thenNewPool(labPlan(yaml)));
    await approveGate(lab, 'after-canary-1', 600_000);
    await openGate(lab, 'before-new-pool-2', 900_000);
    found = await pools();
    await approveGate(lab, 'before-new-pool-2');
    const { evidence } = await openGate(lab, 'after-canary-2', 600_000);

    expect((await Promise.all(nodeNames.map(ranges))).filter((range) => range.join() === '10.245')).toHaveLength(1);
    expect((await Promise.all(nodeNames.map(tunnel))).every((address) => address.startsWith('10.244.'))).toBe(true);
    expect(evidence.checks.find(({ id }) => id === 'cluster-matrix')?.verdict).toBe('pass');

    expect(await lab.cutover('rollback', '--all', '--yes', '--reason', 'to see it')).toMatchObject({ code: 0 });
    await lab.reach('rolled-back', 600_000);
    expect(await pools()).toEqual(found);
    expect(await Promise.all(nodeNames.map(ranges))).toEqual(nodeNames.map(() => ['10.244']));
  }, 2_400_000);

  it('ends with every pod in the new pool; pods that did not move lost nothing meanwhile', async () => {
    await lab.launch((yaml) => onlyNewPool(oneWave(yaml)));
    await openGate(lab, 'before-new-pool', 600_000);
    // From here on: three agents that start at once leave no processor to a canary.
    const recorder = await lab.record();
    await approveGate(lab, 'before-new-pool', 600_000);
    await lab.reach('completed', 900_000);
    const judged = await lab.judge(recorder);
    const tunnels = await until(
      async () => {
        const now = await Promise.all(nodeNames.map(tunnel));
        return now.every((address) => address.startsWith('10.245.')) ? now : undefined;
      },
      'every tunnel has an address of the new pool',
      60_000,
    );
    keepResult({
      scenario: 'new pool',
      at: new Date().toISOString(),
      judged,
      steps: (await Promise.all(nodeNames.map((node) => lab.history(node)))).flatMap(stepTimes),
      notes: [`tunnels: ${tunnels.join(', ')}`],
    });

    expect(await Promise.all(nodeNames.map(ranges))).toEqual(nodeNames.map(() => ['10.245']));
    expect(await pools()).toMatchObject({
      'default-ipv4-ippool': { mode: 'Always', disabled: true },
      'new-ipv4-ippool': { mode: 'CrossSubnet', selector: 'all()' },
    });
    expect(judged.starved, JSON.stringify(judged.canary)).toBe(false);
    expect(judged.bystanders).toMatchObject({ lost: 0 });
    expect(judged.moved).toMatchObject({ lost: 0 });
  }, 1_800_000);
});
