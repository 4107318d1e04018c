// How the tests run: each file in a process of its own, two at a time (real servers want the cores), one S3 store for all.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/servers/global-setup.ts'],
    setupFiles: ['test/servers/leaks.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // a server that starts on two busy cores, a lock of some seconds that has to end: long, but a hang still ends
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    reporters: ['default'],
  },
});
