import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Servers, SSH and Temporal in one machine of 2 cores: a slow start is not a failure.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    // A second, as it is without this, is not enough on a busy machine.
    expect: { poll: { timeout: 20_000 } },
    maxWorkers: 2,
    // What a test prints matters when it fails.
    silent: 'passed-only',
  },
});
