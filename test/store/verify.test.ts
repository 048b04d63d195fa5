import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/plan/hash.ts';
import { chained, genesis, verifyChain } from '../../src/store/chain.ts';
import type { AuditRecord } from '../../src/store/types.ts';
import { freshPath, input, open, tamper, written } from './fixture.ts';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

type Row = { seq: number; body: string; hash: string };
const rows = (database: DatabaseSync): Row[] =>
  database.prepare('SELECT seq, body, hash FROM records ORDER BY seq').all() as unknown as Row[];

function edit(database: DatabaseSync, seq: number, change: (record: AuditRecord) => void): AuditRecord {
  const row = rows(database).find((candidate) => candidate.seq === seq)!;
  const record = { ...(JSON.parse(row.body) as AuditRecord), hash: row.hash };
  change(record);
  const { hash, ...body } = record;
  database.prepare('UPDATE records SET body = ?, hash = ? WHERE seq = ?').run(canonicalJson(body), hash, seq);
  return record;
}

/** The cleverest change: everything after it is written anew, so that the chain is whole again. */
function rewriteFrom(database: DatabaseSync, seq: number, change: (record: AuditRecord) => void): void {
  let head = { seq: seq - 1, hash: seq === 1 ? genesis.hash : rows(database)[seq - 2]!.hash };
  for (const row of rows(database).filter((candidate) => candidate.seq >= seq)) {
    const record = JSON.parse(row.body) as AuditRecord;
    if (row.seq === seq) change(record);
    const { seq: _seq, prev: _prev, ...rest } = record;
    const next = chained(rest, head);
    const { hash, ...body } = next;
    database.prepare('UPDATE records SET body = ?, hash = ? WHERE seq = ?').run(canonicalJson(body), hash, row.seq);
    head = next;
  }
}

const mutations: [string, (path: string) => void, RegExp][] = [
  [
    'an edited record',
    (path) => tamper(path, (db) => edit(db, 5, (record) => (record.outcome = 'failed'))),
    /^record 5 \(step\.ended, worker-3\) was changed after it was written/,
  ],
  [
    'an edited reason',
    (path) => tamper(path, (db) => edit(db, 12, (record) => (record.reason = 'never said'))),
    /^record 12 .* was changed/,
  ],
  [
    'an edited record with its hash made right',
    (path) => tamper(path, (db) => rewriteOne(db, 5)),
    /^record 6 .* does not follow the record before it/,
  ],
  [
    'a whole chain written anew',
    (path) => tamper(path, (db) => rewriteFrom(db, 5, (record) => (record.actor = 'somebody else'))),
    /^record 12 is not the one that was written/,
  ],
  [
    'the last record edited with its hash',
    (path) => tamper(path, (db) => rewriteFrom(db, 12, (record) => (record.message = 'x'))),
    /^record 12 is not the one that was written/,
  ],
  [
    'a deleted record',
    (path) => tamper(path, (db) => db.exec('DELETE FROM records WHERE seq = 7')),
    /^record 7 is missing before record 8/,
  ],
  [
    'several deleted records',
    (path) => tamper(path, (db) => db.exec('DELETE FROM records WHERE seq BETWEEN 3 AND 5')),
    /^records 3 to 5 are missing before record 6/,
  ],
  [
    'a deletion with the rest renumbered',
    (path) =>
      tamper(path, (db) =>
        db.exec('DELETE FROM records WHERE seq = 7; UPDATE records SET seq = seq - 1 WHERE seq > 7'),
      ),
    /^record 7 is missing before record 8/,
  ],
  [
    'a lost beginning',
    (path) => tamper(path, (db) => db.exec('DELETE FROM records WHERE seq < 4')),
    /^records 1 to 3 are missing before record 4/,
  ],
  [
    'a lost end',
    (path) => tamper(path, (db) => db.exec('DELETE FROM records WHERE seq > 9')),
    /^records 10 to 12 are missing at the end: 12 were written/,
  ],
  [
    'the last record lost',
    (path) => tamper(path, (db) => db.exec('DELETE FROM records WHERE seq = 12')),
    /^record 12 is missing at the end/,
  ],
  [
    'everything lost',
    (path) => tamper(path, (db) => db.exec('DELETE FROM records')),
    /^records 1 to 12 are missing at the end/,
  ],
  [
    'two records in each other’s place',
    (path) => tamper(path, swap),
    /^record 4 .* stands after record 8: the order was changed|missing before record 8/,
  ],
  [
    'an edited column that filters use',
    (path) => tamper(path, (db) => db.exec("UPDATE records SET node = 'worker-9' WHERE seq = 2")),
    /record 2 is filed under node worker-9, but says worker-3/,
  ],
  [
    'a record that is no JSON any more',
    (path) => tamper(path, (db) => db.exec("UPDATE records SET body = '{' WHERE seq = 2")),
    /record 2 was changed after it was written: it cannot be read|record 2 is missing/,
  ],
  ['another database in its place', (path) => replaceBy(path, 12), /^record 12 is not the one that was written/],
  ['a longer database in its place', (path) => replaceBy(path, 20), /^record 12 is not the one that was written/],
  ['an older copy in its place', (path) => replaceBy(path, 8), /^records 9 to 12 are missing at the end/],
  ['a database that was deleted', (path) => remove(path), /^records 1 to 12 are missing at the end/],
  ['a missing anchor', (path) => rmSync(`${path}.head`), /\.head is missing: a lost end could not be seen/],
  [
    'an anchor that is no anchor',
    (path) => writeFileSync(`${path}.head`, 'x'),
    /\.head does not say where the record ends/,
  ],
  [
    'an anchor set back to hide nothing',
    (path) => writeFileSync(`${path}.head`, JSON.stringify({ seq: 3, hash: 'ab'.repeat(32) })),
    /\.head does not say where the record ends: it was changed/,
  ],
  [
    'a guard that was taken out',
    (path) => dropGuard(path),
    /the guard records_no_update, which refuses changes, was taken out/,
  ],
  [
    'a changed plan',
    (path) => tamper(path, (db) => db.exec(`UPDATE documents SET body = '{"a":2}'`)),
    /the stored plan [0-9a-f]{12} was changed/,
  ],
];

