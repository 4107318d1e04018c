// How the tests run: each file in a process of its own, the slowest ones first, one S3 store for all.
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { SlowestFirst } from './test/servers/slowest-first.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/servers/global-setup.ts'],
    setupFiles: ['test/servers/leaks.ts'],
    pool: 'forks',
    // two more than processors: each waits a third of its time for locks, deadlines and servers
    maxWorkers: Math.min(availableParallelism() + 2, 8),
    sequence: { sequencer: SlowestFirst },
    // a server that starts on two busy cores, a lock of some seconds that has to end: long, but a hang still ends
    testTimeout: 120_000,
    hookTimeout: 180_000,
    teardownTimeout: 30_000,
    reporters: ['default'],
  },
});
