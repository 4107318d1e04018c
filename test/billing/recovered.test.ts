import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { chainOf, type FoundCheckpoint } from '../../src/backup/rebuild-checkpoints.ts';
import { checkChain } from '../../src/billing/chain.ts';
import { Ledger } from '../../src/billing/ledger.ts';
import { BEFORE_FIRST, type ChainPlace, type LedgerPage, ledgerPage } from '../../src/billing/ledger-page.ts';
import { levels } from '../../src/billing/level.ts';
import { addPage, compareLedger, isChained, type ListedBytes, openLedger, sayLost, settleLedger } from '../../src/billing/recovered.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

async function open(): Promise<Catalog> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  return catalog;
}

const SHOPS = ['dupont', 'martin'] as const;
const step = fc.record({ shop: fc.constantFrom(...SHOPS), bytes: fc.integer({ min: 1, max: 1000 }), deletes: fc.boolean() });

interface History {
  readonly catalog: Catalog;
  readonly pages: readonly LedgerPage[];
  /** What the store lists at the end, by shop. */
  readonly listed: ReadonlyMap<string, readonly ListedBytes[]>;
}

/** Puts and deletions, told in pages of `size` rows; the last `untold` steps come after the last page. */
async function history(
  steps: readonly { shop: string; bytes: number; deletes: boolean }[],
  size: number,
  untold: number,
): Promise<History> {
  const catalog = await open();
  const clock = new FakeClock();
  const ledger = new Ledger(catalog, clock);
  const pages: LedgerPage[] = [];
  const there: { shop: string; id: number; at: ListedBytes }[] = [];
  const tell = async (): Promise<void> => {
    for (;;) {
      const page = await ledgerPage(catalog.db, pages.at(-1)?.until ?? BEFORE_FIRST, size);
      pages.push(page);
      if (page.rows.length < size) return;
    }
  };
  for (const [at, { shop, bytes, deletes }] of steps.entries()) {
    if (at === steps.length - untold) await tell();
    clock.advance(60_000);
    const gone = deletes ? there.shift() : undefined;
    if (gone) {
      await ledger.released(gone.id);
      continue;
    }
    const key = `${shop}/segments/${at}`;
    const id = await ledger.intent({ vault: 'offsite', shop, key, kind: 'segment', refId: null, runId: null, expectedBytes: bytes });
    await ledger.stored(id, { key, versionId: `v${at}`, sizeBytes: bytes, lock: null }, null);
    there.push({ shop, id, at: { key, versionId: `v${at}`, bytes, atMs: clock.nowMs() } });
  }
  if (untold === 0) await tell();
  const listed = new Map(SHOPS.map((shop) => [shop, there.filter((one) => one.shop === shop).map((one) => one.at)]));
  return { catalog, pages, listed };
}

async function recover(pages: readonly LedgerPage[], listed: History['listed']): Promise<Catalog> {
  const catalog = await open();
  const [first] = pages;
  if (!first) throw new Error('no page');
  const verbatim = first.after.row === 0;
  const since = verbatim ? null : (first.rows[0]?.at ?? 0);
  let head: ChainPlace = BEFORE_FIRST;
  await catalog.transaction(async (tx) => {
    if (!verbatim) head = await openLedger(tx, first, 0);
    for (const page of pages) head = await addPage(tx, page, head);
    await sayLost(tx, first.after, since ?? 0, 0);
    const unsaid = [];
    for (const [shop, rows] of listed) unsaid.push(await compareLedger(tx, 'offsite', shop, rows, since));
    await settleLedger(tx, unsaid, new FakeClock('2026-04-02T02:30:00Z').nowMs());
  });
  return catalog;
}

describe('a ledger from checkpoints and a listing', () => {
  test('all pages - the same rows, one chain; what came and went afterwards is settled to the byte', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(8),
        async (steps, size, late) => {
          const untold = Math.min(late, steps.length - 1);
          const { catalog, pages, listed } = await history(steps, size, untold);
          expect(pages.every(isChained)).toBe(true);
          const told = pages.at(-1)?.until.row ?? 0;
          const recovered = await recover(pages, listed);
          const original = await catalog.db.selectFrom('ledger').selectAll().where('id', '<=', told).orderBy('id').execute();
          expect(await recovered.db.selectFrom('ledger').selectAll().where('id', '<=', told).orderBy('id').execute()).toEqual(original);
          expect(await checkChain(recovered)).toMatchObject({ brokenAt: null });
          await equalsListing(recovered, listed);
        },
      ),
      { numRuns: 12 },
    );
  });

  test('the older pages lost - an opening balance stands for them, and the level still equals the listing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 8, maxLength: 25 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(4),
        async (steps, size, lost) => {
          const { pages, listed } = await history(steps, size, 2);
          const recovered = await recover(pages.slice(Math.min(lost + 1, pages.length - 1)), listed);
          expect(await checkChain(recovered)).toMatchObject({ brokenAt: null });
          await equalsListing(recovered, listed);
        },
      ),
      { numRuns: 12 },
    );
  });

  async function equalsListing(catalog: Catalog, listed: History['listed']): Promise<void> {
    const found = new Map((await levels(catalog)).map(({ shop, levelBytes }) => [shop, levelBytes]));
    for (const [shop, rows] of listed) expect(found.get(shop) ?? 0, shop).toBe(rows.reduce((sum, { bytes }) => sum + bytes, 0));
  }
});

describe('checkpoints that make one chain', () => {
  const place = (row: number): ChainPlace => ({ row, hash: String(row).padStart(64, '0') });
  const found = (after: number, until: number, chained = true): FoundCheckpoint =>
    ({ version: { key: `${after}` }, time: '', after: place(after), until: place(until), chained }) as unknown as FoundCheckpoint;
  const names = (all: readonly FoundCheckpoint[]): number[] => chainOf(all).map(({ after }) => after.row);

  test.each<[name: string, all: readonly FoundCheckpoint[], chain: readonly number[]]>([
    ['none', [], []],
    ['three in a row', [found(0, 5), found(5, 9), found(9, 9)], [0, 5, 9]],
    ['one missing in the middle', [found(0, 5), found(9, 12), found(12, 20)], [9, 12]],
    ['one told again after a crash', [found(0, 5), found(5, 9), found(5, 12)], [0, 5, 5]],
    ['told anew from the start', [found(0, 5), found(5, 9), found(0, 12), found(12, 13)], [0, 12]],
    ['one whose own rows do not follow', [found(0, 5), found(5, 9, false), found(9, 12)], [9]],
  ])('%s', (_name, all, chain) => {
    expect(names(all)).toEqual(chain);
  });
});