function rewriteOne(database: DatabaseSync, seq: number): void {
  const record = edit(database, seq, (old) => (old.outcome = 'failed'));
  const { hash: _hash, seq: _seq, prev, ...rest } = record;
  edit(database, seq, (old) => (old.hash = chained(rest, { seq: seq - 1, hash: prev }).hash));
}

function swap(database: DatabaseSync): void {
  database.exec(
    'UPDATE records SET seq = 100 WHERE seq = 4; UPDATE records SET seq = 4 WHERE seq = 8; UPDATE records SET seq = 8 WHERE seq = 100',
  );
}

function remove(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}

function replaceBy(path: string, count: number): void {
  const other = written(freshPath(), count, count === 8 ? 'worker:one' : 'worker:two');
  remove(path);
  copyFileSync(other, path);
}

function dropGuard(path: string): void {
  const database = new DatabaseSync(path);
  database.exec('DROP TRIGGER records_no_update');
  database.close();
}

it('finds nothing wrong with a record that nobody touched', () => {
  expect(open(written(freshPath())).verify()).toMatchObject({ ok: true, records: 12, problems: [] });
});

it.each(mutations)('finds %s', (_what, mutate, sentence) => {
  const path = written(freshPath());

  mutate(path);

  const report = open(path).verify();
  expect(report.ok).toBe(false);
  expect(
    report.problems.some((problem) => sentence.test(problem)),
    report.problems.join('\n'),
  ).toBe(true);
});

it('says one thing about one edit, and not one for each record after it', () => {
  const path = written(freshPath());
  tamper(path, (database) => edit(database, 2, (record) => (record.actor = 'x')));

  const { problems } = open(path).verify();

  expect(problems.filter((problem) => problem.includes('changed after it was written'))).toHaveLength(1);
  expect(problems).toHaveLength(2); // and the column `actor`, which does not say what the record says
});

it('finds damage of the file itself, or refuses to open it', () => {
  const path = written(freshPath(), 60);
  truncateSync(path, 8192);

  const outcome = (() => {
    try {
      const store = open(path);
      return store.verify().ok ? 'fine' : 'found';
    } catch (error) {
      return (error as { type: string }).type;
    }
  })();

  expect(['found', 'StoreUnusable', 'RecordBroken']).toContain(outcome);
});

