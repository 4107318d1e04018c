// A year of fifty shops on a fake clock: nightly backups, daily prunes, tenants that come to an end, and the ledger that is billed from.
import { join } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { expect, onTestFinished, test } from 'vitest';
import { CHAIN_START, chainHash, checkChain } from '../../src/billing/chain.ts';
import { monthPeaks } from '../../src/billing/month-peaks.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { slices } from '../../src/catalog/segments.ts';
import { parseConfig } from '../../src/config/load.ts';
import { dueSlots, parseSchedule } from '../../src/schedule/due.ts';
import { FakeClock } from '../fake-clock.ts';
import { Random } from '../shop/random.ts';
import { tempDir } from '../temp-dir.ts';
import { MemoryVault } from '../vault/memory-vault.ts';
import { Oracle } from './oracle.ts';
import { type LedgerRow, SimShop, type SimStore, type SimWorld } from './simulation.ts';

const SHOPS = 50;
const DAY = 86_400_000;
const ZONE = 'Europe/Paris';
const START = Temporal.Instant.from('2026-01-01T12:00:00Z');
const END = Temporal.Instant.from('2027-01-01T12:00:00Z');
/** What a lock may last beyond a window: reuse up to a week, ten minutes; and prune comes once a day. */
const BEYOND_WINDOW_MS = 7 * DAY + 600_000 + DAY;

/** Beside what the windows need: locks of a week of increments, and the hours until the next prune. */
const MOST_BEYOND_WINDOWS = 1.4;
/** What is held, or was, goes by its hold and not by its age. */
const HELD = ['shop17', 'shop19'];
const ENDED = ['shop11', 'shop13'];
/** Its key alone stays, should it come back. */
const SUSPENDED = 'shop07';

const names = Array.from({ length: SHOPS }, (_, i) => `shop${String(i).padStart(2, '0')}`);
const CONFIG = parseConfig(
  `encryption: none
timezone: ${ZONE}
vaults: { offsite: { type: filesystem, path: /srv/coffre } }
plans:
  fortnight: { retention: 14d, schedule: { database: "30 2 * * *", files: "0 3 * * 0", increments: "0 4 * * 1-6" } }
  month: { retention: 30d, schedule: { database: "30 2 * * *", files: "0 3 * * 0", increments: "0 4 * * 1-6" } }
contracts: { csi: { vault: offsite, subscribedTB: 1, period: month, price: { perTBMonth: "23.00", currency: EUR, stepTB: 1 } } }
shops:
${names.map((name, i) => `  ${name}: { plan: ${i % 3 === 0 ? 'month' : 'fortnight'}, vaults: [offsite], files: { root: /var/www/${name} }, database: { name: d, user: u, socketPath: /nowhere } }`).join('\n')}
`,
  '/etc/coffre/coffre.yaml',
  {},
);

/** What the store itself counted, after each change. */
interface Count {
  readonly at: number;
  readonly bytes: number;
}

