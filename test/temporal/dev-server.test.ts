import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, it, vi } from 'vitest';
import { findTemporal } from '../../scripts/find-temporal.mjs';
import { startDevServer } from '../../src/temporal/dev-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'cutover-dev-server-'));
const log = pino({ level: 'silent' });
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

it('starts again when the server ends at once, as one does that lost its port to somebody', async () => {
  const found = await findTemporal({ say: () => {} });
  if ('problem' in found) throw new Error(found.problem);
  const program = join(folder, 'temporal');
  writeFileSync(
    program,
    `#!/bin/sh
if [ "$1" = server ] && [ ! -e ${folder}/tried ]; then
  touch ${folder}/tried
  echo 'panic: address already in use' >&2
  exit 2
fi
exec ${found.path} "$@"
`,
  );
  chmodSync(program, 0o755);
  vi.stubEnv('TEMPORAL_CLI_PATH', program);
  vi.stubEnv('TEMPORAL_ADDRESS', undefined);

  const server = await startDevServer({ dataDirectory: '', ui: false, log });

  expect(server.address).toMatch(/^127\.0\.0\.1:\d+$/);
  await server.stop();
});

it('answers no web page: its HTTP API refuses every Host, and there is no UI unless asked for', async () => {
  const server = await startDevServer({ dataDirectory: '', log });
  try {
    const headers = { origin: 'http://evil.example' };
    const answer = await fetch(`${server.httpUrl}/api/v1/namespaces`, { headers });

    expect(answer.status).toBe(403);
    expect(server.uiUrl).toBe('');
  } finally {
    await server.stop();
  }
});
