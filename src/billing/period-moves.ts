// What moved in a period: the opening levels, and then every row in order, from where it is quickest to read.
import type { Catalog } from '../catalog/open.ts';
import { nextTurn } from '../clock.ts';
import { type AnchorLevel, type AnchorRow, levelsOf } from './anchors.ts';
import { type LedgerStart, ledgerStart } from './chain.ts';
import { detailGone } from './ledger-start.ts';
import type { Period } from './month.ts';
import { type Moves, MovesBuilder, type Pair, unpackMoves } from './moves.ts';

export interface MovesReader {
  /** Levels just before the start; more than one of a shop may come, which add up. */
  open(levels: Iterable<AnchorLevel>): void;
  /** Rows of the period, in order: those of `moves` from place `from` up to `to`. */
  add(moves: Moves, from: number, to: number): void;
}

const ROWS_AT_ONCE = 20_000;

/** Anchors, without their levels. */
type Place = Pick<AnchorRow, 'id' | 'until' | 'row'>;

/** days: from packed days and anchors where they are. rows: from nothing but the ledger's own rows, all of them, where days are doubted. */
export type MovesSource = 'days' | 'rows';

/**
 * Reads a period: from the anchors' packed rows for the days that are anchored, from the ledger itself for what is newer or was never
 * packed. Between two days the event loop has its turn. Throws E_LEDGER_PURGED when rows of the period are gone.
 */
export async function readMoves(catalog: Catalog, period: Period, reader: MovesReader, source: MovesSource = 'days'): Promise<void> {
  const { db } = catalog;
  const [fromMs, toMs] = [period.start.epochMilliseconds, period.end.epochMilliseconds];
  const start = await ledgerStart(db);
  if (start !== null && fromMs < start.until) throw detailGone(start);
  // The newest anchor that the period does not begin before: its levels, and what came between it and the start, are the opening.
  const base =
    source === 'rows'
      ? undefined
      : await db
          .selectFrom('anchors')
          .select(['id', 'until', 'row', 'levels'])
          .where('until', '<=', fromMs)
          // behind one before the start come opening balances, which stand for it too
          .where('row', '>=', start?.row ?? 0)
          .orderBy('id', 'desc')
          .limit(1)
          .executeTakeFirst();
  if (base) reader.open(await levelsOf(db, base));
  else if (start !== null) reader.open(await levelsOf(db, { levels: null, row: start.row }));
  let after = base?.row ?? start?.row ?? 0;
  const days =
    source === 'rows'
      ? []
      : await db
          .selectFrom('anchors')
          .select(['id', 'until', 'row'])
          .where('id', '>', base?.id ?? 0)
          .orderBy('id')
          .execute();
  let isOver = false;
  for (const day of days) {
    if (isOver) break;
    isOver = day.until >= toMs;
    if (day.row > after) {
      const packed = await packedDay(catalog, day);
      if (packed) feed(reader, packed, fromMs, toMs);
      else await readLedger(catalog, after, day.row, (moves) => feed(reader, moves, fromMs, toMs));
    }
    after = Math.max(after, day.row);
    await nextTurn();
  }
  if (!isOver) await readLedger(catalog, after, null, (moves) => feed(reader, moves, fromMs, toMs));
  if (isMoved(start, await ledgerStart(db))) throw detailGone((await ledgerStart(db)) as LedgerStart);
}

/** A purge came in between: what was read may lack rows. */
const isMoved = (before: LedgerStart | null, after: LedgerStart | null): boolean => before?.id !== after?.id;

async function packedDay({ db }: Catalog, day: Place): Promise<Moves | null> {
  const row = await db.selectFrom('ledgerMoves').select(['pairs', 'moves']).where('anchorId', '=', day.id).executeTakeFirst();
  return row === undefined ? null : unpackMoves(JSON.parse(row.pairs) as Pair[], row.moves);
}

/** Rows after `after`, up to `upTo`; null: to the end, or until the reader says that it has enough. */
async function readLedger({ db }: Catalog, after: number, upTo: number | null, read: (moves: Moves) => boolean): Promise<void> {
  const builder = new MovesBuilder();
  for (let last = after; ; ) {
    let query = db.selectFrom('ledger').select(['id', 'at', 'vault', 'shop', 'bytes']).where('id', '>', last);
    if (upTo !== null) query = query.where('id', '<=', upTo);
    const rows = await query.orderBy('id').limit(ROWS_AT_ONCE).execute();
    for (const row of rows) builder.add(row);
    if (!read(builder.take()) || rows.length < ROWS_AT_ONCE) return;
    last = rows.at(-1)?.id ?? last;
    await nextTurn();
  }
}

/** Hands on what belongs to the period; what came before it is part of the opening. Returns whether more may follow. */
function feed(reader: MovesReader, moves: Moves, fromMs: number, toMs: number): boolean {
  const from = firstAt(moves, fromMs);
  const to = firstAt(moves, toMs);
  if (from > 0) {
    const before = new Float64Array(moves.pairs.length);
    for (let i = 0; i < from; i++) {
      const pair = moves.pair[i] as number;
      before[pair] = (before[pair] as number) + (moves.bytes[i] as number);
    }
    reader.open(moves.pairs.map(([vault, shop], i): AnchorLevel => [vault, shop, before[i] as number]));
  }
  if (to > from) reader.add(moves, from, to);
  return to === moves.length;
}

/** The first place whose instant is not before `ms`: times never go back. */
function firstAt({ at, length }: Moves, ms: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((at[middle] as number) < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
