import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Evidence } from '../../../activities/types.ts';
import type { CaptureReport } from '../../../src/report/types.ts';
import type { GateView } from '../../../src/store/views.ts';
import { approveGate, openGate, withCapture } from '../../support/cutover.ts';
import { until } from '../../support/until.ts';
import { keepResult } from '../results.ts';
import { nodeNames, oneWave, startLab, stepTimes, type Lab } from './harness.ts';

let lab: Lab;
const notes: string[] = [];
beforeAll(async () => {
  lab = await startLab();
}, 300_000);
afterAll(async () => {
  keepResult({ scenario: 'evidence', at: new Date().toISOString(), notes });
  await lab?.stop();
});

const secondStage = `    - route: calico-vxlan-to-bgp
      bgp:
        soak: 0s
        stable: 10s
        gates: { approvals: 1 }
`;
const bothStages = (yaml: string): string =>
  withCapture(oneWave(yaml)).replace('  strategy:\n', `${secondStage}  strategy:\n`);

const seconds = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const began = performance.now();
  const done = await work();
  notes.push(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return done;
};

const approve = (gate: string): Promise<GateView> => approveGate(lab, gate, 600_000);

/** What a platform team has in its hands before, at each gate, and at the end. */
describe('the evidence of a real migration, from VXLAN of Flannel to plain packets', () => {
  it('preflight asks the cluster everything, and nothing blocks', async () => {
    const { hash } = await lab.json<{ hash: string }>('plan', '-f', lab.planFile(bothStages));

    const { checks } = await seconds('preflight of 3 nodes', () => lab.json<Evidence>('preflight', hash));

    notes.push(`preflight asked ${checks.length} checks`);
    expect(checks.filter(({ verdict }) => verdict === 'block')).toEqual([]);
    expect(checks.filter(({ verdict, acknowledged }) => verdict === 'warn' && !acknowledged)).toEqual([]);
  }, 120_000);

  it('measures before and after each stage, and the 50 bytes of VXLAN are gone at the end', async () => {
    await lab.launch(bothStages);
    await approve('before-cross-subnet-2');
    const { evidence: first } = await openGate(lab, 'after-flips-2', 600_000);
    await seconds('evidence of a gate, taken anew', async () => {
      await lab.json('gates', 'refresh', 'after-flips-2');
      await until(async () => (await lab.status()).openGate?.evidence.at !== first.at, 'newer evidence is shown');
    });
    await approve('after-flips-2');
    await lab.reach('completed', 900_000);

    const { items } = await lab.json<{ items: CaptureReport[] }>('capture', 'show');
    notes.push(...(await lab.cutover('capture', 'show')).stdout.split('\n').filter(Boolean));
    const bytes = items.map(({ before, after }) =>
      [before, after].map((capture) => Math.round(capture?.encapsulation?.median ?? Number.NaN)),
    );
    expect(bytes).toHaveLength(2);
    for (const [index, expected] of [50, 50, 50, 0].entries())
      expect(
        Math.abs(bytes.flat()[index]! - expected),
        `capture ${index} of ${bytes.flat().join(', ')}`,
      ).toBeLessThanOrEqual(2);
    expect(items.flatMap(({ before, after }) => [...(before?.failures ?? []), ...(after?.failures ?? [])])).toEqual([]);
  }, 1_800_000);

  it('asks a node on its new network within seconds', async () => {
    const histories = await Promise.all(nodeNames.map((node) => lab.history(node)));
    const asked = histories.flatMap(stepTimes).filter(({ step }) => step === 'Ask the new network');

    notes.push(`the checks of a node: ${asked.map((each) => `${each.seconds.toFixed(1)} s`).join(', ')}`);
    expect(asked).toHaveLength(nodeNames.length);
  });

  it('ends as one page that a change board can read', async () => {
    const page = join(lab.home, 'report.html');

    await seconds('report', () => lab.cutover('report', '--out', page));

    const text = readFileSync(page, 'utf8');
    notes.push(`the page has ${Math.round(statSync(page).size / 1024)} KiB`);
    expect(text).toContain('<svg');
    // It needs nothing but itself; the address of the API server is text.
    expect(text).not.toMatch(/<script|<link|@import|url\(|\b(src|href)="(?!#)/);
    for (const node of nodeNames) expect(text).toContain(node);
    expect(await lab.cutover('audit', 'verify')).toMatchObject({ code: 0 });
  });
});
