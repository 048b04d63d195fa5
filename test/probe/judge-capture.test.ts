import { describe, expect, it } from 'vitest';
import { parseConnect, parseDatagrams, parseLatency, parseThroughput } from '../../src/probe/capture/commands.ts';
import { judgeCaptures } from '../../src/probe/capture/judge.ts';
import { percentile, spreadOf } from '../../src/probe/capture/statistics.ts';
import type { Capture, CaptureMetric, CapturePath } from '../../src/probe/capture/types.ts';
import { capture as captureCheck } from '../../src/checks/services/capture.ts';
import { estimateCost } from '../../src/report/cost.ts';

type Figures = { [figure in `${CaptureMetric} ${CapturePath}`]?: number[] };

const captureOf = (when: Capture['when'], figures: Figures, encapsulation?: number[]): Capture => ({
  when,
  at: '2026-03-01T14:00:00.000Z',
  nodes: { from: 'worker-1', to: 'worker-2' },
  settings: { runs: 3, seconds: 2 },
  measurements: Object.entries(figures).map(([figure, runs]) => {
    const [metric, path] = figure.split(' ') as [CaptureMetric, CapturePath];
    return { metric, path, unit: metric === 'throughput' ? ('Mbit/s' as const) : ('µs' as const), ...spreadOf(runs) };
  }),
  encapsulation: encapsulation
    ? { ...spreadOf(encapsulation), frameBytes: 1042, packets: 12_000, tunnelPackets: 12_000 }
    : null,
  devices: [],
  failures: [],
});

/** Throughput across nodes and host to host, before and after. */
const judge = (before: number[], after: number[], hostBefore = [9_000, 9_000, 9_000], hostAfter = hostBefore) =>
  judgeCaptures(
    captureOf('before', { 'throughput across-nodes': before, 'throughput host': hostBefore }),
    captureOf('after', { 'throughput across-nodes': after, 'throughput host': hostAfter }),
  );

describe('the judgement of two captures', () => {
  it.each([
    ['17 % more with little spread is a gain', [7_600, 7_610, 7_620], [8_880, 8_900, 8_920], 'gain'],
    ['25 % less with little spread is a regression', [7_600, 7_610, 7_620], [5_700, 5_710, 5_720], 'regression'],
    ['8 % less is no change, however little the spread', [7_600, 7_610, 7_620], [7_000, 7_001, 7_002], 'no-change'],
    ['15 % less is no change when the runs scatter by 10 %', [7_200, 7_600, 7_960], [6_100, 6_460, 6_600], 'no-change'],
  ])('%s', (_name, before, after, verdict) => {
    expect(judge(before, after).verdict).toBe(verdict);
  });

  it('looks at the share of what the host itself can do', () => {
    const half = judge([8_000, 8_000, 8_000], [4_000, 4_000, 4_000], [9_000, 9_000, 9_000], [4_500, 4_500, 4_500]);
    const same = judge([8_000, 8_000, 8_000], [8_000, 8_000, 8_000], [9_000, 9_000, 9_000], [18_000, 18_000, 18_000]);

    expect(half).toMatchObject({ verdict: 'no-change', comparisons: [{ doubtful: true, change: 0 }] });
    expect(half.cautions).toEqual([
      expect.stringMatching(/^the control moved: TCP throughput, host to host, was 9,000/),
    ]);
    expect(same).toMatchObject({ verdict: 'regression', comparisons: [{ doubtful: true }] });
  });

  it('trusts a control that moves within its own spread', () => {
    expect(judge([7_000], [7_000], [8_800, 9_000, 9_200], [8_900, 9_100, 9_300]).cautions).toEqual([]);
  });

  it('takes more latency for worse and less for better', () => {
    const latency = (before: number, after: number) =>
      judgeCaptures(
        captureOf('before', { 'latency-p50 across-nodes': [before, before, before] }),
        captureOf('after', { 'latency-p50 across-nodes': [after, after, after] }),
      );

    expect(latency(100, 150)).toMatchObject({ verdict: 'regression', comparisons: [{ ofHost: null }] });
    expect(latency(150, 100).verdict).toBe('gain');
  });

  it('says that the machine starved when the host itself takes more than 50 ms', () => {
    const starving = captureOf('after', { 'latency-p99 host': [90_000, 95_000, 99_000] });

    const { cautions } = judgeCaptures(captureOf('before', { 'latency-p99 host': [800, 900, 1_000] }), starving);

    expect(cautions).toContainEqual(expect.stringMatching(/^the machines starved after the change: .* took 95 ms$/));
  });

  it.each([
    ['VXLAN to none', [49.9, 50, 50.2], [0, 0, 0.1], 50],
    ['VXLAN to VXLAN', [49.9, 50, 50.2], [49.8, 50.1, 50.3], 0],
    ['none to VXLAN', [0, 0, 0.1], [50, 50, 50], -50],
    ['lost in the noise of other traffic', [20, 50, 90], [0, 10, 40], 0],
  ])('counts the bytes saved in each packet: %s', (_name, before, after, saved) => {
    const { encapsulation } = judgeCaptures(captureOf('before', {}, before), captureOf('after', {}, after));

    expect(encapsulation!.savedBytes).toBe(saved);
  });
});

