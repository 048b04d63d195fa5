import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { homeAt, makeHome } from '../../src/server/home.ts';
import { exportRecords, verifyExport } from '../../src/store/export.ts';
import { recordKey } from '../../src/store/key.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { freshPath, input, open, secret, written } from './fixture.ts';

const keyOf = (path: string): string => join(dirname(path), 'keys', 'record.key');
const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

describe('the key of the record', () => {
  it('is made with a new record, for its owner only, and stays', () => {
    const path = freshPath();

    open(path).append(input(1));
    const text = readFileSync(keyOf(path), 'utf8');
    open(path).append(input(2));

    expect(text).toMatch(/^[0-9a-f]{64}\n$/);
    expect(readFileSync(keyOf(path), 'utf8')).toBe(text);
    expect([mode(keyOf(path)), mode(dirname(keyOf(path)))]).toEqual(['600', '700']);
    expect(readdirSync(dirname(keyOf(path)))).toEqual(['record.key']);
    expect(open(path).verify()).toMatchObject({ ok: true, records: 2 });
  });

  it('may be kept elsewhere, and several stores share it', () => {
    const path = freshPath();
    const elsewhere = join(dirname(path), 'secrets', 'key');
    const env = { CUTOVER_RECORD_KEY_FILE: elsewhere };

    const stores = [openStore(path, { env }), openStore(path, { env })];
    for (const [index, store] of stores.entries()) store.append(input(index + 1));

    expect(stores.map((store) => store.verify().problems)).toEqual([[], []]);
    expect(existsSync(keyOf(path))).toBe(false);
    chmodSync(elsewhere, 0o644);
    expect(() => openStore(path, { env })).toThrow(/is open to other users/);
    for (const store of stores) store.close();
  });

  it.each([
    ['of a record', (_path: string) => undefined],
    ['of a record whose database is gone', (path: string) => rmSync(path)],
  ])('that is missing %s is asked for, and no other one is made', (_what, change) => {
    const path = written(freshPath());
    rmSync(keyOf(path));
    change(path);

    expect(() => openStore(path)).toThrow(
      expect.objectContaining({
        type: 'StoreUnusable',
        message: expect.stringContaining(`is missing: ${keyOf(path)}`),
      }),
    );
    expect(existsSync(keyOf(path))).toBe(false);
  });

  it('that is another one writes nothing, and verify says one sentence', () => {
    const path = written(freshPath());
    writeFileSync(keyOf(path), `${'ab'.repeat(32)}\n`);
    const store = open(path);

    expect(() => store.append(input(99))).toThrow(expect.objectContaining({ type: 'RecordBroken' }));
    expect(() => store.putDocument('plan', { other: 1 })).toThrow(expect.objectContaining({ type: 'RecordBroken' }));
    const { problems } = store.verify();
    expect(problems.filter((problem) => problem.startsWith('no record was written with the key'))).toHaveLength(1);
    expect(store.records()).toHaveLength(12);
  });

  it('is asked for before a forged end is built on', () => {
    const path = written(freshPath());
    const shell = new DatabaseSync(path);
    shell.exec(
      "INSERT INTO records SELECT 13, 'forged', kind, at, 'mallory', migration, node, gate, body, hash, mac FROM records WHERE seq = 12",
    );
    shell.close();

    expect(() => open(path).append(input(14))).toThrow(/record 13 in .* was not written with the key/);
  });

  it('refuses a record of the version that had none, in one sentence, and leaves it as it is', () => {
    const path = freshPath();
    const old = new DatabaseSync(path);
    old.exec(`CREATE TABLE records (seq INTEGER PRIMARY KEY, body TEXT, hash TEXT); INSERT INTO records VALUES (1, '{}', '');
      PRAGMA application_id = 1129665615; PRAGMA user_version = 1`);
    old.close();

    expect(() => openStore(path)).toThrow(
      expect.objectContaining({ type: 'StoreUnusable', message: expect.stringContaining('whose records have no key') }),
    );
    expect(existsSync(keyOf(path))).toBe(false);
  });

  it('proves where an export was made; without it the chain can still be followed', () => {
    const store = open(written(freshPath()));
    const text = exportRecords(store.records(), {
      format: 'ndjson',
      head: store.head(),
      exportedAt: '2026-01-01T00:00:00.000Z',
    });

    expect(verifyExport(text).problems).toEqual([]);
    expect(verifyExport(text, { key: recordKey(secret) }).problems).toEqual([]);
    expect(verifyExport(text, { key: recordKey(Buffer.alloc(32, 1), '/other') }).problems).toEqual([
      'the export does not carry the seal of the key in /other: it was not made from that record',
    ]);
  });
});

describe('files of the record', () => {
  it('are open to their owner only, whatever the umask', () => {
    const path = join(dirname(freshPath()), 'home', 'cutover.db');
    const program = `
      process.umask(0);
      const { openStore } = await import(${JSON.stringify(new URL('../../src/store/sqlite.ts', import.meta.url).href)});
      const store = openStore(${JSON.stringify(path)});
      store.append(${JSON.stringify(input(1))});
      const { statSync } = await import('node:fs');
      for (const file of ['', '-wal', '-shm', '.head']) console.log((statSync(${JSON.stringify(path)} + file).mode & 0o777).toString(8));
      console.log((statSync(${JSON.stringify(dirname(path))}).mode & 0o777).toString(8));
      store.close();`;

    const modes = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });

    expect(modes.trim().split('\n')).toEqual(['600', '600', '600', '600', '700']);
    expect(mode(keyOf(path))).toBe('600');
  });

  it('that other users can open are narrowed, and that is said', () => {
    const path = written(freshPath());
    for (const file of [path, `${path}.head`, keyOf(path)]) chmodSync(file, 0o644);
    const said: string[] = [];

    openStore(path, { say: (sentence) => said.push(sentence) }).close();

    expect([path, `${path}.head`, keyOf(path)].map(mode)).toEqual(['600', '600', '600']);
    expect(said).toHaveLength(3);
    expect(said[0]).toBe(`${path} was open to other users (mode 644); its mode is 600 now`);
  });

  it('and their home: narrowed, and refused when every user puts files there', () => {
    const folder = join(dirname(freshPath()), 'home');
    mkdirSync(folder);
    chmodSync(folder, 0o755);
    const said: string[] = [];

    makeHome(homeAt(folder), (sentence) => said.push(sentence));

    expect(mode(folder)).toBe('700');
    expect(said).toEqual([`${folder} was open to other users (mode 755); its mode is 700 now`]);
    chmodSync(folder, 0o1777);
    expect(() => makeHome(homeAt(folder))).toThrow(/is shared by all users/);
  });

  // Only root can give a file to another user.
  it.runIf(process.geteuid?.() === 0)('that belong to another user are refused', async () => {
    const { chownSync } = await import('node:fs');
    for (const which of ['', '.head']) {
      const path = written(freshPath());
      chownSync(`${path}${which}`, 65_534, 65_534);

      expect(() => openStore(path)).toThrow(
        expect.objectContaining({
          type: 'StoreUnusable',
          message: expect.stringContaining('belongs to another user (uid 65534'),
        }),
      );
    }
    const path = written(freshPath());
    copyFileSync(keyOf(path), `${path}.copy`);
    chownSync(keyOf(path), 65_534, 65_534);
    expect(() => openStore(path)).toThrow(/record\.key belongs to another user/);
  });
});
