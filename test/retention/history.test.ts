// Random histories of a shop: months of backups, reuse, outages, kills, holds, suspensions, plan changes and clocks that jump.
import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { CoffreError } from '../../src/errors.ts';
import { parseSchedule } from '../../src/schedule/due.ts';
import { FakeClock } from '../fake-clock.ts';
import { MemoryVault } from '../vault/memory-vault.ts';
import { Oracle } from './oracle.ts';
import { SimShop, type SimStore, type SimWorld } from './simulation.ts';

/** More of them when asked for: COFFRE_TEST_HISTORIES=2000. */
const HISTORIES = Number(process.env.COFFRE_TEST_HISTORIES ?? 60);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const CONFIG = parseConfig(
  `encryption: none
timezone: Europe/Paris
vaults: { nas: { type: filesystem, path: /srv/coffre } }
plans:
  short: { retention: 36h, schedule: { database: "30 2 * * *", files: "0 3 * * 0", increments: "0 4 * * 1-6" } }
  fortnight: { retention: 14d, schedule: { database: "30 2 * * *", files: "0 3 * * 0", increments: "0 4 * * 1-6" } }
  month: { retention: 30d, full: reread, schedule: { database: "30 2 * * *", files: "0 3 * * 0", increments: "0 4 * * 1-6" } }
shops: { dupont: { plan: fortnight, vaults: [nas], files: { root: /var/www/dupont }, database: { name: d, user: u, socketPath: /nowhere } } }
`,
  '/etc/coffre/coffre.yaml',
  {},
);
const PLANS = ['short', 'fortnight', 'month'] as const;

type Event =
  | { readonly do: 'nothing' | 'release' | 'hold shop' | 'suspend' | 'resume' | 'erase' | 'heal' }
  | { readonly do: 'hold'; readonly which: number }
  | { readonly do: 'close'; readonly days: number }
  | { readonly do: 'plan'; readonly plan: (typeof PLANS)[number] }
  | { readonly do: 'clock'; readonly ms: number }
  | { readonly do: 'outage'; readonly store: number }
  | { readonly do: 'dead'; readonly days: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Event>({ do: 'nothing' }) },
  { weight: 4, arbitrary: fc.constant<Event>({ do: 'heal' }) },
  { weight: 2, arbitrary: fc.constantFrom<Event>({ do: 'release' }, { do: 'resume' }) },
  { weight: 1, arbitrary: fc.constantFrom<Event>({ do: 'hold shop' }, { do: 'suspend' }, { do: 'erase' }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('hold' as const), which: fc.nat({ max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), days: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('plan' as const), plan: fc.constantFrom(...PLANS) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('clock' as const),
      ms: fc.constantFrom(-4_900, 4_900, -HOUR, HOUR, -3 * DAY, 40 * DAY, -400 * DAY),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('outage' as const), store: fc.nat({ max: 1 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dead' as const), days: fc.integer({ min: 1, max: 10 }) }) },
);

const day = fc.record({
  event,
  database: fc.record({ fresh: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 2 }), reuses: fc.nat({ max: 7 }) }),
  files: fc.record({ fresh: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }), reuses: fc.nat({ max: 7 }) }),
  complete: fc.nat({ max: 9 }).map((n) => n > 0),
  dies: fc.constantFrom(null, null, null, null, null, null, null, 'segments' as const, 'manifest' as const),
  /** A prune that is killed after so many deletions. */
  cut: fc.constantFrom(null, null, null, null, null, 0, 1, 5),
  luck: fc.nat({ max: 7 }),
});

/** The hours in which backups run go through both changes of the clocks. */
const starts = fc.constantFrom('2026-03-20T12:00:00Z', '2026-10-16T12:00:00Z', '2026-06-01T12:00:00Z');

const NOON = parseSchedule('30 6 * * *', 'Europe/Paris');
const SLOTS = {
  database: parseSchedule('30 2 * * *', 'Europe/Paris'),
  full: parseSchedule('0 3 * * 0', 'Europe/Paris'),
  increment: parseSchedule('0 4 * * 1-6', 'Europe/Paris'),
};

interface Seen {
  snapshots: number;
  checks: number;
  refused: number;
}

