// The progress of a daemon's runs for its log: a line now and then for each, with rate and time left.
import type { Clock } from '../clock.ts';
import { Estimator } from './estimator.ts';
import type { RunLog } from './log.ts';
import type { BackupProgress, OnProgress } from './progress.ts';

/** A run of half a minute needs no line, one of six hours 720. */
const LINE_EVERY_MS = 30_000;

interface Told {
  readonly estimator: Estimator;
  doneBytes: number;
  atMs: number;
}

/** Logs `run.progress` at most every 30 s for each run. Unknown is null: total, rate (bytes a second), time left (ms). */
export function progressLog(clock: Clock, log: RunLog): OnProgress {
  const runs = new Map<string, Told>();
  return (progress) => {
    const nowMs = clock.monotonicMs();
    const key = `${progress.shop} ${progress.source}`;
    let told = runs.get(key);
    if (told === undefined || progress.plainBytes < told.doneBytes) {
      told = { estimator: new Estimator(), doneBytes: 0, atMs: nowMs };
      runs.set(key, told);
    }
    told.doneBytes = progress.plainBytes;
    told.estimator.add({
      atMs: nowMs,
      doneBytes: progress.plainBytes,
      carriedBytes: progress.carriedBytes,
      totalBytes: progress.expectedBytes,
      totalIsGuess: !progress.expectedExactly,
    });
    if (nowMs - told.atMs < LINE_EVERY_MS) return;
    told.atMs = nowMs;
    log.info(lineOf(progress, told.estimator, nowMs), 'backup goes on');
  };
}

/** No path: a log is kept for longer than what a shop's files are called should be. */
function lineOf(progress: BackupProgress, estimator: Estimator, nowMs: number) {
  const rounded = (value: number | null): number | null => (value === null ? null : Math.round(value));
  const { shop, source, plainBytes, carriedBytes, expectedBytes, storedBytes, files } = progress;
  return {
    shop,
    source,
    event: 'run.progress' as const,
    doneBytes: plainBytes,
    carriedBytes,
    totalBytes: expectedBytes,
    totalIsGuess: !progress.expectedExactly,
    storedBytes,
    ...(source === 'database' ? {} : { files }),
    bytesPerSecond: rounded(estimator.rate(nowMs)),
    leftMs: rounded(estimator.leftMs(nowMs)),
  };
}