test('the window is always full, storage is what the plan explains, and peaks are what the store counted', async () => {
  const clock = new FakeClock(START.epochMilliseconds);
  const world: SimWorld = { config: CONFIG, clock, skewMs: 0, ledger: [], nextId: 1 };
  const stores = names.map((): SimStore => ({ vault: new MemoryVault(clock, { name: 'offsite' }), up: true }));
  const shops = names.map((name, i) => {
    const declared = CONFIG.shops.get(name) as NonNullable<ReturnType<typeof CONFIG.shops.get>>;
    return new SimShop(world, declared, [stores[i] as SimStore]);
  });
  const oracles = shops.map((shop) => new Oracle(shop));
  const random = names.map((name) => new Random(`year/${name}`));
  const counts: Count[] = [];
  const count = (): void => {
    counts.push({ at: clock.nowMs(), bytes: stores.reduce((sum, store) => sum + store.vault.heldBytes, 0) });
  };
  let checked = 0;
  let most = 0;

  const jobs = [
    ...dueSlots(parseSchedule('30 2 * * *', ZONE), START, END).map((at) => ({ at, job: 'database' as const })),
    ...dueSlots(parseSchedule('0 3 * * 0', ZONE), START, END).map((at) => ({ at, job: 'full' as const })),
    ...dueSlots(parseSchedule('0 4 * * 1-6', ZONE), START, END).map((at) => ({ at, job: 'increment' as const })),
    ...dueSlots(parseSchedule('30 6 * * *', ZONE), START, END).map((at) => ({ at, job: 'prune' as const })),
  ].sort((a, b) => Temporal.Instant.compare(a.at, b.at));
  // as many databases as days, as many archives as weeks, whatever the clocks on the wall do
  expect(jobs.length).toBe(365 + 52 + 313 + 365);

  for (const { at, job } of jobs) {
    clock.advance(Math.max(0, at.epochMilliseconds - clock.nowMs()));
    const day = Math.floor((clock.nowMs() - START.epochMilliseconds) / DAY);
    for (const [i, shop] of shops.entries()) {
      const dice = random[i] as Random;
      if (job === 'prune') {
        live(shop, i, day, clock.nowMs());
        await shop.prune();
        (oracles[i] as Oracle).check(clock.nowMs(), true);
        (oracles[i] as Oracle).checkReleased(clock.nowMs());
        checked += (oracles[i] as Oracle).required.length;
        for (const row of shop.rows.values()) {
          if (row.kind !== 'segment' || row.createdAt >= clock.nowMs() - longestMs(shop)) continue;
          throw new Error(`${row.key} is still there after ${(clock.nowMs() - row.createdAt) / DAY} days`);
        }
      } else {
        const bytes = (least: number): number => least + dice.int(0, least);
        const fresh = job === 'full' ? [bytes(400), bytes(400), bytes(400)] : [bytes(job === 'database' ? 30 : 10)];
        const taken = await shop.backup({
          ...{ source: job === 'database' ? 'database' : 'files', full: job === 'full', fresh },
          reuses: (position) => (position + day) % 5 !== 0,
        });
        (oracles[i] as Oracle).took(taken);
      }
      count();
    }
    if (job === 'prune' && day > 60 && day % 7 === 0) {
      // what the windows need, and what is there: nothing is left over but what locks keep a few days longer
      const needed = oracles.reduce((sum, oracle, i) => sum + bytesOf(shops[i] as SimShop, oracle), 0);
      most = Math.max(most, (counts.at(-1)?.bytes ?? 0) / needed);
    }
  }
  expect(checked).toBeGreaterThan(50 * 300 * 10);
  expect(counts.at(-1)?.bytes).toBe(shops.reduce((sum, shop) => sum + shop.levelBytes, 0));
  expect(most).toBeLessThan(MOST_BEYOND_WINDOWS);
  for (const name of ENDED) expect(shops[names.indexOf(name)]?.levelBytes, name).toBe(0);
  expect([...(shops[names.indexOf(SUSPENDED)]?.rows.values() ?? [])].map((row) => row.kind)).toEqual(['key']);
  await checkPeaks(world.ledger, counts);
}, 900_000);

/** What happens to some of them in the year, before the prune of that day. */
function live(shop: SimShop, i: number, day: number, nowMs: number): void {
  const by = { since: nowMs, endsAt: null, who: 'test', reason: null };
  const plan = (name: string): void => {
    shop.plan = CONFIG.plans.get(name) as NonNullable<ReturnType<typeof CONFIG.plans.get>>;
  };
  const events: Readonly<Record<string, () => void>> = {
    'shop03 100': () => (shop.life = { ...by, state: 'suspended' }),
    'shop03 115': () => (shop.life = { ...by, state: 'active' }),
    'shop07 120': () => (shop.life = { ...by, state: 'suspended' }),
    'shop11 200': () => (shop.life = { ...by, state: 'closing', endsAt: nowMs + 30 * DAY }),
    'shop13 250': () => (shop.life = { ...by, state: 'erased' }),
    'shop17 90': () => void shop.held.set(shop.snapshots.find((it) => !it.tombstone)?.id ?? '', 'invoice dispute'),
    'shop17 200': () => shop.held.clear(),
    'shop19 60': () => (shop.shopHold = 'court order'),
    'shop19 120': () => (shop.shopHold = null),
    'shop22 150': () => plan('month'),
    'shop24 150': () => plan('fortnight'),
  };
  events[`${names[i]} ${day}`]?.();
}

