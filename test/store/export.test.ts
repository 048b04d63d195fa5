import { describe, expect, it } from 'vitest';
import { chained, genesis } from '../../src/store/chain.ts';
import { exportRecords, verifyExport } from '../../src/store/export.ts';
import type { AuditRecord } from '../../src/store/types.ts';
import { input } from './fixture.ts';

const chain: AuditRecord[] = [];
for (let number = 1; number <= 9; number++)
  chain.push(
    chained(
      input(number, number === 3 ? { message: '=cmd|" /C calc"!A0,\nsecond line', reason: 'said "no"' } : {}),
      chain.at(-1) ?? genesis,
    ),
  );
const head = { seq: 9, hash: chain[8]!.hash };
const exportedAt = '2026-01-02T00:00:00.000Z';
const whole = exportRecords(chain, { format: 'ndjson', head, exportedAt });
const someOf = (records: AuditRecord[], format: 'ndjson' | 'csv' = 'ndjson') =>
  exportRecords(records, { format, head, exportedAt, filter: { node: 'worker-1' } });
const one = chain.filter(({ node }) => node === 'worker-1');

it('begins with a header that says what it holds and where the record ended', () => {
  expect(JSON.parse(whole.split('\n')[0]!)).toMatchObject({
    cutover: 'audit-export',
    version: 1,
    format: 'ndjson',
    exportedAt,
    filter: {},
    records: 9,
    head,
  });
  expect(
    whole
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => JSON.parse(line) as AuditRecord),
  ).toEqual(chain);
});

it('verifies as it was made: everything, a part of it, nothing, and CSV', () => {
  for (const text of [
    whole,
    someOf(one),
    someOf([]),
    someOf(one, 'csv'),
    exportRecords([], { format: 'ndjson', head: genesis, exportedAt }),
  ])
    expect(verifyExport(text).problems).toEqual([]);
  expect(verifyExport(whole, { expectedHead: head.hash })).toMatchObject({ ok: true, records: 9, head });
});

const withoutDigest = (lines: string[]): string => {
  // What a forger does: changes the lines, then makes the header of the new file with this very program.
  const records = lines.map((line) => JSON.parse(line) as AuditRecord);
  return exportRecords(records, { format: 'ndjson', head, exportedAt });
};
const lines = whole.trimEnd().split('\n').slice(1);

describe('finds', () => {
  it.each<[string, string, RegExp]>([
    ['a changed line', whole.replace('"moved":5', '"moved":6'), /do not give its digest/],
    ['a line that was taken out', whole.split('\n').toSpliced(4, 1).join('\n'), /do not give its digest/],
    [
      'a changed line with the digest made right',
      withoutDigest(lines.map((line) => line.replace('"moved":5', '"moved":6'))),
      /^record 5 .* was changed after it was written/,
    ],
    [
      'a line taken out with the digest made right',
      withoutDigest(lines.toSpliced(4, 1)),
      /^record 5 is missing before record 6/,
    ],
    [
      'a lost end with the digest made right',
      withoutDigest(lines.slice(0, 6)),
      /^records 7 to 9 are missing at the end/,
    ],
    [
      'two lines in each other’s place',
      withoutDigest([lines[1]!, lines[0]!, ...lines.slice(2)]),
      /missing before record 2|the order was changed/,
    ],
    [
      'a changed record in a part',
      someOf(one.map((record) => ({ ...record, actor: 'nobody' }))),
      /^record 3 was changed/,
    ],
    ['another order in a part', someOf(one.toReversed()), /the order was changed/],
    ['a lost line end', whole.trimEnd(), /do not give its digest/],
    ['a changed cell of CSV', someOf(one, 'csv').replace('evict', 'purge'), /do not give its digest/],
    [
      'a header that counts wrongly',
      whole.replace('"records":9', '"records":8'),
      /the file has 9 records, its header says 8/,
    ],
  ])('%s', (_what, text, sentence) => {
    const { ok, problems } = verifyExport(text);

    expect(ok).toBe(false);
    expect(
      problems.some((problem) => sentence.test(problem)),
      problems.join('\n'),
    ).toBe(true);
  });

  it('an export of another record, when it is told which one it should be', () => {
    const forged: AuditRecord[] = [];
    for (let number = 1; number <= 9; number++)
      forged.push(chained(input(number, { actor: 'somebody else' }), forged.at(-1) ?? genesis));
    const text = exportRecords(forged, { format: 'ndjson', head: forged[8]!, exportedAt });

    expect(verifyExport(text).ok).toBe(true);
    expect(verifyExport(text, { expectedHead: head.hash }).problems).toEqual([
      expect.stringContaining('the export ends at'),
    ]);
  });
});

it('refuses a file that is no export', () => {
  for (const text of ['', 'hello', '{}', '{"cutover":"audit-export"}'])
    expect(() => verifyExport(text)).toThrow(expect.objectContaining({ type: 'RecordBroken' }));
});

it('writes CSV that spreadsheets read and do not run', () => {
  const text = exportRecords(chain, { format: 'csv', head, exportedAt });

  expect(text.startsWith('# {"cutover":"audit-export"')).toBe(true);
  expect(text.split('\n')[1]).toMatch(/^seq,at,kind,actor,migration,stage,wave,node,step/);
  expect(text).toContain(`"'=cmd|"" /C calc""!A0,\nsecond line","said ""no"""`);
  expect(verifyExport(text)).toMatchObject({ ok: true, records: 9 });
});
