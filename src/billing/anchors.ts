// Anchors: where the ledger stood at the end of each day, chained to each other. The past before the newest one never changes any more.
import { createHash } from 'node:crypto';
import { type Kysely, type Selectable, sql } from 'kysely';
import type { Catalog } from '../catalog/open.ts';
import type { AnchorsTable } from '../catalog/tables/ledger.ts';
import type { Tables } from '../catalog/tables.ts';
import { type Clock, nextTurn } from '../clock.ts';
import { CHAIN_START, ledgerStart } from './chain.ts';
import { type Moves, MovesBuilder, packMoves } from './moves.ts';

export type AnchorRow = Selectable<AnchorsTable>;

/** Bytes of a vault and a shop; what is 0 is left out. */
export type AnchorLevel = readonly [vault: string, shop: string, bytes: number];

export const DAY_MS = 86_400_000;
const ROWS_AT_ONCE = 10_000;
/** A day that is anchored each day is one; of many, so many are written together. */
const DAYS_IN_TRANSACTION = 31;
const ROWS_IN_TRANSACTION = 20_000;

/** An anchor as it is hashed: a JSON array in this order, without spaces. */
export function anchorText(anchor: Pick<AnchorRow, 'until' | 'row' | 'rows' | 'head' | 'levelsHash'>): string {
  return JSON.stringify([anchor.until, anchor.row, anchor.rows, anchor.head, anchor.levelsHash]);
}

const sha256 = (...texts: readonly string[]): string => {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text);
  return hash.digest('hex');
};

/** Hex SHA-256 over the hash of the anchor before (as hex text) and the anchor's text. */
export const anchorHash = (previous: string, anchor: Parameters<typeof anchorText>[0]): string => sha256(previous, anchorText(anchor));

export const levelsHash = (levels: string): string => sha256(levels);

/** By vault, then shop, byte by byte; what is 0 is left out. */
export function levelsText(levels: Iterable<AnchorLevel>): string {
  const kept = [...levels].filter(([, , bytes]) => bytes !== 0);
  return JSON.stringify(kept.sort(([va, sa], [vb, sb]) => (va === vb ? (sa < sb ? -1 : 1) : va < vb ? -1 : 1)));
}

export const readLevels = (text: string): AnchorLevel[] => JSON.parse(text) as AnchorLevel[];

/** The newest, null when there is none yet. */
export async function lastAnchor(db: Kysely<Tables>): Promise<AnchorRow | null> {
  return (await db.selectFrom('anchors').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst()) ?? null;
}

/**
 * Anchors every day of UTC that has ended and is not anchored yet, oldest first. `everyMs`: length of a day, for those who have less time.
 * Returns how many were made. Throws E_STATE….
 */
export async function anchorLedger(catalog: Catalog, clock: Clock, everyMs = DAY_MS): Promise<number> {
  const before = Math.floor(clock.nowMs() / everyMs) * everyMs;
  for (let made = 0; ; ) {
    const some = await catalog.transaction(async (tx) => {
      const rows = { left: ROWS_IN_TRANSACTION };
      let days = 0;
      while (days < DAYS_IN_TRANSACTION && rows.left > 0 && (await anchorNext(tx, before, everyMs, rows))) days++;
      return days;
    });
    made += some;
    if (some === 0) return made;
    // everybody else has a turn
    await nextTurn();
  }
}

async function anchorNext(tx: Kysely<Tables>, endMs: number, everyMs: number, left: { left: number }): Promise<boolean> {
  const last = await lastAnchor(tx);
  const from = last?.until ?? (await dayOfFirstRow(tx, everyMs));
  if (from === null || from + everyMs > endMs) return false;
  const until = from + everyMs;
  const levels = new Map<string, Map<string, number>>();
  const before = await placeBehind(tx, last);
  for (const [vault, shop, bytes] of before.levels) add(levels, vault, shop, bytes);
  const moves = new MovesBuilder();
  let { head, row, rows } = before;
  for (let more = true; more; ) {
    const page = await tx
      .selectFrom('ledger')
      .select(['id', 'at', 'vault', 'shop', 'bytes', 'hash'])
      .where('id', '>', row)
      .orderBy('id')
      .limit(ROWS_AT_ONCE)
      .execute();
    more = page.length === ROWS_AT_ONCE;
    for (const one of page) {
      if (one.at >= until) {
        more = false;
        break;
      }
      add(levels, one.vault, one.shop, one.bytes);
      moves.add(one);
      [row, rows, head] = [one.id, rows + 1, one.hash];
    }
  }
  const text = levelsText([...levels].flatMap(([vault, shops]) => [...shops].map(([shop, bytes]): AnchorLevel => [vault, shop, bytes])));
  const anchor = { until, row, rows, head, levelsHash: levelsHash(text) };
  const { id } = await tx
    .insertInto('anchors')
    .values({ ...anchor, levels: text, hash: anchorHash(last?.hash ?? CHAIN_START, anchor) })
    .returning('id')
    .executeTakeFirstOrThrow();
  const taken = moves.take();
  left.left -= taken.length;
  await insertMoves(tx, id, taken);
  return true;
}

