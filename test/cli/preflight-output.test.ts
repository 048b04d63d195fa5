import { describe, expect, it } from 'vitest';
import type { CheckResult } from '../../src/checks/types.ts';
import { junit } from '../../src/cli/render/junit.ts';
import { preflightLines } from '../../src/cli/render/preflight-lines.ts';
import { plain } from '../../src/cli/style.ts';

const base = { title: 'It holds', evidence: null };
const checks: CheckResult[] = [
  {
    ...base,
    id: 'node-tools',
    layer: 'node',
    verdict: 'block',
    message: 'ip is missing on "a" & <b>\u0007',
    remedy: "install 'ip'",
  },
  { ...base, id: 'nodes-ready', layer: 'cluster', verdict: 'pass', message: 'all 3 are' },
  {
    ...base,
    id: 'versions',
    layer: 'cluster',
    verdict: 'warn',
    message: 'Calico 3.28 is old',
    remedy: 'take 3.29',
    acknowledged: 'tried',
  },
  { ...base, id: 'enough-nodes', layer: 'cluster', verdict: 'warn', message: 'only 2', remedy: 'add one' },
];

describe('preflight for people', () => {
  it('is grouped by layer, lowest first, one sentence and a remedy each, and says why something was acknowledged', () => {
    expect(preflightLines(checks, plain)).toEqual([
      'cluster  1 pass, 1 acknowledged, 1 warn, 0 block',
      '  ! warn  enough-nodes: only 2',
      '      what to do: add one',
      '  ✔ acknowledged  versions: Calico 3.28 is old',
      '      acknowledged: tried',
      'node  0 pass, 0 warn, 1 block',
      '  ✖ block  node-tools: ip is missing on "a" & <b>\u0007',
      "      what to do: install 'ip'",
    ]);
    expect(preflightLines(checks, plain, true)).toContain('  ✔ pass  nodes-ready: all 3 are');
  });
});

describe('preflight as JUnit XML', () => {
  const xml = junit('cutover preflight', checks, '2026-01-01T00:00:00.000Z');

  it('has a suite for each layer and a case for each check, and counts what would stop a launch as failures', () => {
    expect(xml).toContain('<testsuites name="cutover preflight" tests="4" failures="2" skipped="1">');
    expect(xml.match(/<testsuite name="[a-z-]+"[^>]*>/g)).toEqual([
      '<testsuite name="cluster" tests="3" failures="1" skipped="1" errors="0" timestamp="2026-01-01T00:00:00.000Z">',
      '<testsuite name="node" tests="1" failures="1" skipped="0" errors="0" timestamp="2026-01-01T00:00:00.000Z">',
    ]);
    expect(xml.match(/<testcase /g)).toHaveLength(4);
    expect(xml).toContain('<skipped message="Calico 3.28 is old (acknowledged: tried)"/>');
  });

  it('escapes what XML reserves, and replaces what it cannot carry', () => {
    expect(xml).toContain(
      'message="ip is missing on &quot;a&quot; &amp; &lt;b&gt;\ufffd">install &apos;ip&apos;</failure>',
    );
  });
});
