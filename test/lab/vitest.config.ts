import { defineConfig } from 'vitest/config';

/** Scenarios on the real cluster: one after the other, because there is one. */
export default defineConfig({
  test: {
    include: ['test/lab/scenarios/**/*.lab.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
  },
});
