// The parts of a database reading: SQL texts, small tables together, chunks of larger ones, rows too wide for either.

import { crc32 } from 'node:zlib';
import { CoffreError } from '../../errors.ts';
import { buildLoadStatement } from '../../target/mariadb/load-statement.ts';
import { quoteName } from '../../target/mariadb/names.ts';
import type { Cell, Session } from '../../target/mariadb/session.ts';
import type { PartOutcome, Phase, SegmentKind } from '../source.ts';
import type { ColumnPlan } from './columns.ts';
import { ByteWriter, type RowFields, writeSqlRow, writeTsvValue } from './encode.ts';
import type { TablePlan } from './plan.ts';
import { type ReadContext, readError, type TrackedPart } from './reading.ts';
import { DATA_HEAD, DATA_TAIL, LENIENT, STRICT } from './script.ts';
import { cutFor, hexHash, rowWithKey, type Span, TableCursor, type WideRow } from './table-cursor.ts';

const MiB = 1024 * 1024;
const STATEMENT_BYTES = 512 * 1024;
/**
 * A piece of a wide value: the server reads the whole value for each of them (400 MB: 3 s), and a piece stands in memory
 * about three times (packets, row, text).
 */
const PIECE_BYTES = 32 * MiB;
const SLICE_BYTES = 64 * 1024;

/** Name of a table within a part's name. */
const inName = (table: string): string => encodeURIComponent(table);
/** What no other table's rows begin. */
const NO_ENUM_ERRORS: ReadonlySet<string> = new Set();

abstract class DatabasePart implements TrackedPart {
  readonly type = 'part' as const;
  readonly kind: SegmentKind;
  readonly phase: Phase;
  readonly name: string;
  readonly estimatedBytes: number;
  readonly locked: boolean;
  protected readonly context: ReadContext;
  protected readonly rows: Record<string, number> = {};
  #done: () => void;
  #complete = false;

  constructor(context: ReadContext, kind: SegmentKind, phase: Phase, name: string, estimatedBytes: number, locked: boolean) {
    this.context = context;
    this.locked = locked;
    this.kind = kind;
    this.phase = phase;
    this.name = name;
    this.estimatedBytes = estimatedBytes;
    this.#done = () => {};
  }

  /** Called when the part is handed to the consumer. */
  handOut(): this {
    this.#done = this.context.handOut(this);
    return this;
  }

  async *read(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const writer = new ByteWriter();
    try {
      yield* this.content(writer, signal);
      writer.flush();
      for (let chunk = writer.take(); chunk; chunk = writer.take()) yield chunk;
      for (const count of Object.values(this.rows)) this.context.rows += count;
      this.#complete = true;
    } finally {
      this.#done();
    }
  }

