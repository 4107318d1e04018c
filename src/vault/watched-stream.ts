// A readable stream that fails when its origin sends nothing for too long, and counts only the time spent waiting for it.
import { finished, Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';

/**
 * Below this rate (bytes/ms, so 8 KiB/s) an origin is taken for stuck although something comes now and then: a segment would take an hour,
 * and a store that drips a byte a second would never be given up. Low, because many downloads may share a thin line.
 */
const SLOWEST_BYTES_PER_MS = 8;

/**
 * `origin` passed through. When a read has waited `inactivityMs`, or the latest ones together that and the time that the slowest line
 * would take for what came with them, the stream fails with `makeTimeout()`, however fast it was before; a consumer that
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
  const { inactivityMs, makeTimeout, mapError, signal } = options;
  // One that comes before the first read must not end the process: that read finds it.
  origin.on('error', () => {});
  let waitingSinceMs: number | null = null;
  /** How long may still be waited: waiting takes of it, what comes gives it back, and it is never more than at the beginning. */
  let patienceMs = inactivityMs;
  let begun = false;
  let timer = clock.after(0, () => {});
  const watch = (): void => {
    const leftMs = patienceMs - (waitingSinceMs === null ? 0 : clock.monotonicMs() - waitingSinceMs);
    if (leftMs <= 0) origin.destroy(makeTimeout());
    else timer = clock.after(leftMs + 1, watch, { unref: true });
  };
  const onAbort = (): void => {
    const reason: unknown = signal?.reason;
    origin.destroy(reason instanceof CoffreError ? reason : new CoffreError('E_INTERRUPTED', 'reading was stopped', { cause: reason }));
  };
  const begin = (): void => {
    begun = true;
    watch();
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    // Events, not an iterator: several promises for each 64 KB were a tenth of what a restore's main thread does.
    origin.on('data', (chunk: Buffer) => {
      if (waitingSinceMs !== null) patienceMs -= clock.monotonicMs() - waitingSinceMs;
      waitingSinceMs = null;
      patienceMs = Math.min(inactivityMs, patienceMs + chunk.length / SLOWEST_BYTES_PER_MS);
      if (!stream.push(chunk)) origin.pause();
    });
    finished(origin, { writable: false }, (error) => {
      if (error) stream.destroy(error instanceof CoffreError ? error : mapError(error));
      else stream.push(null);
    });
  };
  const stream = new Readable({
    highWaterMark: 1 << 20,
    read() {
      waitingSinceMs ??= clock.monotonicMs();
      if (!begun) begin();
      else if (origin.isPaused()) origin.resume();
    },
    destroy(error, done) {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      origin.destroy();
      done(error);
    },
  });
  return stream;
}
