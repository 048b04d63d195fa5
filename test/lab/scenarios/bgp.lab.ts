import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GateView } from '../../../src/store/views.ts';
import { until } from '../../support/until.ts';
import { keepResult } from '../results.ts';
import { flipLine, flipLoss, windowsOf, type FlipLoss } from '../traffic/flips.ts';
import type { Recorder } from '../traffic/recorder.ts';
import { nodeNames, oneWave, startLab, type Lab } from './harness.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
}, 300_000);
afterAll(() => lab?.stop());

const stage = (bgp: string): string => `    - route: calico-vxlan-to-bgp
      bgp:
        soak: 0s
        stable: 10s
        revertAfter: 15s
        gates: { approvals: 1 }
        ${bgp}
`;
/** Behind the first stage. */
const both =
  (bgp: string) =>
  (yaml: string): string =>
    oneWave(yaml).replace('  strategy:\n', `${stage(bgp)}  strategy:\n`);
/** On the Calico that the first stage left. */
const alone =
  (bgp: string) =>
  (yaml: string): string =>
    oneWave(yaml).replace(/ {2}stages:\n[\s\S]*? {2}strategy:\n/, `  stages:\n${stage(bgp)}  strategy:\n`);

const agentPods = () =>
  lab.kubernetes.list(
    { apiVersion: 'v1', kind: 'Pod' },
    { namespace: 'kube-system', labelSelector: 'k8s-app=calico-node' },
  );
const inAgent = async (node: string, script: string): Promise<string> => {
  const pod = (await agentPods()).find(({ spec }) => spec?.nodeName === node)!;
  const { stdout, stderr } = await lab.kubernetes.exec(
    { namespace: 'kube-system', name: pod.metadata.name, container: 'calico-node' },
    ['sh', '-c', script],
  );
  return stdout + stderr;
};
const poolMode = async (): Promise<string> =>
  String(
    (await lab.kubernetes.list({ apiVersion: 'crd.projectcalico.org/v1', kind: 'IPPool' }))[0]?.['spec']?.vxlanMode,
  );
/** Protocols and devices of the routes to blocks of other nodes. */
const blockRoutes = async (): Promise<string[]> => {
  const states = await Promise.all(nodeNames.map((node) => lab.inspect(node)));
  return [
    ...new Set(
      states.flatMap(({ routes }) =>
        routes
          .filter(
            ({ dst, type }) =>
              dst.startsWith('10.244.') && dst.includes('/') && type === 'unicast' && !dst.endsWith('/32'),
          )
          .map(({ dev, proto }) => `${dev} ${proto}`),
      ),
    ),
  ].toSorted();
};

async function approve(gate: string): Promise<void> {
  await until(async () => (await lab.status()).openGate?.id === gate, `gate ${gate} opens`, 600_000);
  const seen = await until(
    async () => {
      const view = await lab.json<GateView>('gates', gate);
      return view.evidence.verdict === 'block' ? undefined : view;
    },
    `nothing blocks gate ${gate}`,
    120_000,
  );
  // The gate that opened with BGP up and before the flips has its note on the price.
  const answer = await lab.cutover(
    'approve',
    gate,
    '--as',
    'ben',
    '--evidence',
    `sha256:${seen.evidence.digest}`,
    '--reason',
    'seen',
  );
  expect(answer).toMatchObject({ code: 0 });
}

/** What each flip of the migrations so far cost, forward and back. */
async function losses(recorder: Recorder, since: number): Promise<FlipLoss[]> {
  const measured = await recorder.measured();
  return windowsOf(await lab.records(), ['bgp-up', 'cross-subnet', 'never'])
    .filter(({ from }) => from >= since)
    .map((window) => flipLoss(measured, window));
}

const keep = (scenario: string, flips: FlipLoss[]): void => {
  const notes = flips.map(flipLine);
  for (const note of notes) console.log(`${scenario}: ${note}`);
  keepResult({ scenario: `bgp: ${scenario}`, at: new Date().toISOString(), flips, notes });
};

