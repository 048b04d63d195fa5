import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findTemporal } from '../../scripts/find-temporal.mjs';

let folder: string;
let server: Server | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cutover-find-'));
  vi.stubEnv('TEMPORAL_ADDRESS', '');
  vi.stubEnv('TEMPORAL_CLI_PATH', '');
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
  vi.stubEnv('PATH', `${join(folder, 'bin')}:/usr/bin:/bin`);
});
afterEach(() => {
  server?.close();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** A program that answers `--version`, or fails to. */
function program(path: string, exitCode = 0): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\nexit ${exitCode}\n`);
  chmodSync(file, 0o755);
  return file;
}

const find = () => findTemporal({ say: () => {} });

describe('looking for a Temporal server', () => {
  it('takes the one that runs at TEMPORAL_ADDRESS before any program', async () => {
    program('bin/temporal');
    server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server!.once('listening', resolve));
    const address = `127.0.0.1:${(server.address() as { port: number }).port}`;
    vi.stubEnv('TEMPORAL_ADDRESS', address);

    expect(await find()).toEqual({ running: address, path: '' });
  });

  it('takes TEMPORAL_CLI_PATH before PATH, and PATH before the cache', async () => {
    const cached = program('cache/cutover/bin/temporal');
    expect(await find()).toEqual({ path: cached });

    const onPath = program('bin/temporal');
    expect(await find()).toEqual({ path: onPath });

    const named = program('own/temporal');
    vi.stubEnv('TEMPORAL_CLI_PATH', named);
    expect(await find()).toEqual({ path: named });
  });

  it('passes by a program that does not work', async () => {
    const cached = program('cache/cutover/bin/temporal');
    program('bin/temporal', 1);
    vi.stubEnv('TEMPORAL_CLI_PATH', join(folder, 'nowhere'));

    expect(await find()).toEqual({ path: cached });
  });
});