  outcome(): PartOutcome {
    if (!this.#complete) throw new CoffreError('E_INTERNAL', `the part ${this.name} was not read to its end`);
    return {
      entries: [{ type: this.kind === 'sql' ? 'sql' : 'rows', name: this.name, rows: { ...this.rows } }],
      warnings: [],
    };
  }

  protected count(table: string, rows = 1): void {
    this.rows[table] = (this.rows[table] ?? 0) + rows;
  }

  protected abstract content(writer: ByteWriter, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined>;
}

/** A text that is known already: phases pre and post. */
export class TextPart extends DatabasePart {
  readonly #text: Buffer;

  constructor(context: ReadContext, phase: Phase, text: Buffer) {
    super(context, 'sql', phase, phase, text.length, false);
    this.#text = text;
  }

  protected override async *content(_writer: ByteWriter, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    signal.throwIfAborted();
    for (let at = 0; at < this.#text.length; at += MiB) yield this.#text.subarray(at, at + MiB);
  }
}

/** Rows as INSERTs, of many tables. */
export class DataPart extends DatabasePart {
  readonly #spans: readonly Span[];

  constructor(context: ReadContext, name: string, spans: readonly Span[]) {
    const estimate = spans.reduce((sum, { plan }) => sum + plan.estimatedBytes, 0);
    // Without a key there is no cutting: then it may be as large as it seems.
    const bounded = spans.every(({ plan }) => plan.key !== null);
    const locked = spans.some(({ plan }) => plan.locked);
    super(context, 'sql', 'data', name, bounded ? Math.min(estimate, context.sizes.segment) : estimate, locked);
    this.#spans = spans;
  }

  protected override content(writer: ByteWriter, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    return this.context.exclusively(`part ${this.name}`, signal, this.locked, (session) => this.#tables(writer, session, signal));
  }

  async *#tables(writer: ByteWriter, session: Session, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    writer.text(DATA_HEAD);
    for (const [index, span] of this.#spans.entries()) {
      const cursor = new TableCursor(this.context, session, span);
      try {
        yield* this.#table(writer, cursor, span.plan);
      } catch (error) {
        throw signal.aborted ? signal.reason : readError(error, `table ${span.plan.name}`, span.plan.name);
      }
      await this.context.letGo(session);
      if (cursor.finished) continue;
      const rest = [{ ...span, after: cursor.after }, ...this.#spans.slice(index + 1)];
      this.context.find(new DataPart(this.context, `data/${inName(span.plan.name)}/${cursor.place}`, rest));
      break;
    }
    writer.text(DATA_TAIL);
  }

  async *#table(writer: ByteWriter, cursor: TableCursor, plan: TablePlan): AsyncGenerator<Buffer, void, undefined> {
    const table = plan.name;
    const head = Buffer.from(
      `INSERT INTO ${quoteName(table)} (${plan.columns.map((column) => quoteName(column.name)).join(',')}) VALUES\n`,
    );
    this.count(table, 0);
    let statementStart = -1;
    const close = (): void => {
      if (statementStart >= 0) writer.text(';\n');
      statementStart = -1;
    };
    const onRow = (row: RowFields, from: number, to: number, enumErrors: ReadonlySet<string> | null): void => {
      if (enumErrors) {
        close();
        writer.text(LENIENT);
      }
      if (statementStart < 0) {
        statementStart = writer.total;
        writer.raw(head);
      } else {
        writer.text(',\n');
      }
      writeSqlRow(writer, plan.columns, row, from, to, enumErrors ?? NO_ENUM_ERRORS);
      this.count(table);
      if (enumErrors || writer.total - statementStart >= STATEMENT_BYTES) close();
      if (enumErrors) writer.text(STRICT);
    };
    const onWideRow = (row: WideRow): void => this.context.find(new WideRowPart(this.context, plan, row));
    yield* cursor.read(writer, cutFor(this.context.sizes.segment), { onRow, onWideRow });
    close();
  }
}

/** Rows of one table as LOAD DATA reads them. */
export abstract class TsvPart extends DatabasePart {
  protected readonly plan: TablePlan;
  readonly #statement: string;

  /** `place`: which rows of the table. */
  constructor(context: ReadContext, plan: TablePlan, place: string, estimatedBytes: number) {
    const columns = plan.columns.map((column) => ({ name: column.name, form: column.tsv }));
    const statement = buildLoadStatement({ table: plan.name, columns });
    // Of the statement too: equal bytes of a column that was renamed since must not pass for the same segment.
    const shape = crc32(statement).toString(16).padStart(8, '0');
    super(context, 'tsv', 'rows', `rows/${inName(plan.name)}/${shape}/${place}`, estimatedBytes, plan.locked);
    this.plan = plan;
    this.#statement = statement;
    this.count(plan.name, 0);
  }

  override outcome(): PartOutcome {
    const { entries, warnings } = super.outcome();
    const table = this.plan.name;
    const rows = this.rows[table] ?? 0;
    return {
      entries: entries.map((entry) => ({ ...entry, table })) as PartOutcome['entries'],
      load: { table, statement: this.#statement, rows },
      warnings,
    };
  }
}

/** One row that holds a value too large for memory: its values follow each other in pieces. */
export class WideRowPart extends TsvPart {
  readonly #key: readonly Cell[];

  constructor(context: ReadContext, plan: TablePlan, row: WideRow) {
    super(context, plan, `row-${hexHash(row.place)}`, row.estimatedBytes);
    this.#key = row.key;
  }

  protected override content(writer: ByteWriter, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const { name } = this.plan;
    const row = (session: Session): AsyncGenerator<Buffer, void, undefined> => this.#row(writer, session);
    return this.context.exclusively(`table ${name}`, signal, this.locked, row, name);
  }

  async *#row(writer: ByteWriter, session: Session): AsyncGenerator<Buffer, void, undefined> {
    const source = `FROM ${quoteName(this.plan.name)} WHERE ${rowWithKey(this.plan, this.#key)}`;
    for (const [index, column] of this.plan.columns.entries()) {
      if (index > 0) writer.byte(0x09);
      yield* this.#value(writer, session, column, source);
    }
    writer.byte(0x0a);
    this.count(this.plan.name);
    await this.context.demandSameDefinition(session, this.plan);
  }

  async *#value(writer: ByteWriter, session: Session, column: ColumnPlan, source: string): AsyncGenerator<Buffer, void, undefined> {
    const { maxAllowedPacket } = this.context;
    const length = column.wide ? (column.tsv === 'hex' ? `OCTET_LENGTH(${column.select})` : `CHAR_LENGTH(${column.select})`) : 'NULL';
    const total = await session.text(`SELECT HIGH_PRIORITY ${length} ${source}`);
    if (total === null) {
      const [row] = await session.cells(`SELECT HIGH_PRIORITY ${column.select} ${source}`);
      if (!row) throw new CoffreError('E_DB_READ', `a row of ${this.plan.name} vanished within the snapshot`);
      writeTsvValue(writer, column, row[0] as Cell);
      return;
    }
    // Text is counted in characters, of four bytes at most.
    const piece = Math.floor(Math.min(PIECE_BYTES, maxAllowedPacket / 2) / (column.tsv === 'hex' ? 1 : 4));
    for (let at = 0; at < Number(total); at += piece) {
      const [row] = await session.cells(`SELECT HIGH_PRIORITY SUBSTRING(${column.select}, ${at + 1}, ${piece}) ${source}`);
      if (!row?.[0]) throw new CoffreError('E_DB_READ', `a value of ${this.plan.name} cannot be read in pieces`);
      for (let from = 0; from < row[0].length; from += SLICE_BYTES) {
        writeTsvValue(writer, column, row[0].subarray(from, from + SLICE_BYTES));
        for (let chunk = writer.take(); chunk; chunk = writer.take()) yield chunk;
      }
    }
  }
}
