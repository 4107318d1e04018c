// How fast something goes now and how long it still takes, from what was done when; says that it does not know when it does not.

/** How far something was at some time. */
export interface Mark {
  /** Monotonic, in milliseconds. */
  readonly atMs: number;
  readonly doneBytes: number;
  /** What of it took no time: carried over from older segments, or found in place. */
  readonly carriedBytes: number;
  /** null: nobody knows. */
  readonly totalBytes: number | null;
  /** The total is about right at best: it is what there was last time. */
  readonly totalIsGuess: boolean;
}

/** The rate is that of so much of the past: long enough to bridge a slow object, short enough to tell a line that got worse. */
const WINDOW_MS = 15_000;
/** A rate of less is none. */
const LEAST_SPAN_MS = 1_500;
/** Told nothing for longer than this means that nothing was done; before, that the next mark is under way. */
const STANDSTILL_MS = 2_000;
/** Marks closer together than this are one. */
const MARK_EVERY_MS = 200;
/** How much is carried shows only when so much of a guessed total is done. */
const TELLING_SHARE = 0.05;

export class Estimator {
  /** Oldest first; the first is the last one that is not younger than the window. */
  #marks: { readonly atMs: number; readonly workBytes: number }[] = [];
  #last: Mark | null = null;

  /** What went on so far has nothing to do with what comes: another source, a reading that starts over. */
  restart(): void {
    this.#marks = [];
    this.#last = null;
  }

  add(mark: Mark): void {
    if (this.#last !== null && (mark.doneBytes < this.#last.doneBytes || workOf(mark) < workOf(this.#last))) this.restart();
    const newest = this.#marks.at(-1);
    if (newest === undefined || mark.atMs - newest.atMs >= MARK_EVERY_MS) this.#marks.push({ atMs: mark.atMs, workBytes: workOf(mark) });
    while (this.#marks.length > 1 && (this.#marks[1] as { atMs: number }).atMs <= mark.atMs - WINDOW_MS) this.#marks.shift();
    this.#last = mark;
  }

  /** Bytes a second of real work over the last quarter of a minute, standstill included; null: too early to say. */
  rate(nowMs: number): number | null {
    const last = this.#last;
    if (last === null) return null;
    const endMs = nowMs - last.atMs > STANDSTILL_MS ? nowMs : last.atMs;
    const from = this.#marks.findLast((mark) => mark.atMs <= endMs - WINDOW_MS) ?? this.#marks[0];
    if (from === undefined || endMs - from.atMs < LEAST_SPAN_MS) return null;
    return ((workOf(last) - from.workBytes) * 1000) / (endMs - from.atMs);
  }

  /**
   * Milliseconds still to go; null: unknown. What is left counts as work in the proportion that the rest so far was: in an increment
   * most of it is carried over in no time.
   */
  leftMs(nowMs: number): number | null {
    const last = this.#last;
    const rate = this.rate(nowMs);
    if (last === null || rate === null || rate <= 0 || last.totalBytes === null) return null;
    const { doneBytes, totalBytes, totalIsGuess } = last;
    // past a guess nothing is known of the end
    if (doneBytes >= totalBytes) return totalIsGuess ? null : 0;
    if (totalIsGuess && doneBytes < totalBytes * TELLING_SHARE) return null;
    const workShare = doneBytes === 0 ? 1 : workOf(last) / doneBytes;
    return ((totalBytes - doneBytes) * workShare * 1000) / rate;
  }
}

const workOf = (mark: Mark): number => mark.doneBytes - mark.carriedBytes;
