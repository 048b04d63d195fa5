import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { recordHash } from '../../src/store/chain.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { freshPath, input, open, written } from './fixture.ts';

const program = fileURLToPath(new URL('append-many.ts', import.meta.url));

function appender(path: string, name: string, count: number) {
  const child = spawn(process.execPath, [program, path, name, String(count)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  const firstLine = once(reader, 'line');
  return { child, lines, reader, ready: firstLine, go: () => child.stdin.write('go\n'), ended: once(child, 'exit') };
}

describe('records', () => {
  it('are numbered without a gap and chained by hash', () => {
    const store = open(freshPath());

    const [first, second] = [store.append(input(1)), store.append(input(2))];

    expect(first).toMatchObject({ ...input(1), seq: 1, prev: '0'.repeat(64) });
    expect(second).toMatchObject({ seq: 2, prev: first!.hash });
    expect(recordHash(second!)).toBe(second!.hash);
    expect(store.records()).toEqual([first, second]);
    expect(store.verify()).toEqual({ ok: true, records: 2, head: { seq: 2, hash: second!.hash }, problems: [] });
  });

  it('are written once for each key', () => {
    const store = open(freshPath());

    const first = store.append(input(1));
    const again = store.append(input(1, { message: 'another text under the same key' }));

    expect(again).toEqual(first);
    expect(store.records()).toHaveLength(1);
  });

  it('are read back as they were given, whatever text is in them', () => {
    const store = open(freshPath());
    const message = 'sudo: „nicht erlaubt“ \u0000 \u2028 😀 "x" \\ \ud83d half of a pair';

    const record = store.append(input(1, { message, evidence: { big: 2 ** 53, small: 1e-9, nothing: null } }));

    expect(record.message).toBe(message.toWellFormed());
    expect(store.records()).toEqual([record]);
    expect(store.verify().ok).toBe(true);
  });

  it('are found by migration, node, gate, kind, actor and number', () => {
    const store = open(freshPath());
    for (let number = 1; number <= 6; number++) store.append(input(number));
    store.append(
      input(7, {
        kind: 'gate.opened',
        migration: 'move-2',
        node: undefined as never,
        evidence: { gate: 'after-canary' },
        actor: 'workflow',
      }),
    );

    const seqs = (filter: Parameters<typeof store.records>[0]) => store.records(filter).map(({ seq }) => seq);
    expect(seqs({ node: 'worker-1' })).toEqual([3, 6]);
    expect(seqs({ migration: 'move-2' })).toEqual([7]);
    expect(seqs({ gate: 'after-canary' })).toEqual([7]);
    expect(seqs({ kind: ['gate.opened', 'gate.closed'] })).toEqual([7]);
    expect(seqs({ kind: [] })).toEqual([]);
    expect(seqs({ actor: 'workflow' })).toEqual([7]);
    expect(seqs({ afterSeq: 2, limit: 3 })).toEqual([3, 4, 5]);
    expect(seqs({ migration: "x' OR 1=1 --" })).toEqual([]);
  });

  it('survive closing and opening', () => {
    const path = written(freshPath(), 3);
    const store = open(path);

    const next = store.append(input(4));

    expect(next.seq).toBe(4);
    expect(store.verify()).toMatchObject({ ok: true, records: 4 });
  });

  it.each([
    ['UPDATE records SET body = body', 'append-only'],
    ['DELETE FROM records WHERE seq = 2', 'append-only'],
    [
      "INSERT OR REPLACE INTO records (seq, key, kind, at, actor, body, hash) VALUES (2, 'new', 'resumed', '', '', '{}', '')",
      'append-only',
    ],
    [
      "INSERT OR REPLACE INTO records (seq, key, kind, at, actor, body, hash) VALUES (4, 'key-2', 'resumed', '', '', '{}', '')",
      'append-only',
    ],
    [
      "INSERT INTO records (seq, key, kind, at, actor, body, hash) VALUES (9, 'new', 'resumed', '', '', '{}', '')",
      'append-only',
    ],
    ["UPDATE documents SET body = '{}'", 'never change'],
    ['DELETE FROM documents', 'never change'],
  ])('refuse %s', (sql, why) => {
    const path = written(freshPath(), 3);
    const store = open(path);
    store.putDocument('plan', { a: 1 });
    const shell = new DatabaseSync(path);

    expect(() => shell.exec(sql)).toThrow(why);

    shell.close();
    expect(store.verify()).toMatchObject({ ok: true, records: 3 });
  });
});

describe('several processes', () => {
  it('append at the same time and the chain stays whole', { timeout: 60_000 }, async () => {
    const path = freshPath();
    const count = 90;
    const processes = ['one', 'two', 'three'].map((name) => appender(path, name, count));
    await Promise.all(processes.map(({ ready }) => ready));

    for (const { go } of processes) go();
    const codes = await Promise.all(processes.map(({ ended }) => ended));

    expect(codes.map(([code]) => code as number)).toEqual([0, 0, 0]);
    const store = open(path);
    expect(store.verify()).toMatchObject({ ok: true, records: 3 * 60 + 30, problems: [] });
    // The same key has the same number in every process.
    const bySharedKey = Map.groupBy(
      processes.flatMap(({ lines }) => lines.filter((line) => line.startsWith('shared-'))),
      (line) => line.split(' ')[0],
    );
    expect(bySharedKey.size).toBe(30);
    for (const lines of bySharedKey.values()) expect(new Set(lines).size).toBe(1);
    expect(JSON.parse(readFileSync(`${path}.head`, 'utf8'))).toMatchObject(store.verify().head);
  });

  it('killed by SIGKILL in the middle lose nothing that was answered', { timeout: 60_000 }, async () => {
    const path = freshPath();
    for (const name of ['one', 'two', 'three']) {
      const { child, reader, lines, ready, go, ended } = appender(path, name, 100_000);
      await ready;
      go();
      while (lines.length < 40) await once(reader, 'line');
      child.kill('SIGKILL');
      await ended;

      const store = openStore(path);
      expect(store.verify().problems).toEqual([]);
      const answered = lines.filter((line) => line.includes(' ')).map((line) => line.split(' '));
      const kept = new Map(store.records().map(({ key, seq }) => [key, seq]));
      // The last line may have been cut by the kill.
      for (const [key, seq] of answered.slice(0, -1)) expect(kept.get(key!)).toBe(Number(seq));
      store.append(input(answered.length, { key: `after-${name}` }));
      store.close();
    }
  });

  it('are told of what another one wrote, and of nothing else', async () => {
    const path = freshPath();
    const [writer, reader] = [open(path), open(path)];
    let calls = 0;
    const news = new Promise<void>((resolve) => {
      const stop = reader.subscribe(() => {
        calls++;
        stop();
        resolve();
      });
    });

    writer.putDocument('plan', { nobody: 'waits for documents' });
    writer.append(input(1));
    await news;

    expect(reader.records()).toHaveLength(1);
    expect(calls).toBe(1);
  });

  it('are told of what they wrote themselves', async () => {
    const store = open(freshPath());

    const news = new Promise<void>((resolve) => store.subscribe(resolve));
    store.append(input(1));

    await news;
  });
});

describe('documents', () => {
  it('are named by the SHA-256 of their canonical JSON and kept once', () => {
    const store = open(freshPath());

    const digest = store.putDocument('plan', { b: 1, a: { c: 2 } });

    expect(store.putDocument('plan', { a: { c: 2 }, b: 1 })).toBe(digest);
    expect(store.getDocument('plan', digest)).toEqual({ a: { c: 2 }, b: 1 });
    expect(store.getDocument('facts', digest)).toBeUndefined();
    expect(store.listDocuments('plan')).toEqual([{ sha256: digest, at: expect.stringMatching(/^\d{4}-.*Z$/) }]);
  });
});

describe('a file that is no store', () => {
  it('is refused in one sentence when it is not a database', () => {
    const path = freshPath();
    writeFileSync(
      path,
      'this is a text file, and quite a long one, so that it has a header that SQLite can look at'.repeat(20),
    );

    expect(() => openStore(path)).toThrow(
      expect.objectContaining({
        type: 'StoreUnusable',
        message: expect.stringContaining(`${path} cannot be opened as a database`),
      }),
    );
  });

  it('is refused when another program owns it, and left as it is', () => {
    const path = freshPath();
    const other = new DatabaseSync(path);
    other.exec('CREATE TABLE bookmarks (url TEXT)');
    other.close();

    expect(() => openStore(path)).toThrow(
      expect.objectContaining({ type: 'StoreUnusable', message: `${path} is the database of another program` }),
    );

    const after = new DatabaseSync(path);
    expect(after.prepare('SELECT name FROM sqlite_schema').all()).toHaveLength(1);
    after.close();
    expect(existsSync(`${path}.head`)).toBe(false);
  });

  it('is refused when a newer Cutover wrote it', () => {
    const path = written(freshPath(), 1);
    const shell = new DatabaseSync(path);
    shell.exec('PRAGMA user_version = 99');
    shell.close();

    expect(() => openStore(path)).toThrow(
      expect.objectContaining({ type: 'StoreUnusable', message: expect.stringContaining('newer Cutover') }),
    );
  });

  it('is refused when it is a folder', () => {
    const path = freshPath();

    expect(() => openStore(path.replace(/\/cutover\.db$/, ''))).toThrow(
      expect.objectContaining({ type: 'StoreUnusable' }),
    );
  });
});
