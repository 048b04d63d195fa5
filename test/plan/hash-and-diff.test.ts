import { describe, expect, it } from 'vitest';
import { bundleDigest, isManifest, readBundle } from '../../src/plan/bundle.ts';
import { compilePlan } from '../../src/plan/compile.ts';
import { describeField, describePlanDiff, diffFingerprints, diffPlans, isSamePlan } from '../../src/plan/diff.ts';
import { bareHash, canonicalJson, displayHash, hashOf } from '../../src/plan/hash.ts';
import { validatePlan } from '../../src/plan/load.ts';
import { nearest } from '../../src/plan/nearest.ts';
import { clusterFacts, nodeFacts, planOf } from './facts.ts';

describe('the canonical hash', () => {
  it('does not depend on the order of keys or on what is undefined', () => {
    expect(hashOf({ b: 1, a: { d: [1, 2], c: 'x' } })).toBe(hashOf({ a: { c: 'x', d: [1, 2], e: undefined }, b: 1 }));
  });

  it('depends on the order of lists and on every value', () => {
    expect(new Set([{ a: [1, 2] }, { a: [2, 1] }, { a: ['1', '2'] }, { a: null }, {}].map(hashOf)).size).toBe(5);
  });

  it('stays what it was: records and plans of years ago must verify', () => {
    // RFC 8785, section 3.2.3, and a digest computed by sha256sum.
    expect(
      canonicalJson({
        '\u20ac': 'Euro',
        '\r': 'CR',
        '1': 'One',
        '\u0080': 'C',
        '\u00f6': 'o',
        '\ud83d\ude00': 'Smile',
        '\ufb33': 'D',
      }),
    ).toBe('{"\\r":"CR","1":"One","\u0080":"C","\u00f6":"o","\u20ac":"Euro","\ud83d\ude00":"Smile","\ufb33":"D"}');
    expect(canonicalJson([1e21, 0.000001, 1e-7, -0, 1.0])).toBe('[1e+21,0.000001,1e-7,0,1]');
    expect(hashOf({ a: 1 })).toBe('015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862');
  });

  it('refuses what has no JSON', () => {
    expect(() => hashOf({ a: Number.NaN })).toThrow('NaN');
    expect(() => hashOf(undefined)).toThrow('without JSON');
  });

  it('is written with a prefix for people only', () => {
    expect(displayHash('ab'.repeat(32), 12)).toBe('sha256:abababababab');
    expect(bareHash(`sha256:${'AB'.repeat(32)}`)).toBe('ab'.repeat(32));
  });
});

describe('a bundle', () => {
  const files = [
    { name: 'b.yaml', content: 'kind: B\n' },
    { name: 'a/a.yaml', content: 'kind: A\n' },
  ];

  it('has a digest that depends on names and contents, not on the order of reading', () => {
    expect(bundleDigest(files)).toBe(bundleDigest(files.toReversed()));
    expect(bundleDigest([{ ...files[0]!, content: 'kind: C\n' }, files[1]!])).not.toBe(bundleDigest(files));
    expect(bundleDigest([{ ...files[0]!, name: 'c.yaml' }, files[1]!])).not.toBe(bundleDigest(files));
  });

  it.each([
    ['crds.yaml', true],
    ['deep/er/x.YML', true],
    ['list.json', true],
    ['README.md', false],
    ['.git/x.yaml', false],
    ['values.yaml.orig', false],
  ])('counts %s: %s', (name, counts) => {
    expect(isManifest(name)).toBe(counts);
  });

  it('becomes objects in the order of files and documents; lists are taken apart', () => {
    const objects = readBundle([
      { name: 'b.yaml', content: '# only a comment\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\n' },
      {
        name: 'a.yaml',
        content:
          'apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}\n',
      },
      { name: 'c.json', content: '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}' },
    ]);

    expect(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual([
      'ConfigMap/one',
      'ConfigMap/two',
      'Secret/s',
      'Pod/p',
    ]);
  });

  it.each([
    ['kind: A\nmetadata: {name: a\n---\n', /^x\.yaml:3:\d+: not valid YAML/],
    [
      'apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\nkind: Pod\nmetadata: {name: p}\n',
      /^x\.yaml:5:1: this Pod has no apiVersion$/,
    ],
    ['---\napiVersion: v1\nkind: Pod\n', /^x\.yaml:2:1: this Pod has no metadata\.name$/],
    ['just text\n', /^x\.yaml:1:1: this is not an object of Kubernetes but a plain value$/],
    ['{{ .Values.x }}\n', /^x\.yaml:1:/],
  ])('is refused with file and line: %j', (content, message) => {
    expect(() => readBundle([{ name: 'x.yaml', content }])).toThrow(message);
  });
});

it('tells drift field by field', () => {
  const planned = nodeFacts('worker-1').fingerprint;
  const found = {
    ...planned,
    kernel: '6.1.0-21-amd64',
    cniConfs: { '10-flannel.conflist': 'cd'.repeat(32), '05-cilium.conflist': 'ef'.repeat(32) },
  };

  expect(diffFingerprints(planned, structuredClone(planned))).toEqual([]);
  expect(diffFingerprints(planned, found).map(describeField)).toEqual([
    `cniConfs["05-cilium.conflist"] is new: ${'ef'.repeat(32)}`,
    `cniConfs["10-flannel.conflist"] was ${'ab'.repeat(32)}, is ${'cd'.repeat(32)}`,
    'kernel was 6.1.0-18-amd64, is 6.1.0-21-amd64',
  ]);
});

it('tells what a second plan does differently', () => {
  const facts = clusterFacts({ zones: { a: 3 } });
  const before = compilePlan(
    validatePlan(planOf({ strategy: { waves: [{ name: 'one', nodes: ['worker-1'] }] } })),
    facts,
    '/p',
  ).plan;
  const later = clusterFacts({ zones: { a: 4 } });
  later.nodes = later.nodes.filter(({ name }) => name !== 'worker-3');
  later.nodes[1]!.fingerprint.kubelet = 'v1.35.0';
  const after = compilePlan(
    validatePlan(planOf({ strategy: { maxUnavailable: 2, waves: [{ name: 'one', nodes: ['worker-2'], gate: {} }] } })),
    later,
    '/p',
  ).plan;

  expect(isSamePlan(diffPlans(before, before))).toBe(true);
  const lines = describePlanDiff(diffPlans(before, after));
  expect(lines).toEqual(
    expect.arrayContaining([
      '+ worker-4 in wave rest',
      '- worker-3 from wave rest',
      '~ worker-1 moves from wave one to rest',
      '~ worker-2 moves from wave rest to one',
      '~ worker-1: kubelet was v1.34.10, is v1.35.0',
      '~ strategy.maxUnavailable was 1, is 2',
    ]),
  );
  expect(lines.some((line) => line.includes('waves.one.gate is new'))).toBe(true);
});

it.each([
  ['maxUnavalable', 'maxUnavailable'],
  ['apporvals', 'approvals'],
  ['MAXUNAVAILABLE', 'maxUnavailable'],
  ['zzz', undefined],
])('takes %s for %s', (written, meant) => {
  expect(nearest(written, ['approvals', 'maxUnavailable', 'maxUnavailablePerZone'])).toBe(meant);
});