/** The longest that a segment may stay after it was stored. */
function longestMs(shop: SimShop): number {
  if (shop.held.size > 0 || shop.shopHold !== null || HELD.includes(shop.name)) return Number.POSITIVE_INFINITY;
  // the window that it was stored under may have been the longer one
  return (
    30 * DAY +
    BEYOND_WINDOW_MS -
    (shop.name === 'shop24' || shop.plan.name === 'month' ? 0 : 16 * DAY) +
    (shop.life.state === 'active' ? 0 : 30 * DAY)
  );
}

function bytesOf(shop: SimShop, oracle: Oracle): number {
  const refs = new Set(oracle.required.flatMap((snapshot) => [...snapshot.segmentIds, snapshot.id]));
  let sum = 0;
  for (const row of shop.rows.values()) if (refs.has(row.refId as string)) sum += row.sizeBytes;
  return sum;
}

/** The real ledger's chain, the real peaks over it, and beside them what the store counted and a replay row by row. */
async function checkPeaks(rows: readonly LedgerRow[], counts: readonly Count[]): Promise<void> {
  const catalog = await openCatalog(join(await tempDir(), 'state'));
  onTestFinished(() => catalog.close());
  let head = CHAIN_START;
  const chained = rows.map((row) => {
    const whole = { ...row, cause: null };
    head = chainHash(head, whole);
    return { ...whole, hash: head };
  });
  await catalog.transaction(async (tx) => {
    for (const slice of slices(chained, 3_000)) await tx.insertInto('ledger').values(slice).execute();
  });
  expect(await checkChain(catalog)).toEqual({ rows: rows.length, head, brokenAt: null });
  for (let month = 2; month <= 12; month++) {
    const text = `2026-${String(month).padStart(2, '0')}`;
    const peaks = await monthPeaks(catalog, { month: text, contracts: CONFIG.contracts.values(), timezone: ZONE });
    const from = Temporal.PlainDate.from(`${text}-01`);
    const startMs = from.toZonedDateTime(ZONE).epochMilliseconds;
    const endMs = from.add({ months: 1 }).toZonedDateTime(ZONE).epochMilliseconds;
    const counted = counts.filter((it) => it.at >= startMs && it.at < endMs).map((it) => it.bytes);
    const opening = counts.findLast((it) => it.at < startMs)?.bytes ?? 0;
    const [contract] = peaks.contracts;
    expect([text, contract?.peakBytes]).toEqual([text, Math.max(opening, ...counted)]);
    const peakAt = Temporal.Instant.from(contract?.at ?? '').epochMilliseconds;
    const replayed = new Map<string, { level: number; peak: number; share: number }>();
    for (const { shop, at, bytes } of rows) {
      if (at >= endMs) break;
      const state = replayed.get(shop) ?? { level: 0, peak: 0, share: 0 };
      // deletions of one instant follow one another: only its end counts, which the next row's instant shows
      state.level += bytes;
      if (at < startMs) state.peak = state.level;
      else if (bytes > 0) state.peak = Math.max(state.peak, state.level);
      if (at <= peakAt) state.share = state.level;
      replayed.set(shop, state);
    }
    for (const shop of peaks.shops) {
      const { peak, share } = replayed.get(shop.shop) ?? { peak: 0, share: 0 };
      expect([text, shop.shop, shop.peakBytes, shop.shareAtContractPeakBytes]).toEqual([text, shop.shop, peak, share]);
    }
  }
}
