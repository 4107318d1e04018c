// What a daemon's log says of runs that take long.
import { expect, test } from 'vitest';
import type { BackupProgress } from '../../src/backup/progress.ts';
import { progressLog } from '../../src/backup/progress-log.ts';
import { FakeClock } from '../fake-clock.ts';

const MB = 1_000_000;

const at = (shop: string, plainBytes: number, source = 'files'): BackupProgress => ({
  shop,
  source,
  step: 'read',
  plainBytes,
  carriedBytes: 0,
  expectedBytes: 190 * MB,
  expectedExactly: true,
  storedBytes: plainBytes / 2,
  segments: 1,
  reusedSegments: 0,
  files: 7,
  current: 'img/secret-of-a-client.jpg',
});

test('two runs at once - a line each every 30 s, with rate and time left, and no path', () => {
  const clock = new FakeClock();
  const lines: Record<string, unknown>[] = [];
  const quiet = (): void => {};
  const log = progressLog(clock, { debug: quiet, info: (line) => lines.push(line as Record<string, unknown>), warn: quiet, error: quiet });
  for (let second = 0; second < 65; second++) {
    log(at('dupont', second * MB));
    if (second < 29) log(at('martin', second * MB, 'database'));
    clock.advance(1000);
  }
  expect(lines).toEqual([
    {
      shop: 'dupont',
      source: 'files',
      event: 'run.progress',
      doneBytes: 30 * MB,
      carriedBytes: 0,
      totalBytes: 190 * MB,
      totalIsGuess: false,
      storedBytes: 15 * MB,
      files: 7,
      bytesPerSecond: MB,
      leftMs: 160_000,
    },
    expect.objectContaining({ shop: 'dupont', doneBytes: 60 * MB, leftMs: 130_000 }),
  ]);
  // the next run of the same starts over: nothing of it is old enough to be told
  log(at('dupont', 0));
  clock.advance(20_000);
  log(at('dupont', 5));
  expect(lines).toHaveLength(2);
});