describe('appending to a record that has lost something', () => {
  it.each([
    [
      'a lost end',
      (path: string) => tamper(path, (db) => db.exec('DELETE FROM records WHERE seq > 9')),
      /ends at record 9, but 12 were written/,
    ],
    ['another database', (path: string) => replaceBy(path, 12), /record 12 in .* is not the one that was written/],
    ['a database that was deleted', (path: string) => remove(path), /ends at record 0, but 12 were written/],
    ['a missing anchor', (path: string) => rmSync(`${path}.head`), /\.head is missing/],
  ])('is refused after %s, so that nothing is covered up', (_what, mutate, message) => {
    const path = written(freshPath());
    mutate(path);
    const store = open(path);

    expect(() => store.append(input(99))).toThrow(
      expect.objectContaining({ type: 'RecordBroken', message: expect.stringMatching(message) }),
    );
    expect(store.records({ afterSeq: 12 })).toEqual([]);
  });
});

describe('the anchor', () => {
  it('may lag one record behind after a crash: nothing is wrong, and the next append brings it up to date', () => {
    const path = written(freshPath(), 5);
    const before = readFileSync(`${path}.head`, 'utf8');
    const store = open(path);
    store.append(input(6));
    writeFileSync(`${path}.head`, before); // as if the process had died between the commit and the rename

    expect(store.verify()).toMatchObject({ ok: true, records: 6 });
    const { seq, hash } = store.append(input(7));
    expect(JSON.parse(readFileSync(`${path}.head`, 'utf8'))).toMatchObject({ seq, hash });
  });

  it('that cannot be used stops records, a probe says so, and all goes on afterwards', () => {
    const path = written(freshPath(), 2);
    const store = open(path);
    const text = readFileSync(`${path}.head`, 'utf8');
    rmSync(`${path}.head`);
    mkdirSync(`${path}.head`); // what no process can write to, whoever it runs as

    expect(() => store.probe()).toThrow(expect.objectContaining({ type: 'StoreUnusable' }));
    expect(() => store.append(input(3))).toThrow(expect.objectContaining({ type: 'StoreUnusable' }));

    rmSync(`${path}.head`, { recursive: true });
    writeFileSync(`${path}.head`, text);
    store.probe();
    store.append(input(3));
    expect(store.verify()).toMatchObject({ ok: true, records: 3 });
  });

  it('is at the beginning before the first record', () => {
    const path = freshPath();
    const store = open(path);

    expect(JSON.parse(readFileSync(`${path}.head`, 'utf8'))).toMatchObject({ ...genesis, documents: 0 });
    expect(store.verify()).toEqual({ ok: true, records: 0, head: genesis, problems: [] });
  });
});

describe('verifyChain', () => {
  const records = (count: number): AuditRecord[] => {
    const chain: AuditRecord[] = [];
    for (let number = 1; number <= count; number++) chain.push(chained(input(number), chain.at(-1) ?? genesis));
    return chain;
  };

  it('accepts every whole chain, with its anchor, with an older one, and without', () => {
    const chain = records(6);

    for (const anchor of [...chain, genesis, undefined]) expect(verifyChain(chain, anchor).problems).toEqual([]);
  });

  it('finds every change of one character of any record, or of its hash', () => {
    const chain = records(4);
    let tried = 0;

    for (const [index, record] of chain.entries()) {
      const { hash, ...body } = record;
      const text = canonicalJson(body);
      for (let at = 0; at < text.length; at++) {
        const changed = `${text.slice(0, at)}${text[at] === 'x' ? 'y' : 'x'}${text.slice(at + 1)}`;
        if (!isJson(changed)) continue;
        const mutated = chain.with(index, { ...(JSON.parse(changed) as AuditRecord), hash });
        expect(verifyChain(mutated, chain.at(-1)).ok, `record ${index + 1}, character ${at}`).toBe(false);
        tried++;
      }
      for (let at = 0; at < 64; at++) {
        const wrong = `${hash.slice(0, at)}${hash[at] === '0' ? '1' : '0'}${hash.slice(at + 1)}`;
        expect(verifyChain(chain.with(index, { ...record, hash: wrong }), chain.at(-1)).ok).toBe(false);
      }
    }
    expect(tried).toBeGreaterThan(500);
  });

  it('finds every permutation of three neighbours but the right one', () => {
    const chain = records(6);
    const orders = [
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ];

    for (const order of orders) {
      const shuffled = [...chain.slice(0, 2), ...order.map((index) => chain[2 + index]!), ...chain.slice(5)];
      expect(verifyChain(shuffled, chain.at(-1)).ok, order.join()).toBe(false);
    }
  });

  it('finds every prefix that is shorter than its anchor', () => {
    const chain = records(6);

    for (let length = 0; length < 6; length++) expect(verifyChain(chain.slice(0, length), chain.at(-1)).ok).toBe(false);
  });
});