describe('a capture without its other half', () => {
  const measured = captureOf('now', { 'throughput across-nodes': [8_000, 8_000, 8_000] });

  it('is one sentence, and no comparison', () => {
    expect(judgeCaptures(undefined, measured)).toMatchObject({
      verdict: 'no-baseline',
      sentence: expect.stringMatching(/^there is no capture from before the change/),
      comparisons: [],
    });
    expect(judgeCaptures(measured, undefined).verdict).toBe('not-taken');
    expect(judgeCaptures(undefined, undefined).verdict).toBe('not-taken');
  });

  it('is a warning of the check, with what to do, and a regression one too; neither blocks', () => {
    const slow = captureOf('now', { 'throughput across-nodes': [4_000, 4_000, 4_000] });

    expect(captureCheck.judge({ before: null, now: measured })).toMatchObject({
      verdict: 'warn',
      remedy: expect.stringMatching(/a baseline can only be taken before the change/),
    });
    expect(captureCheck.judge({ before: measured, now: slow })).toMatchObject({ verdict: 'warn' });
    expect(captureCheck.judge({ before: slow, now: measured })).toMatchObject({ verdict: 'pass' });
  });
});

describe('what the programs print', () => {
  /** iperf 2.1.8, `-t 3 -i 1 -y C`: seconds, a rest, and the sum. */
  const printed = [
    '20261125210903,10.0.0.1,51194,10.0.0.2,5001,1,0.0-1.0,100000000,800000000',
    '20261125210904,10.0.0.1,51194,10.0.0.2,5001,1,1.0-2.0,1000000000,8000000000',
    '20261125210905,10.0.0.1,51194,10.0.0.2,5001,1,2.0-3.0,1100000000,8800000000',
    '20261125210905,10.0.0.1,51194,10.0.0.2,5001,1,3.0-4.0,131072,1039856',
    '20261125210905,10.0.0.1,51194,10.0.0.2,5001,1,0.0-4.0,2200131072,4400000000',
  ].join('\n');

  it('is throughput without ramp-up, rest and sum', () => {
    expect(parseThroughput({ stdout: printed, stderr: '' }, 2)).toBe(8_400);
  });

  it('is a sentence when iperf reached nobody, which it leaves with exit code 0', () => {
    const nobody = { stdout: '', stderr: 'tcp connect failed: Connection refused\n' };

    expect(parseThroughput(nobody, 2)).toBe('tcp connect failed: Connection refused');
    expect(parseDatagrams(nobody)).toBe('tcp connect failed: Connection refused');
  });

  it('is the number of datagrams that were really sent', () => {
    const line = '19700101000000,10.0.0.1,37005,10.0.0.2,5001,1,0.0-2.0,4003000,16007301,0.000,0,-1,-0.000,0';

    expect(parseDatagrams({ stdout: line, stderr: '' })).toBe(4_003);
  });

  it('is latency of kept connections, and the handshake of fresh ones', () => {
    const lines = (count: number, line: (at: number) => string) =>
      Array.from({ length: count }, (_, at) => line(at)).join('\n');
    const kept = lines(200, (at) => (at === 0 ? '200 1 0.000400 0.002000' : `200 0 0.000000 0.000${100 + at}`));
    const fresh = lines(100, () => '200 1 0.000250 0.000900');

    expect(parseLatency({ stdout: kept, stderr: '' })).toEqual({ p50: 200, p99: 298 });
    expect(parseConnect({ stdout: fresh, stderr: '' })).toBe(250);
    expect(parseConnect({ stdout: '200 1 0.1 0.1\n000 0 0 2.0', stderr: 'curl: (28) timed out' })).toBe(
      '1 of 100 requests were answered: curl: (28) timed out',
    );
    expect(parseLatency({ stdout: lines(200, () => '200 1 0.0001 0.0002'), stderr: '' })).toMatch(/closes each/);
  });

  it('takes percentiles by nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, at) => at + 1);

    expect([0.5, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([50, 99, 100]);
  });
});

describe('the estimate of traffic cost', () => {
  const price = { pricePerGB: 0.02, currency: 'EUR', crossZoneShare: 0.5 };
  const rates = { rxpck: 1_000, txpck: 1_000, rxkB: 1_000, txkB: 1_000 };
  const before: Capture = {
    ...captureOf('before', {}, [50, 50, 50]),
    devices: [{ node: 'worker-1', device: 'flannel.1', role: 'tunnel', quiet: rates, loaded: rates }],
  };

  it('multiplies what was counted, and shows the numbers', () => {
    const estimate = estimateCost({ ...price, gbPerMonth: 10_240 }, before, 50, 6)!;

    // 10,240 GB of packets of 1,024 bytes are 10^10 packets; 50 bytes of each are 500 GB; half of them at 0.02.
    expect(estimate.perMonth).toBeCloseTo(5, 6);
    expect(estimate.formula).toBe(
      '10,240 GB a month / 1,024 bytes a packet = 10,000 million packets; x 50 bytes saved = 500 GB; x 0.5 across zones x 0.02 EUR a GB = 5 EUR a month',
    );
  });

  it('takes the measured volume for all nodes when none is given', () => {
    const estimate = estimateCost(price, before, 50, 10)!;

    // 1,024,000 bytes a second, 2,592,000 s, 10 nodes.
    expect(estimate).toMatchObject({ volume: 'measured', gbPerMonth: 26_542.08 });
  });

  it('is none without a price, and none without a measurement', () => {
    expect(estimateCost(undefined, before, 50, 6)).toBeNull();
    expect(estimateCost(price, before, undefined, 6)).toBeNull();
  });
});