describe('three nodes of a real cluster move from VXLAN to plain packets', () => {
  it('both stages, to Never, and back from there: BGP up costs nothing, TCP connections survive every flip', async () => {
    await lab.launch(both('encapsulation: Never'));
    await until(async () => (await lab.status()).openGate !== null, 'the second stage opens its first gate', 900_000);
    expect(await poolMode()).toBe('Always');
    const recorder = await lab.record();
    const since = Date.now();

    await approve('before-cross-subnet-2');
    await until(async () => (await lab.status()).openGate?.id === 'before-never-2', 'the gate before Never', 300_000);
    expect(await blockRoutes()).toEqual(['eth0 80']);
    const { spec } = await lab.json<GateView>('gates', 'before-never-2');
    expect(spec.note).toMatch(/blackout/);
    await approve('before-never-2');
    await until(async () => (await lab.status()).openGate?.id === 'after-flips-2', 'the gate after the flips', 300_000);
    expect(await blockRoutes()).toEqual(['eth0 bird']);

    expect(await lab.cutover('rollback', '--all', '--yes', '--reason', 'to see it')).toMatchObject({ code: 0 });
    const view = await lab.reach('rolled-back', 600_000);
    const flips = await losses(recorder, since);
    keep('to Never and back', flips);

    expect(view.message).toMatch(/stage 2-calico-vxlan-to-bgp is taken back: the cluster is on calico/);
    expect(await poolMode()).toBe('Always');
    expect(await blockRoutes()).toEqual(['vxlan.calico boot']);
    expect(flips.map(({ name }) => name)).toEqual([
      'cross-subnet forward',
      'never forward',
      'never back',
      'cross-subnet back',
      'bgp-up back',
    ]);
    expect(flips.every(({ breaks }) => breaks === 0)).toBe(true);
    await recorder.stop();
  }, 1_800_000);

  it('alone, to CrossSubnet and back from there', async () => {
    const recorder = await lab.record();
    const since = Date.now();
    await lab.launch(alone('encapsulation: CrossSubnet'));
    await approve('before-cross-subnet');
    await until(async () => (await lab.status()).openGate?.id === 'after-flips', 'the gate after the flip', 300_000);
    expect(await lab.cutover('rollback', '--all', '--yes', '--reason', 'to see it')).toMatchObject({ code: 0 });
    await lab.reach('rolled-back', 600_000);
    const flips = await losses(recorder, since);
    keep('to CrossSubnet and back', flips);

    expect(await blockRoutes()).toEqual(['vxlan.calico boot']);
    // §0a.7: brought up and taken down under VXLAN it costs nothing.
    expect(flips.find(({ name }) => name === 'bgp-up forward')).toMatchObject({ lost: 0 });
    await recorder.stop();
  }, 1_200_000);
});

describe('a BIRD that refuses its configuration', () => {
  /** As Calico's template is before the lab takes the line out that Debian's BIRD refuses. */
  const putLineBack = (node: string): Promise<string> =>
    inAgent(
      node,
      `sed -i 's/^    accept;\\(.*\\)$/    krt_tunnel = "";\\n    accept;\\1/' /etc/calico/confd/templates/bird_ipam.cfg.template; sv restart confd 2>&1 | tail -1; grep -c krt_tunnel /etc/calico/confd/templates/bird_ipam.cfg.template`,
    );

  it('is found before the flip to Never, and no packet is lost', async () => {
    const recorder = await lab.record();
    const since = Date.now();
    await lab.launch(alone('encapsulation: Never'));
    await until(async () => (await lab.status()).openGate?.id === 'before-cross-subnet', 'the first gate', 600_000);
    expect(await putLineBack('worker-2')).toMatch(/[1-9]/);
    await approve('before-cross-subnet');

    const view = await lab.reach('paused', 300_000);
    expect(view.pause?.reason).toMatch(/bird-takes-never.*worker-2/);
    expect(await poolMode()).toBe('CrossSubnet');
    const flips = await losses(recorder, since);
    keep('refused, found before the flip', flips);
    expect(flips.map(({ name }) => name)).not.toContain('never forward');

    expect(await lab.cutover('rollback', '--all', '--yes', '--reason', 'enough')).toMatchObject({ code: 0 });
    await lab.reach('rolled-back', 600_000);
    await recorder.stop();
  }, 1_200_000);

  it('that nobody saw in time costs the time until the revert, and the flip takes itself back', async () => {
    const recorder = await lab.record();
    const since = Date.now();
    await lab.launch(alone('encapsulation: Never'));
    await approve('before-cross-subnet');
    await until(async () => (await lab.status()).openGate?.id === 'before-never', 'the gate before Never', 300_000);
    expect(await putLineBack('worker-2')).toMatch(/[1-9]/);
    await approve('before-never');

    const view = await lab.reach('paused', 300_000);
    expect(view.pause?.reason).toMatch(/vxlanMode Never was taken back by itself/);
    expect(await poolMode()).toBe('CrossSubnet');
    expect(await blockRoutes()).toEqual(['eth0 80']);
    const flips = await losses(recorder, since);
    keep('refused, taken back by itself', flips);

    expect(await lab.cutover('rollback', '--all', '--yes', '--reason', 'enough')).toMatchObject({ code: 0 });
    await lab.reach('rolled-back', 600_000);
    await recorder.stop();
  }, 1_200_000);
});