/**
 * Packs the days of anchors that came from a checkpoint, which does not tell their rows twice: peaks are read from packed days. Returns how
 * many were packed. Throws E_STATE….
 */
export async function packDays(catalog: Catalog): Promise<number> {
  for (let packed = 0; ; packed++) {
    if (!(await catalog.transaction(packNext))) return packed;
    await nextTurn();
  }
}

async function packNext(tx: Kysely<Tables>): Promise<boolean> {
  const start = await ledgerStart(tx);
  const anchor = await tx
    .selectFrom('anchors')
    .select(['id', 'row'])
    .where('row', '>', start?.row ?? 0)
    .where((eb) => eb.not(eb.exists(eb.selectFrom('ledgerMoves').select('anchorId').whereRef('anchorId', '=', 'anchors.id'))))
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();
  if (!anchor) return false;
  const before = await tx.selectFrom('anchors').select('row').where('id', '<', anchor.id).orderBy('id', 'desc').limit(1).executeTakeFirst();
  const moves = new MovesBuilder();
  let last = Math.max(before?.row ?? 0, start?.row ?? 0);
  for (let more = true; more; ) {
    const page = await tx
      .selectFrom('ledger')
      .select(['id', 'at', 'vault', 'shop', 'bytes'])
      .where('id', '>', last)
      .where('id', '<=', anchor.row)
      .orderBy('id')
      .limit(ROWS_AT_ONCE)
      .execute();
    for (const row of page) moves.add(row);
    last = page.at(-1)?.id ?? last;
    more = page.length === ROWS_AT_ONCE;
  }
  await insertMoves(tx, anchor.id, moves.take());
  return true;
}

async function insertMoves(tx: Kysely<Tables>, anchorId: number, moves: Moves): Promise<void> {
  await tx
    .insertInto('ledgerMoves')
    .values({ anchorId, pairs: JSON.stringify(moves.pairs), moves: packMoves(moves) })
    .execute();
}

interface Place extends Pick<AnchorRow, 'row' | 'rows' | 'head'> {
  readonly levels: readonly AnchorLevel[];
}

/** Where the next anchor goes on: behind the last one, or behind opening balances that came after it when a machine was rebuilt. */
async function placeBehind(tx: Kysely<Tables>, last: AnchorRow | null): Promise<Place> {
  const start = await ledgerStart(tx);
  if (start !== null && start.row > (last?.row ?? 0)) {
    const levels = await levelsOf(tx, { levels: null, row: start.row });
    // rows have numbers without gaps: so many were lost
    return { row: start.row, rows: (last?.rows ?? 0) + start.row - (last?.row ?? 0), head: start.hash, levels };
  }
  if (last === null) return { row: 0, rows: 0, head: CHAIN_START, levels: [] };
  return { row: last.row, rows: last.rows, head: last.head, levels: await levelsOf(tx, last) };
}

function add(levels: Map<string, Map<string, number>>, vault: string, shop: string, bytes: number): void {
  let shops = levels.get(vault);
  if (!shops) {
    shops = new Map();
    levels.set(vault, shops);
  }
  shops.set(shop, (shops.get(shop) ?? 0) + bytes);
}

async function dayOfFirstRow(tx: Kysely<Tables>, everyMs: number): Promise<number | null> {
  const first = await tx.selectFrom('ledger').select('at').orderBy('id').limit(1).executeTakeFirst();
  return first === undefined ? null : Math.floor(first.at / everyMs) * everyMs;
}

/** Levels at an anchor, from the ledger where a checkpoint did not tell them. */
export async function levelsOf(db: Kysely<Tables>, anchor: Pick<AnchorRow, 'levels' | 'row'>): Promise<AnchorLevel[]> {
  if (anchor.levels !== null) return readLevels(anchor.levels);
  const rows = await db
    .selectFrom('ledger')
    .select(['vault', 'shop', (eb) => eb.fn.sum<number>('bytes').as('bytes')])
    .where('id', '<=', anchor.row)
    .groupBy(['vault', 'shop'])
    .execute();
  return rows.map(({ bytes, shop, vault }): AnchorLevel => [vault, shop, bytes]);
}

/** Instant before which no row may be dated any more; 0: nothing is anchored. */
export async function anchoredUntil(tx: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ until: number }>`select "until" from "anchors" order by "id" desc limit 1`.execute(tx);
  return rows[0]?.until ?? 0;
}
