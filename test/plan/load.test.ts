import { describe, expect, it } from 'vitest';
import { CutoverError } from '../../src/errors.ts';
import { loadPlan, validatePlan } from '../../src/plan/load.ts';
import type { PlacedProblem } from '../../src/plan/load.ts';
import { seconds } from '../../src/plan/schema.ts';
import { planOf } from './facts.ts';

const good = `apiVersion: cutover.dev/v1alpha1
kind: MigrationPlan
metadata:
  name: move
spec:
  stages:
    - route: flannel-to-calico
      with:
        manifests: { path: ./calico, sha256: ${'ab'.repeat(32)} }
  strategy:
    waves:
      - name: canary
        nodes: 1
        gate: { approvals: 1 }
      - name: rest
        nodes: rest
    maxUnavailable: 2
  drain:
    timeout: 5m
`;

function refusal(text: string, checks?: readonly string[]): CutoverError {
  try {
    loadPlan(text, { file: 'plans/x.yaml', ...(checks ? { checks } : {}) });
  } catch (error) {
    if (error instanceof CutoverError) return error;
    throw error;
  }
  throw new Error('the plan was accepted');
}

it('fills in safe defaults for everything that is not written', () => {
  const plan = loadPlan(good, { file: 'x.yaml' });

  expect(plan.spec.strategy).toMatchObject({
    onFailure: 'rollback',
    nodeAttempts: 2,
    failureBudget: 2,
    spreadBy: 'topology.kubernetes.io/zone',
  });
  expect(plan.spec.gates).toMatchObject({ approvals: 1, requesterMayApprove: false, onTimeout: 'hold' });
  expect(plan.spec.drain).toEqual({ timeout: '5m', retry: '1s', deleteEmptyDirData: false, force: false });
});

it('accepts its own output again, so that a validated plan can be sent as JSON', () => {
  const plan = loadPlan(good, { file: 'x.yaml' });

  expect(validatePlan(JSON.parse(JSON.stringify(plan)))).toEqual(plan);
});

describe('says where, what and what to do', () => {
  it.each([
    [
      'a number that is too small',
      'maxUnavailable: 2',
      'maxUnavailable: 0',
      '17:21',
      'spec.strategy.maxUnavailable must be at least 1, got 0',
    ],
    [
      'a fraction of a node',
      'maxUnavailable: 2',
      'maxUnavailable: 1.5',
      '17:21',
      'spec.strategy.maxUnavailable must be a whole number of at least 1, or a percentage from "1%" to "100%", got 1.5',
    ],
    [
      'a word for a number',
      'maxUnavailable: 2',
      'maxUnavailable: two',
      '17:21',
      'spec.strategy.maxUnavailable must be a whole number of at least 1, or a percentage from "1%" to "100%", got "two"',
    ],
    [
      'a percentage above all',
      'nodes: 1',
      'nodes: 250%',
      '13:16',
      'spec.strategy.waves[0].nodes must be a number (1), a percentage ("25%"), "rest", a list of node names, or {matchLabels: {…}}, got "250%"',
    ],
    [
      'a typing error in a field',
      'maxUnavailable',
      'maxUnavalable',
      '17:5',
      'spec.strategy.maxUnavalable is not a field; did you mean maxUnavailable?',
    ],
    [
      'two letters swapped',
      'approvals',
      'approvlas',
      '14:17',
      'spec.strategy.waves[0].gate.approvlas is not a field; did you mean approvals?',
    ],
    [
      'a field inside a choice',
      'nodes: 1',
      'nodes: { matchLabel: { a: b } }',
      '13:18',
      'spec.strategy.waves[0].nodes.matchLabel is not a field; did you mean matchLabels?',
    ],
    [
      'a field in the wrong place',
      'drain:\n',
      'failureBudget: 1\n  drain:\n',
      '18:3',
      'spec.failureBudget is not a field; it belongs in spec.strategy',
    ],
    [
      'a duration without a unit',
      'timeout: 5m',
      'timeout: 5',
      '19:14',
      'spec.drain.timeout must be a duration such as "90s", "5m" or "1h30m", got 5',
    ],
    [
      'an endless retry',
      'timeout: 5m',
      'timeout: 0s',
      '19:14',
      'spec.drain.timeout must be longer than 0s; write at least 1s',
    ],
    [
      'an empty value',
      'timeout: 5m',
      'timeout:',
      '19:5',
      'spec.drain.timeout must be a duration such as "90s", "5m" or "1h30m", got nothing',
    ],
    [
      'another kind of file',
      'kind: MigrationPlan',
      'kind: Deployment',
      '2:7',
      'kind must be MigrationPlan, got "Deployment"',
    ],
    [
      'a name that Kubernetes would refuse',
      'name: move',
      'name: Move it',
      '4:9',
      'metadata.name must be lower-case letters, digits and "-", at most 63, got "Move it"',
    ],
    [
      'a digest that is none',
      'ab'.repeat(32),
      'abc',
      '9:46',
      'spec.stages[0].with.manifests.sha256 must be a SHA-256: 64 hex digits, got "abc"',
    ],
    [
      'a bundle that is missing',
      'manifests:',
      'manifest:',
      '9:9',
      'spec.stages[0].with lacks the bundle manifests that flannel-to-calico needs; add manifests: {path: …, sha256: …}',
    ],
    [
      'two waves of one name',
      'name: rest',
      'name: canary',
      '15:15',
      'two waves are called canary; give each wave a name of its own',
    ],
    [
      'a reserved name',
      'name: rest',
      'name: control-plane',
      '15:15',
      'no wave of a plan may be called control-plane; control-plane nodes go last by themselves, in waves of that name; remove this one or rename it',
    ],
    [
      'a wave after the rest',
      'nodes: 1',
      'nodes: rest',
      '16:16',
      'wave rest can never have a node, because wave canary before it takes all the rest; change the order of the waves or remove one',
    ],
    [
      'more approvals than approvers',
      '{ approvals: 1 }',
      '{ approvals: 2, approvers: [ana] }',
      '14:15',
      'spec.strategy.waves[0].gate asks for 2 approvals but names only 1 approver; name more approvers or ask for fewer approvals',
    ],
    [
      'a field that is missing',
      '  name: move',
      '  {}',
      '4:3',
      'metadata.name is missing (name of the plan; runs are named after it)',
    ],
    ['a key twice', 'timeout: 5m', 'timeout: 5m\n    timeout: 6m', '20:5', 'not valid YAML: map keys must be unique'],
    ['broken YAML', '{ approvals: 1 }', '{ approvals: 1', '15:7', 'not valid YAML'],
  ])('%s', (_what, from, to, place, sentence) => {
    const text = good.replace(from, to);
    expect(text).not.toBe(good);

    const { type, message } = refusal(text);

    expect(type).toBe('PlanInvalid');
    expect(message.split('\n')[0]).toContain(`plans/x.yaml:${place}: ${sentence}`);
  });
});

