import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { isHeadSealed } from '../../src/store/anchor.ts';
import { recordKey } from '../../src/store/key.ts';
import { notedHead } from '../../src/store/noted-head.ts';
import { keepOutside, outsideName, parseOutside } from '../../src/store/outside.ts';
import { openStore } from '../../src/store/sqlite.ts';
import type { SealedHead } from '../../src/store/types.ts';
import { freshPath, input, secret, written } from './fixture.ts';

function opened(setting: string | ((folder: string) => string), count = 3) {
  const path = written(freshPath(), count);
  const anchor = typeof setting === 'string' ? setting : setting(dirname(path));
  const store = openStore(path, { pollMs: 20, env: { CUTOVER_ANCHOR: anchor } });
  onTestFinished(() => store.close());
  return { store, target: parseOutside(anchor)!, folder: dirname(path) };
}

const linesOf = (file: string): SealedHead[] =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as SealedHead);

it('keeps the head at the start, after a decision at once, after many records, and at the end', async () => {
  const { store, target, folder } = opened((folder) => `file:${folder}/outside`);
  const keeper = keepOutside(store, target, { everyRecords: 5 });
  await expect.poll(() => keeper.state().seq).toBe(3);

  store.append(input(4));
  store.append(input(5, { kind: 'gate.decided' }));
  await expect.poll(() => keeper.state().seq).toBe(5);
  for (let number = 6; number <= 10; number++) store.append(input(number));
  await expect.poll(() => keeper.state().seq).toBe(10);
  store.append(input(11));
  await keeper.stop();

  expect(linesOf(join(folder, 'outside')).map(({ seq }) => seq)).toEqual([3, 5, 10, 11]);
  expect(store.verify()).toMatchObject({
    ok: true,
    outside: { target: `file:${folder}/outside`, entries: 4, seq: 11 },
  });
});

it('commits to a git repository, and verify reads what was committed', async () => {
  const { store, target, folder } = opened((folder) => `git:${folder}/repository`);
  const repository = join(folder, 'repository');
  mkdirSync(repository);
  const git = (...args: string[]) => execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8' });
  git('init', '--quiet');
  git('config', 'user.name', 'cutover');
  git('config', 'user.email', 'cutover@example.org');
  const keeper = keepOutside(store, target);
  await expect.poll(() => keeper.state().seq).toBe(3);
  store.append(input(4));
  await keeper.stop();

  expect(keeper.state().failing).toBeUndefined();
  expect(git('log', '--format=%s').split('\n')[0]).toBe(`Cutover record 4 sha256:${store.head().hash}`);
  expect(store.verify()).toMatchObject({ ok: true, outside: { entries: 2, seq: 4 } });
});

it('posts sealed heads, goes on while the service fails, says since when, and catches up', async () => {
  const got: SealedHead[] = [];
  let status = 503;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (status === 200) got.push(JSON.parse(body) as SealedHead);
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { store, target } = opened(`http://127.0.0.1:${(server.address() as AddressInfo).port}/heads?token=abc`);
  const keeper = keepOutside(store, target, { everyMs: 50 });

  await expect.poll(() => keeper.state().failing?.message).toBe('it answered 503');
  store.append(input(4));
  status = 200;
  await expect.poll(() => keeper.state()).toMatchObject({ seq: 4 });
  await keeper.stop();

  expect(keeper.state().failing).toBeUndefined();
  expect(got.at(-1)?.seq).toBe(4);
  expect(isHeadSealed(recordKey(secret), got[0]!)).toBe(true);
  expect(outsideName(target)).not.toContain('abc');
});

it('tells what it may not be', () => {
  for (const wrong of ['outside', 'file:relative', 'git:', 'ftp://x/y', 'http://example.org/'])
    expect(() => parseOutside(wrong), wrong).toThrow(expect.objectContaining({ type: 'Usage' }));
  expect(parseOutside(undefined)).toBeUndefined();
});

it('reads a noted head as verify prints it, and as an export has it', () => {
  const hash = 'ab'.repeat(32);

  expect(notedHead(`12:${hash}`)).toEqual({ seq: 12, hash });
  expect(notedHead(`sha256:${hash.toUpperCase()}`)).toEqual({ hash });
  expect(() => notedHead('12:abc')).toThrow(expect.objectContaining({ type: 'Usage' }));
});
