import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GateView } from '../../src/store/views.ts';
import { install } from '../support/cutover.ts';

let it_: Awaited<ReturnType<typeof install>>;
beforeAll(async () => {
  it_ = await install('three-nodes');
});
afterAll(() => it_?.stop());

const bgpStage = `    - route: calico-vxlan-to-bgp
      bgp:
        soak: 0s
        stable: 1s
        gates: { approvals: 1 }
`;
/** Both stages, and no gate in the first: it is another test's. */
const twoStages = (yaml: string): string =>
  yaml.replace('  strategy:\n', `${bgpStage}  strategy:\n`).replace('        gate:\n          approvals: 1\n', '');

/** Approves whatever is open until the migration is in that state. */
async function approveUntil(state: 'completed' | 'rolled-back', gates: string[]): Promise<void> {
  for (const gate of gates) {
    await it_.reach('at-gate');
    const { evidence } = await it_.json<GateView>('gates', gate);
    expect(
      await it_.cutover('approve', gate, '--as', 'ben', '--evidence', `sha256:${evidence.digest}`, '--reason', 'seen'),
    ).toMatchObject({ code: 0 });
  }
  await it_.reach(state);
}

describe('both stages, from Flannel to routed packets', () => {
  it('ends in CrossSubnet with every session up and every route plain', async () => {
    await it_.launch(twoStages);
    await approveUntil('completed', ['before-cross-subnet-2', 'after-flips-2']);

    const routes = [...it_.simulation.nodes.values()].flatMap((node) =>
      node
        .state()
        .routes.filter(({ dst, type }) => dst.endsWith('/26') && type === 'unicast')
        .map(({ dev, proto }) => `${dev} ${proto}`),
    );
    expect(new Set(routes)).toEqual(new Set(['eth0 80']));
  }, 300_000);
});
