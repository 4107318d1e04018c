// Which snapshots were the newest good ones at a past instant, and how long each of them is kept for that, whatever its window. Pure.

export interface TakenSnapshot {
  readonly id: string;
  readonly shop: string;
  readonly source: string;
  /** Epoch milliseconds. */
  readonly completedAt: number;
  readonly complete: number;
  readonly purpose: 'safety' | null;
}

const DAY_MS = 86_400_000;
/** Prune runs daily. */
const PRUNE_DELAY_MS = DAY_MS;

/**
 * Of each shop and source the complete backups that had ended by `atMs`, each with when the next one took its place (epoch milliseconds,
 * infinite: it was the newest then).
 */
export function replacedAt(snapshots: Iterable<TakenSnapshot>, atMs: number): ReadonlyMap<string, number> {
  const taken = new Map<string, TakenSnapshot>();
  for (const one of snapshots) if (one.complete === 1 && one.purpose !== 'safety' && one.completedAt <= atMs) taken.set(one.id, one);
  const found = new Map<string, number>();
  for (const own of Map.groupBy(taken.values(), ({ shop, source }) => `${shop} ${source}`).values()) {
    own.sort((a, b) => a.completedAt - b.completedAt || (a.id < b.id ? -1 : 1));
    own.forEach(({ id }, place) => {
      found.set(id, own[place + 1]?.completedAt ?? Number.POSITIVE_INFINITY);
    });
  }
  return found;
}

/**
 * From when on a snapshot would have been gone with a window of `windowMs`: the newest good one never goes; one that was it beyond its
 * window has its lock moved ahead, two margins of retention/margins.ts at most; then comes the daily prune.
 */
export function goneFrom({ completedAt }: Pick<TakenSnapshot, 'completedAt'>, replacedMs: number | undefined, windowMs: number): number {
  const end = completedAt + windowMs;
  const margin = Math.min(2 * DAY_MS, Math.ceil(windowMs / 2));
  const moved = replacedMs !== undefined && replacedMs + margin > end;
  return (moved ? Math.max(end, replacedMs + 2 * margin) : end) + PRUNE_DELAY_MS;
}
