// A readable stream that fails when its origin sends nothing for too long, and counts only the time spent waiting for it.
import { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';

/**
 * `origin` passed through. When a read has waited `inactivityMs` the stream fails with `makeTimeout()`; a consumer that
 * is slow itself never trips it, because time counts only while a read is under way (a socket's own timeout cannot tell).
 * Every error of `origin` passes through `mapError`; `signal` ends the stream with its reason.
 */
export function watchedStream(
  clock: Clock,
  origin: Readable,
  options: {
    readonly inactivityMs: number;
    readonly makeTimeout: () => CoffreError;
    readonly mapError: (error: unknown) => CoffreError;
    readonly signal?: AbortSignal | undefined;
  },
): Readable {
  // Errors reach the consumer through the iterator; one that comes before the first read must not end the process.
  origin.on('error', () => {});
  let waitingSinceMs: number | null = null;
  let timer = clock.after(0, () => {});
  const watch = (): void => {
    const waitedMs = waitingSinceMs === null ? 0 : clock.monotonicMs() - waitingSinceMs;
    if (waitedMs >= options.inactivityMs) origin.destroy(options.makeTimeout());
    else timer = clock.after(options.inactivityMs - waitedMs + 1, watch, { unref: true });
  };
  const onAbort = (): void => {
    const reason: unknown = options.signal?.reason;
    origin.destroy(reason instanceof CoffreError ? reason : new CoffreError('E_INTERRUPTED', 'reading was stopped', { cause: reason }));
  };

  async function* chunks(): AsyncGenerator<Buffer> {
    const iterator = origin[Symbol.asyncIterator]();
    try {
      watch();
      if (options.signal?.aborted) onAbort();
      options.signal?.addEventListener('abort', onAbort, { once: true });
      while (true) {
        waitingSinceMs = clock.monotonicMs();
        const next = await iterator.next();
        waitingSinceMs = null;
        if (next.done) return;
        yield next.value as Buffer;
      }
    } catch (error) {
      throw error instanceof CoffreError ? error : options.mapError(error);
    } finally {
      timer.cancel();
      options.signal?.removeEventListener('abort', onAbort);
      origin.destroy();
    }
  }
  const stream = Readable.from(chunks(), { objectMode: false, highWaterMark: 1 << 20 });
  // A consumer that gives up before its first read never starts the generator, so its finally would not run.
  stream.once('close', () => {
    timer.cancel();
    origin.destroy();
  });
  return stream;
}
