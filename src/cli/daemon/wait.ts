// What a queued run waits for, for the bar of whoever follows it: a run says nothing of itself before it begins.
import type { Clock } from '../../clock.ts';
import type { DaemonClient, RunNews, RunSummary } from './client.ts';

const LOOK_EVERY_MS = 2000;
/** More runs than are ever under way at once. */
const MOST_RUNNING = 200;

/** Asks until `signal` aborts, and hands what it waits for to `say`. Never throws: whoever follows the run hears of a daemon that is gone. */
export async function watchWait(
  daemon: Pick<DaemonClient, 'runs'>,
  clock: Clock,
  queued: Pick<RunNews, 'shop'>,
  say: (waits: string) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const answer = await daemon.runs({ state: 'running', limit: MOST_RUNNING }, signal).catch(() => null);
    if (answer !== null && !signal.aborted) say(waitsFor(queued, answer.runs));
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
  }
}

/** One run a shop at once, and so many at once over all shops. Of shops that this caller may not see nothing is known. */
export function waitsFor({ shop }: Pick<RunNews, 'shop'>, running: readonly Pick<RunSummary, 'id' | 'kind' | 'shop' | 'source'>[]): string {
  const own = running.find((run) => run.shop === shop);
  if (own) return `waits for the ${own.kind}${own.source === null ? '' : ` of ${own.source}`} that is under way, run ${own.id}`;
  if (running.length === 0) return 'waits for its turn';
  return `waits for a place: ${running.length} ${running.length === 1 ? 'run of another shop is' : 'runs of other shops are'} under way`;
}
