// How far a backup is, for whoever watches: with rate and time left.
import { Estimator } from '../backup/estimator.ts';
import type { OnProgress } from '../backup/progress.ts';
import type { Clock } from '../clock.ts';
import type { RunProgress } from './feed.ts';
import type { Work } from './scheduler-ports.ts';

export function backupFigures(clock: Clock, work: Pick<Work, 'progress'>): OnProgress {
  const estimator = new Estimator();
  return ({ plainBytes, carriedBytes, expectedBytes, expectedExactly, storedBytes, segments, reusedSegments, files }) => {
    const atMs = clock.monotonicMs();
    const totalIsGuess = !expectedExactly;
    estimator.add({ atMs, doneBytes: plainBytes, carriedBytes, totalBytes: expectedBytes, totalIsGuess });
    const figures: RunProgress = {
      ...{ doneBytes: plainBytes, carriedBytes, totalBytes: expectedBytes, totalIsGuess, storedBytes, segments, reusedSegments, files },
      bytesPerSecond: estimator.rate(atMs),
      leftMs: estimator.leftMs(atMs),
    };
    work.progress(figures);
  };
}