async function live(start: string, days: readonly (typeof day extends fc.Arbitrary<infer T> ? T : never)[], seen: Seen): Promise<void> {
  const clock = new FakeClock(start);
  const world: SimWorld = { config: CONFIG, clock, skewMs: 0, ledger: [], nextId: 1 };
  const stores: SimStore[] = ['nas', 'offsite'].map((name) => ({ vault: new MemoryVault(clock, { name }), up: true }));
  const shop = new SimShop(world, CONFIG.shops.get('dupont') as NonNullable<ReturnType<typeof CONFIG.shops.get>>, stores);
  const oracle = new Oracle(shop);
  let deadUntil = 0;
  let lastPrune = clock.nowMs();

  const order = (what: Event): void => {
    const by = { since: clock.nowMs(), endsAt: null, who: 'test', reason: null };
    const { state } = shop.life;
    if (what.do === 'heal') {
      world.skewMs = 0;
      for (const store of stores) store.up = true;
    } else if (what.do === 'release') {
      shop.held.clear();
      shop.shopHold = null;
    } else if (what.do === 'hold shop') {
      if (state !== 'erased') shop.shopHold = 'court order';
    } else if (what.do === 'hold') {
      const named = shop.snapshots.filter((it) => !it.tombstone)[what.which];
      if (named) shop.held.set(named.id, 'invoice dispute');
    } else if (what.do === 'suspend') {
      if (state === 'active') shop.life = { ...by, state: 'suspended' };
    } else if (what.do === 'resume') {
      if (state === 'suspended' || state === 'closing') shop.life = { ...by, state: 'active' };
    } else if (what.do === 'close') {
      if (state === 'active') shop.life = { ...by, state: 'closing', endsAt: clock.nowMs() + what.days * DAY };
    } else if (what.do === 'erase') {
      if (shop.held.size === 0 && shop.shopHold === null) shop.life = { ...by, state: 'erased' };
    } else if (what.do === 'plan') {
      shop.plan = CONFIG.plans.get(what.plan) as NonNullable<ReturnType<typeof CONFIG.plans.get>>;
    } else if (what.do === 'clock') world.skewMs = what.ms;
    else if (what.do === 'outage') (stores[what.store] as SimStore).up = false;
    else if (what.do === 'dead') deadUntil = clock.nowMs() + what.days * DAY;
  };

  /** What the daemon does when its clock or a vault does not let it: nothing, and it says so. */
  const attempt = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof CoffreError) || !['E_CLOCK_SKEW', 'E_LOCK_DROPPED'].includes(error.code)) throw error;
      seen.refused++;
      return null;
    }
  };

  for (const today of days) {
    order(today.event);
    const morning = NOON.next(clock.now()) as Temporal.Instant;
    const due: [Temporal.Instant, () => Promise<void>][] = [];
    for (const [slot, schedule] of Object.entries(SLOTS)) {
      const at = schedule.next(clock.now()) as Temporal.Instant;
      if (Temporal.Instant.compare(at, morning) > 0) continue;
      const source = slot === 'database' ? 'database' : 'files';
      const { fresh, reuses } = today[source];
      due.push([
        at,
        async () => {
          const taken = await attempt(() =>
            shop.backup({
              ...{ source, fresh, full: slot === 'full', complete: today.complete },
              reuses: (position) => (position + reuses) % 3 !== 0,
              ...(today.dies && slot === 'database' ? { dieAfter: today.dies } : {}),
            }),
          );
          if (taken) seen.snapshots++;
          oracle.took(taken);
        },
      ]);
    }
    for (const [at, work] of due.sort((a, b) => Temporal.Instant.compare(a[0], b[0]))) {
      clock.advance(Math.max(0, at.epochMilliseconds - clock.nowMs()));
      if (clock.nowMs() >= deadUntil) await work();
      oracle.check(clock.nowMs(), false);
    }
    clock.advance(morning.epochMilliseconds - clock.nowMs());
    if (clock.nowMs() < deadUntil) continue;
    let dice = today.luck;
    const disturbed = today.cut !== null || today.luck > 5;
    const pruned = await attempt(() => shop.prune(() => !disturbed || dice++ % 3 !== 0, today.cut ?? Number.POSITIVE_INFINITY));
    const undisturbed = pruned !== null && !disturbed && stores.every((store) => store.up);
    oracle.check(clock.nowMs(), undisturbed);
    seen.checks++;
    if (undisturbed) {
      oracle.checkReleased(clock.nowMs());
      lastPrune = clock.nowMs();
    }
    const level = stores.reduce((sum, store) => sum + store.vault.heldBytes, 0);
    if (shop.levelBytes !== level) throw new Error(`level ${shop.levelBytes}, the stores hold ${level}`);
  }
  // nothing stays for ever: healed, released and erased, the stores are empty when the last lock has ended
  order({ do: 'heal' });
  order({ do: 'release' });
  order({ do: 'erase' });
  for (let left = 0; left < 3; left++) {
    await shop.prune();
    clock.advance(45 * DAY);
  }
  expect(lastPrune).toBeGreaterThan(0);
  expect(stores.map((store) => store.vault.heldBytes)).toEqual([0, 0]);
}

test('no restorable snapshot in its window ever loses an object or its lock, and storage is released within one prune after it may be', async () => {
  const seen: Seen = { snapshots: 0, checks: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(starts, fc.array(day, { minLength: 10, maxLength: 70 }), (start, days) => live(start, days, seen)),
    { numRuns: HISTORIES },
  );
  // the histories were not all of one kind
  expect(seen.snapshots).toBeGreaterThan(HISTORIES * 10);
  expect(seen.refused).toBeGreaterThan(HISTORIES / 6);
  expect(seen.checks).toBeGreaterThan(HISTORIES * 10);
}, 3_600_000);
