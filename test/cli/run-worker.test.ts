import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { kept } from '../../src/cli/run-worker.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cutover-kept-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('makes a client once for each input, and anew when its file has changed', () => {
  const file = join(folder, 'kubeconfig');
  writeFileSync(file, 'a token');
  let made = 0;
  const clients = kept(
    (_input: { file: string; context: string }) => ++made,
    (input) => input.file,
  );

  expect(clients.get({ file, context: '' })).toBe(1);
  expect(clients.get({ file, context: '' })).toBe(1);
  expect(clients.get({ file, context: 'other' })).toBe(2);
  writeFileSync(file, 'a token that is new');
  expect(clients.get({ file, context: '' })).toBe(3);
  expect([...clients.all()]).toEqual([1, 2, 3]);
});

it('takes a file that does not exist for a file that has not changed', () => {
  const clients = kept(
    (_input: object) => ({}),
    () => join(folder, 'nowhere'),
  );

  expect(clients.get({})).toBe(clients.get({}));
});
