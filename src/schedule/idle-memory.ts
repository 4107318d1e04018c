// Gives memory back while the daemon waits: V8 collects as it allocates, so what the last run needed would stay until the next one.
import type { Clock } from '../clock.ts';

const LOOK_EVERY_MS = 30_000;
/** What was allocated since the last collection. Status is read, shops are looked after: little, but of hundreds of shops. */
const WORTH_BYTES = 4 * 1024 * 1024;

/**
 * Until `signal` aborts. Collects when nothing is under way and there is something to be given back, half a minute after the last run at most;
 * a twentieth of a second with hundreds of shops. Does nothing in a Node that was started without --expose-gc (bin/coffre gives it).
 */
export async function giveBackWhileIdle(clock: Clock, isIdle: () => boolean, signal: AbortSignal): Promise<void> {
  if (typeof gc !== 'function') return;
  const collect = gc;
  let leftBytes = 0;
  for (;;) {
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
    if (signal.aborted) return;
    if (!isIdle() || taken() - leftBytes < WORTH_BYTES) continue;
    await collect({ type: 'major', execution: 'async', flavor: 'last-resort' });
    leftBytes = taken();
  }
}

/** The heap's pages, and what lies outside of it for its objects. Bytes. */
function taken(): number {
  const { heapTotal, external } = process.memoryUsage();
  return heapTotal + external;
}
