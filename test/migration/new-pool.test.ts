import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadScenario } from '../../src/simulator/scenario/load.ts';
import type { KubernetesObject } from '../../src/simulator/types.ts';
import { approveGate, install, nodesOf, oneWave, openGate } from '../support/cutover.ts';
import { newPool, onlyNewPool, thenNewPool } from '../support/new-pool-plan.ts';

let it_: Awaited<ReturnType<typeof install>>;
beforeAll(async () => {
  it_ = await install(loadScenario('three-nodes'));
});
afterAll(() => it_?.stop());

const list = (plural: string): KubernetesObject[] => it_.simulation.store.list(plural);
const pools = () =>
  Object.fromEntries(
    list('ippools.crd.projectcalico.org').map(({ metadata, spec }) => [
      metadata.name,
      [spec.vxlanMode, spec.nodeSelector ?? '', spec.disabled === true ? 'disabled' : ''].filter(Boolean).join(' '),
    ]),
  );
const marked = (): string[] =>
  list('nodes')
    .filter(({ metadata }) => metadata.labels?.['cutover.dev/pod-pool'] !== undefined)
    .map(({ metadata }) => metadata.name);
/** Addresses of the pods of a node that have its network, by their first two bytes. */
const ranges = (node?: string): string[] => [
  ...new Set(
    list('pods')
      .filter(({ spec, status }) => spec.hostNetwork !== true && status?.podIP && (!node || spec.nodeName === node))
      .map(({ status }) => String(status.podIP).split('.').slice(0, 2).join('.')),
  ),
];

describe('node by node, with a new pool', () => {
  it('moves the canary alone; both pools reach each other, and nobody who stayed lost a packet', async () => {
    await it_.launch(thenNewPool);
    await approveGate(it_, 'after-canary-1');
    const { spec } = await openGate(it_, 'before-new-pool-2');
    expect(spec.note).toMatch(/new addresses, node by node/);
    const before = it_.simulation.traffic().bystanders;
    await approveGate(it_, 'before-new-pool-2');

    const { evidence } = await openGate(it_, 'after-canary-2');

    const [canary] = marked();
    expect(marked()).toHaveLength(1);
    expect(ranges(canary)).toEqual(['10.245']);
    expect(evidence.bundle?.rollback).toMatchObject({ nodes: 1 });
    expect(evidence.checks.find(({ id }) => id === 'cluster-matrix')?.verdict).toBe('pass');
    expect(it_.simulation.traffic().bystanders.lost).toBe(before.lost);
  }, 420_000);

  it('leaves pools, labels and addresses as they were found after `rollback --all`', async () => {
    expect(await it_.cutover('rollback', '--all', '--yes', '--reason', 'not today')).toMatchObject({ code: 0 });
    await it_.reach('rolled-back');

    expect(pools()).toEqual({ 'default-ipv4-ippool': 'Always all()' });
    expect(marked()).toEqual([]);
    expect(ranges()).toEqual(['10.244']);
    expect(list('ipamblocks.crd.projectcalico.org').filter(({ spec }) => spec.cidr.startsWith('10.245.'))).toEqual([]);
    expect(JSON.stringify(list('ippools.crd.projectcalico.org'))).not.toContain('cutover.dev/found');
  }, 240_000);

  it('ends with every pod in the new pool, and the old one disabled', async () => {
    await it_.launch((yaml) => onlyNewPool(oneWave(yaml)));
    await approveGate(it_, 'before-new-pool');
    const view = await it_.reach('completed');

    expect(nodesOf(view).map(({ state }) => state)).toEqual(nodesOf(view).map(() => 'migrated'));
    expect(pools()).toEqual({ 'default-ipv4-ippool': 'Always all() disabled', 'new-ipv4-ippool': 'CrossSubnet all()' });
    expect(marked()).toEqual([]);
    expect(ranges()).toEqual(['10.245']);
    expect(await it_.cutover('audit', 'verify')).toMatchObject({ code: 0 });
  }, 420_000);

  it('is refused for a range that is taken, and changes nothing', async () => {
    const { code, stderr } = await it_.cutover(
      'plan',
      '-f',
      it_.planFile((yaml) => onlyNewPool(yaml).replace(newPool, '10.244.0.0/17')),
    );

    expect(code).not.toBe(0);
    expect(stderr).toMatch(/10\.244\.0\.0\/17 is not free/);
  });
});
