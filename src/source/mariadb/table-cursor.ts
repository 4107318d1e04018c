// Walks over a table's rows by pages of its key, so that reading can stop after any row and go on later from there.
import { crc32 } from 'node:zlib';
import { quoteName } from '../../target/mariadb/names.ts';
import type { Cell } from '../../target/mariadb/session.ts';
import { type ByteWriter, ENUM_ERROR } from './encode.ts';
import { afterKey, equalsKey, keyNames, selectFrom, type TablePlan } from './plan.ts';
import { pump } from './pump.ts';
import type { ReadContext } from './reading.ts';

/** A row whose large columns take more plaintext than this is read in pieces, apart from the others: memory holds shorter ones only. */
export const WIDE_ROW_BYTES = 4 * 1024 * 1024;
/** Plaintext that one query should bring. */
const PAGE_BYTES = 8 * 1024 * 1024;
const FIRST_PAGE_ROWS = 1_000;
const MAX_PAGE_ROWS = 200_000;

export interface Span {
  readonly plan: TablePlan;
  /** Key of the row before the first one. */
  readonly after: readonly Cell[] | null;
  /** Key of the last row; null: to the end. */
  readonly upTo?: readonly Cell[] | null;
  /** Only rows that hold the error value of an ENUM. */
  readonly onlyEnumErrors: boolean;
}

/**
 * When to stop, in bytes written: from `from` on where the key's hash says so, at `limit` in any case. The hash has no memory:
 * wherever reading began, and whatever was added or removed before, it comes to the same places, and the chunks after them are
 * what they were.
 */
export interface Cut {
  readonly from: number;
  /** Within about this many bytes after `from` a cut is expected. */
  readonly within: number;
  readonly limit: number;
}

export interface WideRow {
  readonly key: readonly Cell[];
  readonly estimatedBytes: number;
}

export interface CursorEvents {
  onRow(row: Cell[], enumError: boolean): void;
  /** Not given to `onRow`: the row has to be read in pieces. */
  onWideRow(row: WideRow): void;
}

export class TableCursor {
  readonly #context: ReadContext;
  readonly #span: Span;
  #after: readonly Cell[] | null;
  #finished = false;

  constructor(context: ReadContext, span: Span) {
    this.#context = context;
    this.#span = span;
    this.#after = span.after;
  }

  /** No row is left. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Key of the last row that was read. */
  get after(): readonly Cell[] | null {
    return this.#after;
  }

  /** Reads until the end, or until the writer's total says to cut. A table without a key is never cut. */
  async *read(writer: ByteWriter, cut: Cut, events: CursorEvents): AsyncGenerator<Buffer, void, undefined> {
    const { plan } = this.#span;
    const { key } = plan;
    const start = writer.total;
    let pageRows = FIRST_PAGE_ROWS;
    let rows = 0;
    for (;;) {
      let inPage = 0;
      let stop = false;
      const onRow = (row: Cell[]): void => {
        if (stop) return;
        inPage++;
        rows++;
        const before = writer.total;
        const extras = row.splice(plan.columns.length);
        const wideBytes = wideColumns(plan).length > 0 ? Number(extras.shift()) : 0;
        const enumError = plan.enums.length > 0 && markEnumErrors(plan, row, extras.shift());
        if (wideBytes > 0) events.onWideRow({ key: keyOf(plan, row), estimatedBytes: wideBytes });
        else events.onRow(row, enumError);
        if (!key) return;
        this.#after = keyOf(plan, row);
        stop = writer.total >= cut.limit || (writer.total >= cut.from && isCutPoint(this.#after, (writer.total - before) / cut.within));
      };
      yield* pump(this.#context.session, this.#sql(pageRows), writer, onRow);
      if (!key || (!stop && inPage < pageRows)) {
        this.#finished = true;
        break;
      }
      if (stop) break;
      pageRows = Math.max(100, Math.min(MAX_PAGE_ROWS, Math.floor(PAGE_BYTES / Math.max(1, (writer.total - start) / rows))));
    }
    await this.#context.demandSameDefinition(plan);
  }

  #sql(pageRows: number): string {
    const { plan, upTo, onlyEnumErrors } = this.#span;
    const { key } = plan;
    const conditions: string[] = [];
    if (key && this.#after) conditions.push(afterKey(plan, key, this.#after));
    if (key && upTo) conditions.push(`NOT (${afterKey(plan, key, upTo)})`);
    if (onlyEnumErrors) conditions.push(`(${enumErrors(plan).join(' OR ')})`);
    const where = conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : '';
    const order = key ? ` ORDER BY ${keyNames(plan, key).join(', ')} LIMIT ${pageRows}` : '';
    return selectForReading(plan) + where + order;
  }
}

/** Columns, then how large a row too wide is, then whether an ENUM holds its error value; the latter two where they can be. */
export function selectForReading(plan: TablePlan): string {
  const wide = wideColumns(plan);
  const extra: string[] = [];
  const size = wide.map((column) => `IFNULL(OCTET_LENGTH(${column.select}), 0) * ${column.tsv === 'hex' ? 2 : 1}`).join(' + ');
  const tooWide = `${size} > ${WIDE_ROW_BYTES}`;
  if (wide.length > 0) extra.push(`IF(${tooWide}, ${size}, 0)`);
  if (plan.enums.length > 0) extra.push(`CONCAT(${enumErrors(plan).join(', ')})`);
  const columns = plan.columns.map((column) =>
    wide.includes(column) ? { ...column, select: `IF(${tooWide}, NULL, ${column.select})` } : column,
  );
  return selectFrom({ ...plan, columns }, extra);
}

/** Without a key a row cannot be found again, so it is read as it is, whatever its size. */
function wideColumns(plan: TablePlan): TablePlan['columns'] {
  return plan.key ? plan.columns.filter((column) => column.wide) : [];
}

function enumErrors(plan: TablePlan): string[] {
  return plan.enums.map((name) => `IFNULL(${quoteName(name)} = 0, 0)`);
}

/** `flags`: a 1 for each ENUM that holds its error value. Puts the mark for it into the row; true when there was one. */
export function markEnumErrors(plan: TablePlan, row: Cell[], flags: Cell | undefined): boolean {
  let found = false;
  for (const [index, name] of plan.enums.entries()) {
    if (flags?.[index] !== 0x31) continue;
    row[plan.columns.findIndex((column) => column.name === name)] = ENUM_ERROR;
    found = true;
  }
  return found;
}

export function keyOf(plan: TablePlan, row: readonly Cell[]): Cell[] {
  // Copies: the cells are views into a packet that would otherwise stay in memory.
  return (plan.key?.at ?? []).map((at) => (row[at] ? Buffer.from(row[at]) : null));
}

/** A number that depends on the key alone; used for cuts and names. */
export function keyHash(key: readonly Cell[]): number {
  return key.reduce((hash, cell) => crc32(cell ?? Buffer.alloc(0), hash), key.length);
}

function isCutPoint(key: readonly Cell[], chance: number): boolean {
  return keyHash(key) < chance * 2 ** 32;
}

export const rowWithKey = (plan: TablePlan, key: readonly Cell[]): string => (plan.key ? equalsKey(plan, plan.key, key) : '1');
