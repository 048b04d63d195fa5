import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../src/plan/compile.ts';
import type { ClusterFacts } from '../../src/plan/facts.ts';
import { validatePlan } from '../../src/plan/load.ts';
import { projectMigration } from '../../src/store/projections.ts';
import { clusterFacts, planOf } from './facts.ts';

const compile = (spec: object, facts: ClusterFacts) =>
  compilePlan(validatePlan(planOf(spec)), facts, '/plans', '/home/ana');
const waves = (...list: object[]): object => ({ strategy: { waves: list } });
const canaryAndRest = waves({ name: 'canary', nodes: 1, gate: { approvals: 1 } }, { name: 'rest', nodes: 'rest' });

/** Six workers and the control planes; these are on Calico since the migration test-1 was aborted. */
function mixed(adopted: string[], shape: Parameters<typeof clusterFacts>[0] = {}): ClusterFacts {
  const facts = clusterFacts(shape);
  facts.aborted = ['test-1'];
  for (const node of facts.nodes) node.adopted = adopted.includes(node.name);
  return facts;
}
const outline = ({ plan }: ReturnType<typeof compile>): [string, string[]][] =>
  plan.stages[0]!.waves.map(({ id, nodes }) => [id, nodes.map(({ name }) => name)]);

describe('a plan for a cluster that an aborted migration left mixed', () => {
  it('has the adopted nodes in a wave of their own, and a new canary before the rest', () => {
    const compiled = compile(canaryAndRest, mixed(['worker-1', 'worker-2', 'worker-3']));

    expect(outline(compiled).map(([id, nodes]) => [id, nodes.length])).toEqual([
      ['adopted', 3],
      ['canary', 1],
      ['rest', 2],
      ['control-plane', 1],
    ]);
    expect(compiled.plan.adopts).toEqual(['test-1']);
    const [first, ...others] = compiled.plan.stages[0]!.waves;
    expect(first!.nodes.every(({ adopted }) => adopted)).toBe(true);
    expect(others.some(({ nodes }) => nodes.some(({ adopted }) => adopted))).toBe(false);
    expect(compiled.warnings).toContain(
      '3 of 7 nodes already run calico (worker-1, worker-2, worker-3): they are adopted, not migrated again',
    );
    expect(compiled.warnings.join()).not.toContain('added as wave');
  });

  it('leaves out waves that were meant for adopted nodes alone', () => {
    const spec = waves(
      { name: 'canary', nodes: ['worker-1'], gate: {} },
      { name: 'next', nodes: ['worker-1', 'worker-2'] },
    );

    const compiled = compile(spec, mixed(['worker-1']));

    expect(
      outline(compiled)
        .slice(0, 3)
        .map(([id]) => id),
    ).toEqual(['adopted', 'next', 'rest']);
    expect(outline(compiled)[1]).toEqual(['next', ['worker-2']]);
    expect(compiled.warnings).toContain(
      'wave canary is left out because no worker is left for it; its gate goes with it',
    );
  });

  it('keeps control planes apart, also when every worker was adopted', () => {
    const workers = Array.from({ length: 6 }, (_, index) => `worker-${index + 1}`);

    const compiled = compile(canaryAndRest, mixed([...workers, 'control-1'], { controlPlanes: 3 }));

    expect(outline(compiled).map(([id, nodes]) => [id, nodes.length])).toEqual([
      ['adopted', 6],
      ['adopted-control-plane', 1],
      ['control-plane-1', 1],
      ['control-plane-2', 1],
    ]);
  });

  it('is possible when every node was adopted: only the end is left to do', () => {
    const all = mixed(clusterFacts().nodes.map(({ name }) => name));

    const compiled = compile(canaryAndRest, all);

    expect(outline(compiled).map(([id]) => id)).toEqual(['adopted', 'adopted-control-plane']);
    expect(compiled.plan.estimate.perNodeSeconds).toBe(0);
  });

  it('refuses to leave an adopted node out, and says that it is not migrated again', () => {
    expect(() => compile({ exclude: { names: ['worker-1'] } }, mixed(['worker-1']))).toThrow(
      'spec.exclude leaves out worker-1, which an earlier migration brought to the new network already',
    );
  });

  it('names a node that was left half way', () => {
    const facts = mixed([]);
    facts.nodes.find(({ name }) => name === 'worker-2')!.halfWay = 'its dead-man switch is armed';

    expect(compile(canaryAndRest, facts).warnings).toContain(
      'worker-2 was left half way by an earlier migration (its dead-man switch is armed): preflight blocks until it is whole',
    );
  });

  it('shows adopted nodes as migrated from the start', () => {
    const { plan } = compile(canaryAndRest, mixed(['worker-1']));

    const { counts, stages, remaining } = projectMigration([], plan);

    expect(counts).toMatchObject({ migrated: 1, pending: 6 });
    expect(stages[0]!.waves[0]).toMatchObject({ id: 'adopted', state: 'done', nodes: [{ state: 'migrated' }] });
    expect(remaining.workSeconds).toBe(plan.estimate.workSeconds);
  });
});
