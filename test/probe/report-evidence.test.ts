import { expect, it } from 'vitest';
import type { CheckResult } from '../../src/checks/types.ts';
import type { Json } from '../../src/json.ts';
import { bystandersOf } from '../../src/report/evidence.ts';
import type { AuditRecord } from '../../src/store/types.ts';

const record = (id: string, evidence: unknown): AuditRecord =>
  ({ checks: [{ id, evidence: evidence as Json } as CheckResult] }) as AuditRecord;
const path = (lost: number) => ({
  service: 'udp',
  fromZone: 'a',
  toZone: 'b',
  lost,
  unreachableSeconds: lost,
  brokenConnections: 1,
});
const seen = (since: string, lost: number, moved: number) =>
  record('continuity', { since, rows: [path(lost), '… and 3 more'], moving: { lost: moved } });

it('adds up what bystanders lost between gates, and takes the last count of those that began at one moment', () => {
  const found = bystandersOf([seen('T1', 2, 5), seen('T1', 3, 6), seen('T2', 4, 1)]);

  expect(found).toMatchObject({ lost: 7, secondsUnreachable: 7, brokenConnections: 2, movingLost: 7 });
  expect(found?.rows).toEqual([
    { service: 'udp', from: 'a', to: 'b', lost: 7, secondsUnreachable: 7, brokenConnections: 2 },
  ]);
});

it('says nothing when the continuous probe was not asked, or could not be', () => {
  expect(bystandersOf([record('dns', { since: 'T1', rows: [], moving: { lost: 1 } })])).toBeNull();
  expect(bystandersOf([record('continuity', { error: 'no answer within 300 s' })])).toBeNull();
});
