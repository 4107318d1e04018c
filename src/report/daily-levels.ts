// How much was held on each day of a period: its peak and its level at the end. Pure.

/** Epoch milliseconds and bytes, in the order of the ledger. */
export interface Move {
  readonly at: number;
  readonly bytes: number;
}

export interface DayLevel {
  readonly peakBytes: number;
  readonly endBytes: number;
}

export interface DailyLevels {
  readonly days: readonly (DayLevel | null)[];
  readonly levelBytes: number;
  readonly peakBytes: number;
  /** When the peak was first reached: the beginning, or a move. */
  readonly peakAt: number;
}

/**
 * `openingBytes` is the level right before `fromMs`; `dayEnds` the instant behind each day. Moves of one instant count together, as in
 * billing. A day that ends by `fromMs`, or begins at `nowMs` or later, is null.
 */
export function dailyLevels(
  openingBytes: number,
  moves: readonly Move[],
  {
    dayEnds,
    dayStarts,
    fromMs,
    nowMs,
  }: { readonly dayStarts: readonly number[]; readonly dayEnds: readonly number[]; readonly fromMs: number; readonly nowMs: number },
): DailyLevels {
  let level = openingBytes;
  let [peakBytes, peakAt] = [openingBytes, fromMs];
  let next = 0;
  const days = dayEnds.map((endMs, day): DayLevel | null => {
    if (endMs <= fromMs || (dayStarts[day] ?? 0) >= nowMs) return null;
    let dayPeak = level;
    for (let move = moves[next]; move !== undefined && move.at < endMs; move = moves[next]) {
      const { at } = move;
      for (let same = moves[next]; same !== undefined && same.at === at; same = moves[++next]) level += same.bytes;
      dayPeak = Math.max(dayPeak, level);
      if (level > peakBytes) [peakBytes, peakAt] = [level, at];
    }
    return { peakBytes: dayPeak, endBytes: level };
  });
  return { days, levelBytes: level, peakBytes, peakAt };
}
