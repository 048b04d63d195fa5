import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CaptureReport, Report } from '../../src/report/types.ts';
import type { GateView } from '../../src/store/views.ts';
import { install, withCapture } from '../support/cutover.ts';

let it_: Awaited<ReturnType<typeof install>>;
beforeAll(async () => {
  it_ = await install('three-nodes', { speed: 30 });
});
afterAll(() => it_.stop());

const withEvidence = (yaml: string): string =>
  withCapture(yaml)
    .replace('          approvals: 1\n', '          approvals: 1\n          checks: [cluster-matrix, capture]\n')
    .concat(
      '  capture: { seconds: 1 }\n  traffic: { pricePerGB: 0.02, currency: EUR, crossZoneShare: 0.5, gbPerMonth: 40000 }\n',
    );

/** A script, a tag or a link to somewhere: what nobody may bring into the page. */
const hostile = '<script>alert(1)</script> & "quotes" | pipes';

describe('a migration with evidence of what it cost and gained', () => {
  it('refuses a price that is no number, and names that are no nodes, with the place', async () => {
    const plan = (change: (yaml: string) => string) =>
      it_.cutover(
        'plan',
        '-f',
        it_.planFile((yaml) => change(withCapture(yaml))),
      );

    const refused = [
      await plan((yaml) => `${yaml}  traffic: { pricePerGB: cheap, crossZoneShare: 0.5 }\n`),
      await plan((yaml) => `${yaml}  traffic: { pricePerGB: 0.01, crossZoneShare: 30 }\n`),
      await plan((yaml) => `${yaml}  capture: { nodes: [worker-1, worker-9] }\n`),
      await plan((yaml) => `${yaml}  capture: { runs: 1 }\n`),
    ];

    expect(refused.map(({ code }) => code)).toEqual([1, 1, 1, 1]);
    expect(refused.map(({ stderr }) => stderr)).toEqual([
      expect.stringMatching(/:\d+:\d+: spec\.traffic\.pricePerGB must be a number, the price of one GB: 0\.01/),
      expect.stringMatching(/:\d+:\d+: spec\.traffic\.crossZoneShare must be a share between 0 and 1/),
      expect.stringMatching(/spec\.capture\.nodes names worker-9, which the cluster does not have/),
      expect.stringMatching(/:\d+:\d+: spec\.capture\.runs/),
    ]);
    expect(await it_.json<{ items: unknown[] }>('status', '--all')).toEqual({ items: [] });
  });

  it('measures before anything is touched, and again as evidence of a gate that asks for it', async () => {
    await it_.launch(withEvidence);
    await it_.reach('at-gate');

    const { evidence } = await it_.json<GateView>('gates', 'after-canary');
    const { items } = await it_.json<{ items: CaptureReport[] }>('capture', 'show');

    expect(evidence.checks.map(({ id, verdict }) => [id, verdict])).toContainEqual(['capture', 'pass']);
    expect(items).toHaveLength(1);
    expect(items[0]!.before!.failures).toEqual([]);
    expect(items[0]!.after).toBeNull();
    expect(items[0]!.judgement.verdict).toBe('not-taken');
    await it_.cutover(
      'approve',
      'after-canary',
      '--as',
      'ben',
      '--evidence',
      `sha256:${evidence.digest}`,
      '--reason',
      hostile,
    );
  });

  it('measures after it, and finds no change where VXLAN stays VXLAN', async () => {
    await it_.reach('completed');

    const { items } = await it_.json<{ items: CaptureReport[] }>('capture', 'show');
    const { stdout } = await it_.cutover('capture', 'show', '-o', 'wide');

    const [{ after, judgement }] = items as [CaptureReport];
    expect(after!.failures).toEqual([]);
    expect(judgement.comparisons).toHaveLength(12);
    expect(judgement.verdict).toBe('no-change');
    expect(judgement.encapsulation).toMatchObject({ savedBytes: 0 });
    expect(stdout).toMatch(/TCP throughput +pod to pod across nodes +[\d,]+ Mbit\/s \([\d,]+ to [\d,]+\)/);
    expect(stdout).toMatch(/vxlan\.calico/);
  }, 420_000);

  it('reports everything that a board asks, as JSON', async () => {
    const report = await it_.json<Report>('report');

    expect(report.migration).toMatchObject({ state: 'completed', requester: 'ana', reason: 'test' });
    expect(report.summary[0]!.text).toMatch(
      /^flannel to calico: completed, 4 of 4 nodes on the new network, in .* of work/,
    );
    expect(report.nodes.map(({ name, state }) => `${name} ${state}`)).toHaveLength(4);
    for (const node of report.nodes) expect(node.seconds).toBeGreaterThan(0);
    expect(report.acts.map(({ actor, what }) => `${actor} ${what}`)).toEqual([
      'ana launched the migration',
      'ben approved the gate',
    ]);
    expect(report.acts[1]).toMatchObject({
      about: 'after-canary',
      reason: hostile,
      evidenceDigest: report.gates[0]!.digest,
    });
    expect(report.checks.asked).toBe(report.checks.passed + report.checks.warned + report.checks.blocked);
    expect(report.checks.asked).toBeGreaterThan(60);
    expect(report.versions.images.some((image) => image.includes('calico/node'))).toBe(true);
    expect(report.record).toMatchObject({ ok: true, problems: [] });
    expect(report.cost).toMatchObject({ volume: 'given', gbPerMonth: 40_000, savedBytesPerPacket: 0, perMonth: 0 });
  });

  it('writes one page that needs nothing else and cannot be written into', async () => {
    const file = join(it_.home, 'report.html');

    const { code, stderr } = await it_.cutover('report', '--out', file);

    const page = readFileSync(file, 'utf8');
    expect(code).toBe(0);
    expect(stderr).toContain(`written to ${file}`);
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot;');
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\bsrc=|\bhref=|@import|url\(/i);
    expect(page.match(/<svg\b/g)!.length).toBeGreaterThanOrEqual(6);
    expect(page).not.toMatch(/undefined|NaN|\[object/);
    for (const node of ['worker-1', 'worker-2', 'worker-3', 'control-plane-1']) expect(page).toContain(`<td>${node}`);
  });

  it('says the same in Markdown, and no cell of it breaks out', async () => {
    const { stdout, code } = await it_.cutover('report', '-o', 'markdown');

    const report = await it_.json<Report>('report');
    expect(code).toBe(0);
    for (const { text } of report.summary.slice(1, 3)) expect(stdout).toContain(text);
    expect(stdout).toContain(report.record.head.hash);
    expect(stdout).toContain('\\<script\\>alert(1)\\</script\\> & "quotes" \\| pipes');
    const approval = stdout.split('\n').find((line) => line.includes('approved the gate'))!;
    expect(approval.replaceAll('\\|', '').split('|')).toHaveLength(7);
  });

  it('refuses the formats of a report elsewhere, and a place that cannot be written', async () => {
    const elsewhere = await it_.cutover('status', '-o', 'html');
    const nowhere = await it_.cutover('report', '--out', join(it_.home, 'no/such/folder.html'));

    expect(elsewhere).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('-o html is not for `cutover status`'),
    });
    expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringMatching(/cannot be written: ENOENT/) });
    expect(existsSync(join(it_.home, 'no'))).toBe(false);
  });
});
