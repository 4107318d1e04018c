// Peaks of a period: the highest level, when it was reached, and what each shop's part in it was. Pure over the ledger's rows.

/** One row of the ledger, as far as a peak is concerned. */
export interface LevelChange {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly shop: string;
  /** Bytes that came (+) or went (-). */
  readonly bytes: number;
}

export interface PeakInput {
  /** Start of the period, epoch milliseconds. */
  readonly startMs: number;
  /** Level of each shop just before the start, in bytes. */
  readonly opening: ReadonlyMap<string, number>;
  /** Rows of the period in the ledger's order, whose times never go back; in pages, so that none has to hold them all. */
  readonly pages: AsyncIterable<readonly LevelChange[]> | Iterable<readonly LevelChange[]>;
}

export interface Peak {
  readonly peakBytes: number;
  /** First instant at which it was reached, epoch milliseconds; the start when the period opened with it. */
  readonly at: number;
}

export interface ShopPeak extends Peak {
  readonly shop: string;
  /** Level of this shop at the instant of the sum's peak: the shares add up to it. */
  readonly shareBytes: number;
}

export interface Peaks {
  /** Of the sum over all shops, never the sum of their peaks. */
  readonly sum: Peak;
  /** By name. */
  readonly shops: readonly ShopPeak[];
}

interface ShopState {
  level: number;
  peakBytes: number;
  peakAt: number;
  /** Level at the sum's peak number `sharePeak`; for a later peak the shop has not moved since, and its level is its share. */
  share: number;
  sharePeak: number;
}

/**
 * The level at an instant is the sum of all rows up to and including it, so rows of one millisecond count together: an upload that
 * becomes an object is never there twice. The opening level counts as a level of the period.
 */
export async function findPeaks(input: PeakInput): Promise<Peaks> {
  const { startMs } = input;
  const shops = new Map<string, ShopState>();
  let sum = 0;
  for (const [shop, level] of input.opening) {
    shops.set(shop, { level, peakBytes: level, peakAt: startMs, share: level, sharePeak: 0 });
    sum += level;
  }
  let peak: Peak = { peakBytes: sum, at: startMs };
  let peakNumber = 0;

  let instant = startMs;
  const moved = new Set<ShopState>();
  const settle = (): void => {
    for (const state of moved) {
      if (state.level > state.peakBytes) {
        state.peakBytes = state.level;
        state.peakAt = instant;
      }
    }
    moved.clear();
    if (sum > peak.peakBytes) {
      peak = { peakBytes: sum, at: instant };
      peakNumber++;
    }
  };

  for await (const page of input.pages) {
    for (const row of page) {
      if (row.at !== instant) {
        settle();
        instant = row.at;
      }
      let state = shops.get(row.shop);
      if (!state) {
        state = { level: 0, peakBytes: 0, peakAt: startMs, share: 0, sharePeak: 0 };
        shops.set(row.shop, state);
      }
      keepShare(state, peakNumber);
      moved.add(state);
      state.level += row.bytes;
      sum += row.bytes;
    }
  }
  settle();

  const names = [...shops.keys()].sort();
  return {
    sum: peak,
    shops: names.map((shop) => {
      const state = shops.get(shop) as ShopState;
      keepShare(state, peakNumber);
      return { shop, peakBytes: state.peakBytes, at: state.peakAt, shareBytes: state.share };
    }),
  };
}

/** Before a shop moves for the first time after a peak, its level is still what it was at that peak. */
function keepShare(state: ShopState, peakNumber: number): void {
  if (state.sharePeak === peakNumber) return;
  state.share = state.level;
  state.sharePeak = peakNumber;
}
