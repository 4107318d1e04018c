// Gives memory back while the daemon waits: V8 collects as it allocates, so what the last run needed would stay until the next one.
import type { Clock } from '../clock.ts';

const LOOK_EVERY_MS = 60_000;
/** While nothing runs, status is read and shops are looked after: little, but of hundreds of shops. */
const AGAIN_MS = 600_000;

/**
 * Until `signal` aborts. Collects a minute after the last run has ended, and then now and then; a twentieth of a second with hundreds of
 * shops. Does nothing in a Node that was started without --expose-gc (bin/coffre gives it).
 */
export async function giveBackWhileIdle(clock: Clock, isIdle: () => boolean, signal: AbortSignal): Promise<void> {
  if (typeof gc !== 'function') return;
  const collect = gc;
  let wasBusy = true;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
    if (signal.aborted) return;
    if (!isIdle()) wasBusy = true;
    else if (wasBusy || clock.monotonicMs() - lastMs >= AGAIN_MS) {
      await collect({ type: 'major', execution: 'async', flavor: 'last-resort' });
      wasBusy = false;
      lastMs = clock.monotonicMs();
    }
  }
}
