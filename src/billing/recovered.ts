// The ledger of a machine that was lost: rows as checkpoints tell them, then what the vault's own listing says beside them.
import type { Kysely } from 'kysely';
import { slices } from '../catalog/segments.ts';
import type { Tables } from '../catalog/tables.ts';
import type { AnchorLevel } from './anchors.ts';
import { chainHash } from './chain.ts';
import { appendAt } from './entries.ts';
import type { ChainPlace, LedgerPage } from './ledger-page.ts';
import { openingRows } from './ledger-start.ts';

const ROWS_AT_ONCE = 500;

/** Whether the page's rows follow from where it says that it begins, and end where it says that it ends. */
export function isChained({ after, until, rows }: LedgerPage): boolean {
  let hash = after.hash;
  let id = after.row;
  for (const row of rows) {
    if (row.id <= id || chainHash(hash, row) !== row.hash) return false;
    hash = row.hash;
    id = row.id;
  }
  return hash === until.hash && id === until.row;
}

/** Puts a page's rows behind `head`, with their ids and hashes, and returns the new end; those that are there already are left out. */
export async function addPage(tx: Kysely<Tables>, page: LedgerPage, head: ChainPlace): Promise<ChainPlace> {
  const fresh = page.rows.filter(({ id }) => id > head.row);
  for (const some of slices(fresh, ROWS_AT_ONCE)) await tx.insertInto('ledger').values(some).execute();
  const last = fresh.at(-1);
  return last === undefined ? head : { row: last.id, hash: last.hash };
}

/**
 * Begins a ledger whose older rows are lost: opening balances stand for them, and the chain goes on where it stood. Returns that place, to
 * be said by `sayLost` once everything is told.
 */
export async function openLedger(tx: Kysely<Tables>, page: LedgerPage, atMs: number): Promise<ChainPlace> {
  const levels = new Map(page.levels.map(({ bytes, shop, vault }): [string, AnchorLevel] => [`${vault}\0${shop}`, [vault, shop, bytes]]));
  for (const { vault, shop, bytes } of page.rows) {
    const at = `${vault}\0${shop}`;
    levels.set(at, [vault, shop, (levels.get(at)?.[2] ?? 0) - bytes]);
  }
  const cause = `opening balance: the rows up to ${page.after.row} are lost, their chain stood at ${page.after.hash}`;
  const rows = openingRows([...levels.values()], { ...page.after, at: page.rows[0]?.at ?? atMs, cause });
  if (rows.length > 0) await tx.insertInto('ledger').values(rows).execute();
  return page.after;
}

/**
 * After all pages: which rows are gone, whatever the checkpoints said was purged. `place`: before the first row that was told; `atMs`: its
 * instant.
 */
export async function sayLost(tx: Kysely<Tables>, place: ChainPlace, atMs: number, nowMs: number): Promise<void> {
  // a purge that the checkpoints tell of, and whose rows they told before, is to be done again
  await tx.deleteFrom('ledgerStarts').where('row', '>', place.row).execute();
  if (place.row === 0) return;
  const told = await tx.selectFrom('ledgerStarts').select('id').where('row', '=', place.row).executeTakeFirst();
  if (told) return;
  const { openings } = await tx
    .selectFrom('ledger')
    .select((eb) => eb.fn.countAll<number>().as('openings'))
    .where('id', '<=', place.row)
    .executeTakeFirstOrThrow();
  await tx
    .insertInto('ledgerStarts')
    .values({ at: nowMs, row: place.row, hash: place.hash, until: atMs, openings: Number(openings), cause: 'lost' })
    .execute();
}

/** A version, or the parts of an unfinished upload (`upload:<id>`), as a vault lists it. */
export interface ListedBytes {
  readonly key: string;
  readonly versionId: string;
  readonly bytes: number;
  readonly atMs: number;
}

/** What a listing says that the ledger does not. */
export interface Unsaid {
  readonly vault: string;
  readonly shop: string;
  /** In the vault, and never counted. */
  readonly came: readonly ListedBytes[];
  /** Counted, and not in the vault any more. */
  readonly went: readonly Omit<ListedBytes, 'atMs'>[];
  /** What is left between level and listing after both. */
  readonly restBytes: number;
}

/**
 * Compares one shop's rows with a listing of everything under it. `since`: rows older than this are not in the ledger but in an opening
 * balance, where a version of that time is counted; null: all rows are there.
 */
export async function compareLedger(
  tx: Kysely<Tables>,
  vault: string,
  shop: string,
  listed: readonly ListedBytes[],
  since: number | null,
): Promise<Unsaid> {
  const rows = await tx
    .selectFrom('ledger')
    .select(['key', 'versionId', (eb) => eb.fn.sum<number>('bytes').as('bytes')])
    .where('vault', '=', vault)
    .where('shop', '=', shop)
    .groupBy(['key', 'versionId'])
    .execute();
  const counted = new Map(rows.map((row) => [`${row.key}\0${row.versionId}`, row.bytes]));
  let restBytes = listed.reduce((sum, one) => sum + one.bytes, 0) - rows.reduce((sum, row) => sum + row.bytes, 0);
  const came: ListedBytes[] = [];
  for (const one of listed) {
    const known = counted.get(`${one.key}\0${one.versionId}`);
    counted.delete(`${one.key}\0${one.versionId}`);
    const isInOpening = known === undefined && since !== null && one.atMs < since;
    const missing = isInOpening ? 0 : one.bytes - (known ?? 0);
    if (missing === 0) continue;
    came.push({ ...one, bytes: missing });
    restBytes -= missing;
  }
  const went: { key: string; versionId: string; bytes: number }[] = [];
  for (const [at, bytes] of counted) {
    const [key = '', versionId = ''] = at.split('\0');
    // below zero: it was there in the opening balance, and went since
    if (bytes <= 0 || key === '') continue;
    went.push({ key, versionId, bytes });
    restBytes += bytes;
  }
  return { vault, shop, came, went, restBytes };
}

/** Writes down what `compareLedger` found, of all shops at once: what came in the order in which it came. */
export async function settleLedger(tx: Kysely<Tables>, found: readonly Unsaid[], nowMs: number): Promise<void> {
  const came = found.flatMap(({ vault, shop, came: rows }) => rows.map((row) => ({ vault, shop, ...row })));
  came.sort((a, b) => a.atMs - b.atMs);
  for (const { vault, shop, key, versionId, bytes, atMs } of came) {
    const event = versionId.startsWith('upload:') ? 'part' : 'put';
    await appendAt(tx, Math.min(atMs, nowMs), { vault, shop, key, versionId, event, bytes, cause: 'found when the catalog was rebuilt' });
  }
  for (const { vault, shop, went, restBytes } of found) {
    for (const { key, versionId, bytes } of went) {
      const cause = 'not there when the catalog was rebuilt';
      await appendAt(tx, nowMs, { vault, shop, key, versionId, event: 'adjust', bytes: -bytes, cause });
    }
    const cause = 'difference between opening balance and listing when the catalog was rebuilt';
    await appendAt(tx, nowMs, { vault, shop, key: '', versionId: '', event: 'adjust', bytes: restBytes, cause });
  }
}
