import { describe, expect, it } from 'vitest';
import { podMtu } from '../../src/checks/pod-network/pod-mtu.ts';

const judge = (mtu: number, underlay: number) =>
  podMtu.judge({ node: 'worker-1', pod: 'cutover-probe-x', mtu, underlay });

describe('pod-mtu', () => {
  it('passes when the pod has what its node has, jumbo or not', () => {
    expect([judge(1500, 1500), judge(9000, 9000)].map(({ verdict }) => verdict)).toEqual(['pass', 'pass']);
  });

  it('blocks a pod that was made before, and says where a pod gets its MTU from', () => {
    expect(judge(1450, 1500)).toMatchObject({
      verdict: 'block',
      message: 'cutover-probe-x has an MTU of 1450 bytes, the network of worker-1 one of 1500',
      remedy: expect.stringContaining('/var/lib/calico/mtu'),
    });
  });

  it('blocks a pod whose packets do not fit, and what it cannot read', () => {
    expect(judge(1500, 1450).remedy).toMatch(/lose full-size packets/);
    expect(judge(0, 1500).verdict).toBe('block');
    expect(judge(1500, 0).message).toMatch(/no link of worker-1 has its InternalIP/);
  });
});
