// Where the level of a contract and the data of a shop are going until the period's end, from what is known to go and planned to come. Pure.

/** Bytes that come or go at an instant (epoch milliseconds). */
export interface Change {
  readonly at: number;
  readonly bytes: number;
}

/** What a planned backup stores, and when it goes again. */
export interface Coming {
  readonly at: number;
  readonly bytes: number;
  readonly goesAt: number;
}

export interface Curve {
  readonly peakBytes: number;
  /** First instant of it, epoch milliseconds. */
  readonly peakAt: number;
  /** At the end. */
  readonly endBytes: number;
  /** Level after each change, in order of time. */
  readonly points: readonly Change[];
}

/** The level from now on; instants beyond the end do not count. What comes at an instant counts before what goes then: a backup first. */
export function curveOf(nowMs: number, endMs: number, levelBytes: number, going: readonly Change[], coming: readonly Coming[]): Curve {
  const changes: Change[] = [
    ...coming.map(({ at, bytes }) => ({ at, bytes })),
    ...coming.map(({ bytes, goesAt }) => ({ at: goesAt, bytes: -bytes })),
    ...going.map(({ at, bytes }) => ({ at: Math.max(at, nowMs), bytes: -bytes })),
  ];
  changes.sort((a, b) => a.at - b.at || b.bytes - a.bytes);
  let level = levelBytes;
  let [peakBytes, peakAt] = [level, nowMs];
  const points: { at: number; bytes: number }[] = [{ at: nowMs, bytes: level }];
  for (const { at, bytes } of changes) {
    if (at >= endMs) break;
    level = Math.max(0, level + bytes);
    if (level > peakBytes) [peakBytes, peakAt] = [level, at];
    const last = points.at(-1);
    if (last?.at === at) last.bytes = level;
    else points.push({ at, bytes: level });
  }
  return { peakBytes, peakAt, endBytes: level, points };
}

/** The first instant at which the curve is above so many bytes; null: it never is. */
export function reached({ points }: Curve, bytes: number): number | null {
  return points.find((point) => point.bytes > bytes)?.at ?? null;
}

/** Fewer than this say nothing about growth: then the mean counts alone. */
const LEAST_POINTS = 4;
/** No size is foreseen beyond so many times the largest that was seen. */
const MOST_GROWTH = 2;

/** A size that goes on as it went: the line through what was measured, by least squares; never below 0. null: nothing was measured. */
export function trend(measured: readonly Change[]): ((at: number) => number) | null {
  if (measured.length === 0) return null;
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [meanAt, meanBytes] = [mean(measured.map(({ at }) => at)), mean(measured.map(({ bytes }) => bytes))];
  const spread = measured.reduce((sum, { at }) => sum + (at - meanAt) ** 2, 0);
  const slope =
    measured.length < LEAST_POINTS || spread === 0
      ? 0
      : measured.reduce((sum, { at, bytes }) => sum + (at - meanAt) * (bytes - meanBytes), 0) / spread;
  const most = MOST_GROWTH * Math.max(...measured.map(({ bytes }) => bytes));
  return (at) => Math.round(Math.min(most, Math.max(0, meanBytes + slope * (at - meanAt))));
}

/** When a shop's data passes its quota; `used` is what it has now, `growth` bytes a millisecond. null: not before `endMs`. */
export function quotaReached(nowMs: number, endMs: number, used: number, growth: number, limitBytes: number): number | null {
  if (used > limitBytes) return nowMs;
  if (growth <= 0) return null;
  const at = nowMs + Math.floor((limitBytes - used) / growth) + 1;
  return at < endMs ? at : null;
}
