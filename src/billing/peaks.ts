// Peaks of a period: the highest level, when it was reached, and what each shop's part in it was. Pure over the ledger's rows.
import type { AnchorLevel } from './anchors.ts';
import type { Moves, Pair as NamedPair } from './moves.ts';

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
  /** By name. A shop that held nothing and moved nothing has no line. */
  readonly shops: readonly ShopPeak[];
}

/** Whose levels are added up: shops of one vault. */
export interface Scope {
  readonly vault: string;
  covers(shop: string): boolean;
}

interface Pair {
  readonly shop: string;
  level: number;
  peakBytes: number;
  peakAt: number;
  /** When it moved last, so that rows of one instant count together. */
  movedAt: number;
  readonly members: readonly Member[];
}

/** A shop in one scope. */
interface Member {
  readonly pair: Pair;
  readonly sum: Sum;
  /** Level of the shop at the sum's peak number `sharePeak`; for a later peak the shop has not moved since, and its level is its share. */
  share: number;
  sharePeak: number;
}

interface Sum {
  level: number;
  peakBytes: number;
  peakAt: number;
  peakNumber: number;
  readonly members: Member[];
}

/**
 * Adds up levels for several scopes at once. The level at an instant is the sum of all rows up to and including it, so rows of one
 * millisecond count together: an upload that becomes an object is never there twice. The opening level counts as a level of the period.
 * Call `open` for what was there just before the start, then `add` with the rows from there on, in the ledger's order, then `end`.
 */
export class PeakScan {
  readonly #startMs: number;
  readonly #scopes: readonly Scope[];
  readonly #sums: readonly Sum[];
  readonly #pairs = new Map<string, Map<string, Pair>>();
  readonly #opening = new Map<string, AnchorLevel>();
  #moved: Pair[] = [];
  #instant: number;

  constructor(startMs: number, scopes: readonly Scope[]) {
    this.#startMs = startMs;
    this.#instant = startMs;
    this.#scopes = scopes;
    this.#sums = scopes.map(() => ({ level: 0, peakBytes: 0, peakAt: startMs, peakNumber: 0, members: [] }));
  }

  /** May be called several times before the first row: what comes of one shop adds up. */
  open(levels: Iterable<AnchorLevel>): void {
    for (const [vault, shop, bytes] of levels) {
      const name = `${vault}\0${shop}`;
      this.#opening.set(name, [vault, shop, (this.#opening.get(name)?.[2] ?? 0) + bytes]);
    }
  }

  #begin(): void {
    for (const [vault, shop, bytes] of this.#opening.values()) {
      if (bytes === 0) continue;
      const pair = this.#pair(vault, shop);
      pair.level = bytes;
      pair.peakBytes = bytes;
      for (const member of pair.members) {
        member.share = bytes;
        member.sum.level += bytes;
        member.sum.peakBytes = member.sum.level;
      }
    }
    this.#opening.clear();
  }

  /** Those rows of `moves` from place `from` up to `to`. */
  add({ at, bytes, pair, pairs }: Moves, from: number, to: number): void {
    this.#begin();
    // only those that move here: others may move later, or in another period
    const known: (Pair | undefined)[] = new Array(pairs.length);
    for (let i = from; i < to; i++) {
      const number = pair[i] as number;
      let one = known[number];
      if (one === undefined) {
        const [vault, shop] = pairs[number] as NamedPair;
        one = this.#pair(vault, shop);
        known[number] = one;
      }
      if (one.members.length === 0) continue;
      const now = at[i] as number;
      if (now !== this.#instant) {
        this.#settle();
        this.#instant = now;
      }
      if (one.movedAt !== now) {
        one.movedAt = now;
        this.#moved.push(one);
      }
      const came = bytes[i] as number;
      for (const member of one.members) {
        keepShare(member);
        member.sum.level += came;
      }
      one.level += came;
    }
  }

  /** In the order of the scopes. */
  end(): Peaks[] {
    this.#begin();
    this.#settle();
    return this.#sums.map(({ members, peakAt, peakBytes }) => ({
      sum: { peakBytes, at: peakAt },
      shops: members
        .map((member) => {
          keepShare(member);
          const { pair, share } = member;
          return { shop: pair.shop, peakBytes: pair.peakBytes, at: pair.peakAt, shareBytes: share };
        })
        .sort((a, b) => (a.shop < b.shop ? -1 : 1)),
    }));
  }

  #pair(vault: string, shop: string): Pair {
    let shops = this.#pairs.get(vault);
    if (!shops) {
      shops = new Map();
      this.#pairs.set(vault, shops);
    }
    let pair = shops.get(shop);
    if (!pair) {
      const members: Member[] = [];
      pair = { shop, level: 0, peakBytes: 0, peakAt: this.#startMs, movedAt: Number.NaN, members };
      for (const [i, scope] of this.#scopes.entries()) {
        const sum = this.#sums[i] as Sum;
        if (scope.vault !== vault || !scope.covers(shop)) continue;
        const member: Member = { pair, sum, share: 0, sharePeak: 0 };
        members.push(member);
        sum.members.push(member);
      }
      shops.set(shop, pair);
    }
    return pair;
  }

  /** Everything of the instant is in. */
  #settle(): void {
    const moved = this.#moved;
    if (moved.length === 0) return;
    for (const pair of moved) {
      if (pair.level > pair.peakBytes) {
        pair.peakBytes = pair.level;
        pair.peakAt = this.#instant;
      }
      for (const { sum } of pair.members) {
        if (sum.level <= sum.peakBytes) continue;
        sum.peakBytes = sum.level;
        sum.peakAt = this.#instant;
        sum.peakNumber++;
      }
    }
    this.#moved = [];
  }
}

/** Before a shop moves for the first time after a peak, its level is still what it was at that peak. */
function keepShare(member: Member): void {
  if (member.sharePeak === member.sum.peakNumber) return;
  member.share = member.pair.level;
  member.sharePeak = member.sum.peakNumber;
}
