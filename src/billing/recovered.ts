// The ledger of a machine that was lost: rows as checkpoints tell them, then what the vault's own listing says beside them.
import type { Kysely } from 'kysely';
import { slices } from '../catalog/segments.ts';
import type { Tables } from '../catalog/tables.ts';
import { CHAIN_START, chainHash, type LedgerRow } from './chain.ts';
import { appendAt } from './entries.ts';
import type { ChainPlace, LedgerPage } from './ledger-page.ts';

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

/**
 * Puts a page's rows behind `head` and returns the new end; those that are there already are left out. With `verbatim` ids and hashes
 * stay what they were; without, the rows get hashes of the new chain that `openLedger` began.
 */
export async function addPage(tx: Kysely<Tables>, page: LedgerPage, head: ChainPlace, verbatim: boolean): Promise<ChainPlace> {
  let { row, hash } = head;
  const fresh: LedgerRow[] = [];
  for (const one of page.rows) {
    if (one.id <= row) continue;
    row = one.id;
    hash = verbatim ? one.hash : chainHash(hash, one);
    fresh.push({ ...one, hash });
  }
  for (const some of slices(fresh, ROWS_AT_ONCE)) await tx.insertInto('ledger').values(some).execute();
  return { row, hash };
}

/**
 * Begins a ledger whose older rows are lost: one row for each level before `page`, then a chain of its own. The first row's cause names
 * where the lost chain stood, for whoever holds its checkpoints.
 */
export async function openLedger(tx: Kysely<Tables>, page: LedgerPage, atMs: number): Promise<ChainPlace> {
  const levels = new Map(page.levels.map((level) => [`${level.vault}\0${level.shop}`, level.bytes]));
  for (const { vault, shop, bytes } of page.rows) {
    const at = `${vault}\0${shop}`;
    levels.set(at, (levels.get(at) ?? 0) - bytes);
  }
  let hash = CHAIN_START;
  let id = Math.max(0, page.after.row - levels.size);
  const rows: LedgerRow[] = [];
  for (const [at, bytes] of levels) {
    if (bytes === 0) continue;
    const [vault = '', shop = ''] = at.split('\0');
    const cause = `opening balance: the rows up to ${page.after.row} are lost, their chain ended with ${page.after.hash}`;
    const row = { at: page.rows[0]?.at ?? atMs, vault, shop, key: '', versionId: '', event: 'adjust' as const, bytes, cause };
    hash = chainHash(hash, row);
    id += 1;
    rows.push({ ...row, id, hash });
  }
  if (rows.length > 0) await tx.insertInto('ledger').values(rows).execute();
  return { row: Math.max(id, page.after.row), hash };
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
