// Peaks and amounts once more, written as differently as can be: every instant is looked at, every shop is added up anew at each, money is
// counted in whole numbers and fractions of them. None of the code under test is used here.

/** What happened to one object: bytes that came, or went, at an instant. */
export interface Happening {
  readonly at: number;
  readonly vault: string;
  readonly shop: string;
  readonly bytes: number;
}

export interface BrutePeak {
  readonly peakBytes: number;
  readonly at: number;
  /** By shop: its level at that instant, and its own highest level with its first instant. */
  readonly shops: ReadonlyMap<string, { readonly share: number; readonly peakBytes: number; readonly at: number }>;
}

/** `happenings` of the vault, in order of time. */
export function brutePeak(
  happenings: readonly Happening[],
  vault: string,
  covers: (shop: string) => boolean,
  from: number,
  to: number,
): BrutePeak {
  const own = happenings.filter((one) => one.vault === vault && covers(one.shop) && one.at < to);
  const names = [...new Set(own.map((one) => one.shop))];
  const levels = names.map(() => 0);
  const place = new Map(names.map((name, i) => [name, i]));
  const highest = names.map(() => ({ peakBytes: -1, at: 0 }));
  let best = { peakBytes: -1, at: 0, levels: [] as number[] };
  const look = (at: number): void => {
    let sum = 0;
    for (const [i, level] of levels.entries()) {
      sum += level;
      if (level > (highest[i] as { peakBytes: number }).peakBytes) highest[i] = { peakBytes: level, at };
    }
    if (sum > best.peakBytes) best = { peakBytes: sum, at, levels: [...levels] };
  };
  let i = 0;
  for (; i < own.length && (own[i] as Happening).at < from; i++) {
    const { bytes, shop } = own[i] as Happening;
    levels[place.get(shop) as number] = (levels[place.get(shop) as number] as number) + bytes;
  }
  const opening = new Set(names.filter((_name, k) => levels[k] !== 0));
  const moved = new Set(own.slice(i).map((one) => one.shop));
  look(from);
  while (i < own.length) {
    const { at } = own[i] as Happening;
    for (; i < own.length && (own[i] as Happening).at === at; i++) {
      const { bytes, shop } = own[i] as Happening;
      levels[place.get(shop) as number] = (levels[place.get(shop) as number] as number) + bytes;
    }
    look(at);
  }
  const shops = new Map(
    names
      .filter((name) => opening.has(name) || moved.has(name))
      .map((name) => {
        const k = place.get(name) as number;
        return [name, { share: best.levels[k] as number, ...(highest[k] as { peakBytes: number; at: number }) }];
      }),
  );
  return { peakBytes: best.peakBytes, at: best.at, shops };
}

/** Terms of a contract, decimals as text. Days are ISO dates. */
export interface BruteTerms {
  readonly subscribedBytes: bigint;
  readonly stepBytes: bigint;
  readonly price: string;
  readonly prices: readonly { readonly from: string; readonly price: string }[];
  readonly index: {
    readonly s0: string;
    readonly anniversary: string;
    readonly values: readonly { readonly date: string; readonly value: string }[];
  } | null;
  /** Percent; null: none. */
  readonly tax: bigint | null;
}

type Fraction = readonly [bigint, bigint];

const fractionOf = (text: string): Fraction => {
  const [whole = '', part = ''] = text.split('.');
  return [BigInt(whole + part), 10n ** BigInt(part.length)];
};
const times = ([a, b]: Fraction, [c, d]: Fraction): Fraction => [a * c, b * d];
const plus = ([a, b]: Fraction, [c, d]: Fraction): Fraction => [a * d + c * b, b * d];
/** Positive; halves go up. */
const round = ([a, b]: Fraction, unit: bigint): bigint => (2n * a * unit + b) / (2n * b);
const TB: bigint = 10n ** 12n;

const dayAfter = (day: string): string => new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
const daysIn = (day: string): bigint => BigInt(new Date(Date.UTC(Number(day.slice(0, 4)), Number(day.slice(5, 7)), 0)).getUTCDate());

/** Price of a TB and month on a day, with what it was made of. */
function priceOn({ index, price, prices }: BruteTerms, day: string): { price: Fraction; made: string } {
  const agreed = prices.filter((one) => one.from <= day).at(-1)?.price ?? price;
  if (index !== null) {
    for (let year = Number(day.slice(0, 4)); year >= Number(index.anniversary.slice(0, 4)); year--) {
      const anniversary = `${year}${index.anniversary.slice(4)}`;
      if (anniversary > day) continue;
      const before = `${year - 1}${index.anniversary.slice(4)}`;
      const value = index.values.filter((one) => one.date <= anniversary && one.date > before).at(-1);
      if (!value) continue;
      const [c, d] = fractionOf(index.s0);
      const exact = times(times(fractionOf(agreed), fractionOf(value.value)), [d, c]);
      return { price: [round(exact, 10_000n), 10_000n], made: `${agreed} ${value.date} ${anniversary}` };
    }
  }
  return { price: fractionOf(agreed), made: agreed };
}

/** Cents of some bytes over the days from `from` through `to`, one amount for each span of days with one price. */
export function bruteLines(terms: BruteTerms, quantity: bigint, from: string, to: string): bigint[] {
  if (quantity === 0n) return [];
  const lines: bigint[] = [];
  let open: { made: string; price: Fraction; months: Fraction } | null = null;
  const close = (): void => {
    if (open) lines.push(round(times(times([quantity, TB], open.price), open.months), 100n));
    open = null;
  };
  for (let day = from; day <= to; day = dayAfter(day)) {
    const { made, price } = priceOn(terms, day);
    const one: Fraction = [1n, daysIn(day)];
    const now = open as { made: string; price: Fraction; months: Fraction } | null;
    if (now?.made === made) open = { ...now, months: plus(now.months, one) };
    else {
      close();
      open = { made, price, months: one };
    }
  }
  close();
  return lines;
}

export function bruteVariable({ stepBytes, subscribedBytes }: BruteTerms, peakBytes: number): bigint {
  let variable = 0n;
  while (subscribedBytes + variable < BigInt(peakBytes)) variable += stepBytes;
  return variable;
}

/** Cents by shop: the whole part of each, then one more for the largest remainders, by name where they are equal. */
export function bruteShares(cents: bigint, weights: ReadonlyMap<string, bigint>): Map<string, bigint> {
  const sum = [...weights.values()].reduce((a, b) => a + b, 0n);
  const each = [...weights.keys()].sort().map((name) => {
    const weight = sum === 0n ? 1n : (weights.get(name) as bigint);
    const product = cents * weight;
    const of = sum === 0n ? BigInt(weights.size) : sum;
    return { name, cents: product / of, rest: product % of };
  });
  let left = cents - each.reduce((a, one) => a + one.cents, 0n);
  while (left > 0n) {
    const best = each.reduce((a, b) => (b.rest > a.rest ? b : a));
    best.cents++;
    best.rest = -1n;
    left--;
  }
  return new Map(each.map((one) => [one.name, one.cents]));
}
