// Restores several sources of one shop at the same time: one is bound by the vault and the disk, the other by the database server.
import type { SourceKind } from '../source/source.ts';
import type { RestoreProgress } from './progress.ts';

/** What one source's restore gets: a signal that also aborts when another one failed, and where to tell how far it is. */
export interface TogetherDeps {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RestoreProgress) => void;
  /** It is ready: nothing was written yet, and its place is as it should be. Those after it begin. */
  readonly onReady: () => void;
}

export interface TogetherJob<T> {
  readonly source: SourceKind;
  /** Of its snapshot: what the bar counts before the restore itself says. */
  readonly totalBytes: number;
  run(deps: TogetherDeps): Promise<T>;
}

/**
 * Runs the jobs at once, each when the one before it is ready: a directory that is refused is known before a database is touched. The first
 * failure aborts the others and is thrown once all have stopped; the same command goes on with all of them. `onProgress` hears their sums.
 */
export async function restoreTogether<T>(
  jobs: readonly TogetherJob<T>[],
  signal: AbortSignal,
  onProgress: (progress: RestoreProgress) => void,
): Promise<T[]> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const sums = new ProgressSum(jobs, onProgress);
  let before: Promise<void> = Promise.resolve();
  let failure: { readonly error: unknown } | null = null;
  const running = jobs.map(async (job) => {
    const turn = before;
    const ready = Promise.withResolvers<void>();
    before = ready.promise;
    try {
      await turn;
      either.throwIfAborted();
      return await job.run({ signal: either, onReady: () => ready.resolve(), onProgress: (progress) => sums.tell(job.source, progress) });
    } catch (error) {
      failure ??= { error };
      stop.abort(error);
      throw error;
    } finally {
      ready.resolve();
    }
  });
  const ended = await Promise.allSettled(running);
  signal.throwIfAborted();
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
  return ended.map((one) => (one as PromiseFulfilledResult<T>).value);
}

class ProgressSum {
  readonly #tell: (progress: RestoreProgress) => void;
  readonly #jobs: readonly Pick<TogetherJob<unknown>, 'source' | 'totalBytes'>[];
  readonly #latest = new Map<SourceKind, RestoreProgress>();

  constructor(jobs: readonly Pick<TogetherJob<unknown>, 'source' | 'totalBytes'>[], tell: (progress: RestoreProgress) => void) {
    this.#jobs = jobs;
    this.#tell = tell;
  }

  tell(source: SourceKind, progress: RestoreProgress): void {
    this.#latest.set(source, progress);
    const sum = (of: (progress: RestoreProgress) => number | undefined): number =>
      [...this.#latest.values()].reduce((total, one) => total + (of(one) ?? 0), 0);
    const current = this.#jobs.length > 1 && progress.current !== '' ? `${source}: ${progress.current}` : progress.current;
    this.#tell({
      step: [...this.#latest.values()].some(({ step }) => step !== 'check') ? 'segments' : 'check',
      doneBytes: sum(({ doneBytes }) => doneBytes),
      totalBytes: this.#jobs.reduce((total, job) => total + (this.#latest.get(job.source)?.totalBytes ?? job.totalBytes), 0),
      carriedBytes: sum(({ carriedBytes }) => carriedBytes),
      doneRows: sum(({ doneRows }) => doneRows),
      totalRows: sum(({ totalRows }) => totalRows),
      current,
    });
  }
}