it('calls an unknown route by its own error and names the nearest one', () => {
  const { type, message } = refusal(good.replace('flannel-to-calico', 'flanel-to-calico'));

  expect(type).toBe('RouteUnknown');
  expect(message).toBe('plans/x.yaml:7:14: no route is called flanel-to-calico; did you mean flannel-to-calico?');
});

it('lists every problem at once, in the order of the file', () => {
  const { message, details } = refusal(
    good
      .replace('maxUnavailable: 2', 'maxUnavailable: 0')
      .replace('kind: MigrationPlan', 'kind: Plan')
      .replace('5m', 'soon'),
  );

  expect(message.split('\n').map((line) => line.split(': ')[0])).toEqual([
    'plans/x.yaml:2:7',
    'plans/x.yaml:17:21',
    'plans/x.yaml:19:14',
  ]);
  expect((details as { problems: PlacedProblem[] }).problems.map(({ path }) => path)).toEqual([
    'kind',
    'spec.strategy.maxUnavailable',
    'spec.drain.timeout',
  ]);
});

it('refuses a check that does not exist, when it is told which do', () => {
  const { message } = refusal(good.replace('{ approvals: 1 }', '{ checks: [cluster-matrx] }'), [
    'cluster-matrix',
    'blocked-workloads',
    'continuity',
    'nodes-ready',
  ]);

  expect(message).toBe('plans/x.yaml:14:26: no check is called cluster-matrx; did you mean cluster-matrix?');
});

describe('acknowledgements', () => {
  const checks = ['policy-hazards', 'enough-nodes', 'nodes-ready', 'blocked-workloads', 'cluster-matrix', 'continuity'];
  const acknowledging = (entries: string): string => good.replace('  drain:', `  acknowledge: ${entries}\n  drain:`);

  it('names a check, or a part of one, with a reason', () => {
    const written = acknowledging('[{ id: enough-nodes, reason: small }, { id: policy-hazards/shop, reason: seen }]');

    expect(loadPlan(written, { file: 'x.yaml', checks }).spec.acknowledge).toEqual([
      { id: 'enough-nodes', reason: 'small' },
      { id: 'policy-hazards/shop', reason: 'seen' },
    ]);
  });

  it.each([
    [
      '[{ id: enough-node, reason: x }]',
      'no check is called enough-node, so it cannot be acknowledged; did you mean enough-nodes?',
    ],
    [
      '[{ id: policy-hazard/web, reason: x }]',
      'no check is called policy-hazard/web, so it cannot be acknowledged; did you mean policy-hazards/web?',
    ],
    [
      '[{ id: enough-nodes/, reason: x }]',
      'no check is called enough-nodes/, so it cannot be acknowledged; did you mean enough-nodes?',
    ],
    [
      '[{ id: everything, reason: x }]',
      'no check is called everything, so it cannot be acknowledged; write an id that `cutover preflight` shows',
    ],
    [
      '[{ id: enough-nodes, reason: a }, { id: enough-nodes, reason: b }]',
      'enough-nodes is acknowledged twice; keep one of them',
    ],
    [
      '[{ id: enough-nodes, reason: "  " }]',
      'spec.acknowledge[0].reason must say why this is no reason to stop, got "  "',
    ],
    ['[{ id: enough-nodes }]', 'spec.acknowledge[0].reason is missing'],
  ])('%s is refused in one sentence', (entries, sentence) => {
    const { message } = refusal(acknowledging(entries), checks);

    expect(message.split('\n')).toHaveLength(1);
    expect(message).toContain(sentence);
  });
});

it('refuses an empty file, a list, and a bomb of aliases in one sentence each', () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
    .split('')
    .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[index]}`).join(',')}]`)
    .join('\n')}\n`;

  expect(refusal('').message).toContain('the file is empty');
  expect(refusal('- 1').message).toContain('the file must be a map of fields');
  expect(refusal(bomb).message).toContain('not valid YAML');
});

it('says the same about JSON, without lines', () => {
  expect(() => validatePlan(planOf({ drain: { timout: '5m' } }))).toThrow(
    /^spec\.drain\.timout is not a field; did you mean timeout\?$/,
  );
});

it.each([
  ['90s', 90],
  ['5m', 300],
  ['1h', 3600],
  ['1h30m', 5400],
  ['2m5s', 125],
  ['0s', 0],
])('reads the duration %s as %d seconds', (written, expected) => {
  expect(seconds(written)).toBe(expected);
});
