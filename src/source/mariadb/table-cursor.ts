// Walks over a table's rows by pages of its key, so that reading can stop after any row and go on later from there.
import { quoteName } from '../../target/mariadb/names.ts';
import type { Cell, Session } from '../../target/mariadb/session.ts';
import { type ByteWriter, RowFields } from './encode.ts';
import { afterKey, equalsKey, keyNames, selectFrom, type TablePlan } from './plan.ts';
import { pump } from './pump.ts';
import { type KeyRange, rangeConditions } from './ranges.ts';
import type { ReadContext } from './reading.ts';

/** A row whose large columns take more plaintext than this is read in pieces, apart from the others: memory holds shorter ones only. */
export const WIDE_ROW_BYTES = 4 * 1024 * 1024;
/** Plaintext that one query should bring. */
const PAGE_BYTES = 8 * 1024 * 1024;
const FIRST_PAGE_ROWS = 1_000;
const MAX_PAGE_ROWS = 200_000;

export interface Span {
  readonly plan: TablePlan;
  readonly range: KeyRange;
  /** Key of the row before the first one. */
  readonly after: readonly Cell[] | null;
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

/** Chunks of about nine tenths of `segment` on average. */
export const cutFor = (segment: number): Cut => ({ from: segment * 0.5, within: segment * 0.5, limit: segment * 1.25 });

export interface WideRow {
  readonly key: readonly Cell[];
  /** Hash of the key. */
  readonly place: number;
  readonly estimatedBytes: number;
}

/** A row as it arrived, and what its extra fields say. */
export class RowReader {
  readonly fields: RowFields;
  readonly #plan: TablePlan;
  readonly #wideAt: number;
  readonly #enumsAt: number;
  readonly #keyAt: readonly number[];

  constructor(plan: TablePlan) {
    this.#plan = plan;
    const wide = wideColumns(plan).length > 0;
    this.#wideAt = wide ? plan.columns.length : -1;
    this.#enumsAt = plan.enums.length > 0 ? plan.columns.length + (wide ? 1 : 0) : -1;
    this.#keyAt = plan.key?.at ?? [];
    const extras = (wide ? 1 : 0) + (plan.enums.length > 0 ? 1 : 0);
    // without columns there is the 1 that was selected
    this.fields = new RowFields(Math.max(plan.columns.length + extras, 1));
  }

  /** Throws RangeError when the bytes are not a row of this table. */
  take(bytes: Buffer, from: number, to: number): void {
    this.fields.locate(bytes, from, to);
  }

  /** Plaintext of a row that has to be read in pieces; 0 for any other. */
  wideBytes(): number {
    if (this.#wideAt < 0) return 0;
    return Number(this.fields.field(this.#wideAt)?.toString('latin1') ?? 0);
  }

  /** Columns that hold the error value of an ENUM; null when none does. */
  enumErrors(): ReadonlySet<string> | null {
    if (this.#enumsAt < 0) return null;
    const flags = this.fields.field(this.#enumsAt);
    if (!flags?.includes(0x31)) return null;
    return new Set(this.#plan.enums.filter((_, index) => flags[index] === 0x31));
  }

  /** Copies: the fields are views into a packet that would otherwise stay in memory. */
  key(): Cell[] {
    return this.#keyAt.map((at) => {
      const field = this.fields.field(at);
      return field && Buffer.from(field);
    });
  }

  /** A number that depends on the key alone; used for cuts and names. FNV-1a over its bytes, then mixed as MurmurHash3 ends. */
  keyHash(): number {
    const { bytes, starts, lengths } = this.fields;
    let hash = 0x811c9dc5 ^ this.#keyAt.length;
    for (let index = 0; index < this.#keyAt.length; index++) {
      const at = this.#keyAt[index] as number;
      const start = starts[at] as number;
      const length = lengths[at] as number;
      for (let byte = start; byte < start + length; byte++) hash = Math.imul(hash ^ (bytes[byte] as number), 0x01000193);
      // two fields never run into one another
      hash = Math.imul(hash ^ (0x100 + length), 0x01000193);
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }
}

export const hexHash = (hash: number): string => hash.toString(16).padStart(8, '0');

/** `total`: written so far; `rowBytes`: by this row. */
export function isCut(cut: Cut, total: number, rowBytes: number, row: RowReader): boolean {
  if (total < cut.from) return false;
  return total >= cut.limit || row.keyHash() < (rowBytes / cut.within) * 2 ** 32;
}

export interface CursorEvents {
  onRow(row: RowFields, from: number, to: number, enumErrors: ReadonlySet<string> | null): void;
  /** Not given to `onRow`: the row has to be read in pieces. */
  onWideRow(row: WideRow): void;
}

export class TableCursor {
  readonly #context: ReadContext;
  readonly #session: Session;
  readonly #span: Span;
  #after: readonly Cell[] | null;
  #place = 0;
  #finished = false;

  constructor(context: ReadContext, session: Session, span: Span) {
    this.#context = context;
    this.#session = session;
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

  /** Names that place: the hash of the key. */
  get place(): string {
    return hexHash(this.#place);
  }

  /** Reads until the end, or until the writer's total says to cut. A table without a key is never cut. */
  async *read(writer: ByteWriter, cut: Cut, events: CursorEvents): AsyncGenerator<Buffer, void, undefined> {
    const { plan } = this.#span;
    const row = new RowReader(plan);
    const start = writer.total;
    let pageRows = FIRST_PAGE_ROWS;
    let last: Buffer = Buffer.alloc(0);
    let lastBytes = 0;
    let rows = 0;
    for (;;) {
      let inPage = 0;
      let stop = false;
      const onRow = (bytes: Buffer, from: number, to: number): void => {
        if (stop) return;
        // the server's bytes are only there while this runs
        const size = to - from;
        if (last.length < size) last = Buffer.allocUnsafeSlow(size * 2);
        lastBytes = bytes.copy(last, 0, from, to);
        inPage++;
        rows++;
        const before = writer.total;
        row.take(bytes, from, to);
        const wideBytes = row.wideBytes();
        if (wideBytes > 0) events.onWideRow({ key: row.key(), place: row.keyHash(), estimatedBytes: wideBytes });
        else events.onRow(row.fields, from, to, row.enumErrors());
        if (plan.key) stop = isCut(cut, writer.total, writer.total - before, row);
      };
      yield* pump(this.#session, this.#sql(pageRows), writer, this.#context.pace, onRow);
      if (plan.key && inPage > 0) {
        row.take(last, 0, lastBytes);
        this.#after = row.key();
        this.#place = row.keyHash();
      }
      if (!plan.key || (!stop && inPage < pageRows)) {
        this.#finished = true;
        break;
      }
      if (stop) break;
      pageRows = Math.max(100, Math.min(MAX_PAGE_ROWS, Math.floor(PAGE_BYTES / Math.max(1, (writer.total - start) / rows))));
    }
    await this.#context.demandSameDefinition(this.#session, plan);
  }

  #sql(pageRows: number): string {
    const { plan, range, onlyEnumErrors } = this.#span;
    const { key } = plan;
    const conditions = rangeConditions(plan, range);
    if (key && this.#after) conditions.push(afterKey(plan, key, this.#after));
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
  // one that holds an ENUM's error value goes into an INSERT, and so has to come whole
  const whole = plan.enums.length > 0 ? ` AND NOT (${enumErrors(plan).join(' OR ')})` : '';
  const tooWide = `${size} > ${WIDE_ROW_BYTES}${whole}`;
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

export const rowWithKey = (plan: TablePlan, key: readonly Cell[]): string => (plan.key ? equalsKey(plan, plan.key, key) : '1');
