import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checks, findCheck } from '../../src/checks/index.ts';
import { layers } from '../../src/checks/types.ts';
import { bgpSettings } from '../../src/plan/bgp.ts';
import { planSchema } from '../../src/plan/schema.ts';
import { routes } from '../../src/routes/index.ts';

describe('the table of checks', () => {
  it('has every id once, and finds it', () => {
    const ids = checks.map((check) => check.id);

    expect(new Set(ids).size).toBe(ids.length);
    for (const check of checks) expect(findCheck(check.id)).toBe(check);
  });

  it('has the checks that routes name, those that only gates name, and no others', () => {
    // One takes a minute, the other matters where clients are bound to pods: people put them where they want to know.
    const onlyOfGates = ['capture', 'affinity'];
    const drain = { timeoutSeconds: 600, retrySeconds: 1, deleteEmptyDirData: false, force: false };
    const strategy = {
      maxUnavailable: 1,
      maxUnavailablePerZone: 1,
      failureBudget: 1,
      onFailure: 'rollback' as const,
      nodeAttempts: 2,
      nodeSoakSeconds: 0,
    };
    const flips = { ...bgpSettings(undefined, [], 0), encapsulation: 'Never' as const };
    const nodeByNode = { ...bgpSettings(undefined, [], 0), newPool: { cidr: '10.245.0.0/16' } };
    const variants = routes.flatMap((route) => [flips, nodeByNode].map((bgp) => ({ route, bgp })));
    const named = variants.flatMap(({ route, bgp }) => {
      const { preflight, prepare, node, finalize, verifyRollback } = route.runbook({ drain, strategy, bgp });
      return [
        ...preflight,
        ...(route.gateChecks ?? []),
        ...verifyRollback,
        ...[...prepare, ...node, ...finalize].flatMap((step) => step.verify ?? []),
      ];
    });

    const ofGates = planSchema.shape.spec.shape.gates.parse({}).checks;
    expect([...new Set([...named, ...onlyOfGates, ...ofGates])].toSorted()).toEqual(
      checks.map(({ id }) => id).toSorted(),
    );
  });

  it('is the table of docs/checks.md, with the layers', () => {
    const page = readFileSync(new URL('../../docs/checks.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `([a-z-]+)` +\| ([a-z-]+) +\| (↻)?/gm)].map(([, id, layer, patient]) => ({
      id,
      layer,
      patient: patient !== undefined,
    }));

    expect(rows).toEqual(checks.map(({ id, layer, patient }) => ({ id, layer, patient: patient === true })));
  });

  it('is in layer order', () => {
    const places = checks.map((check) => layers.indexOf(check.layer));

    expect(places).toEqual([...places].sort((a, b) => a - b));
  });
});
