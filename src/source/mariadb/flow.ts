// A table too large for one segment: one query, held open while its rows fill one segment after the other.
import { CoffreError } from '../../errors.ts';
import type { RowFlow } from '../../target/mariadb/session.ts';
import { ByteWriter, writeTsvRow } from './encode.ts';
import { DataPart, TsvPart, WideRowPart } from './parts.ts';
import { keyNames, type TablePlan } from './plan.ts';
import { HIGH_WATER_BYTES } from './pump.ts';
import { type KeyRange, rangeConditions } from './ranges.ts';
import { type Lease, type ReadContext, readError } from './reading.ts';
import { type Cut, cutFor, hexHash, isCut, RowReader, selectForReading } from './table-cursor.ts';

/**
 * The open query, on a connection of its own from the first row to the last: no row is read twice and none is thrown away,
 * as paging would. The table's metadata lock is held as long, and let go with the connection.
 */
export class TableFlow {
  readonly plan: TablePlan;
  readonly range: KeyRange;
  readonly #context: ReadContext;
  readonly #cut: Cut;
  readonly #row: RowReader;
  #lease: Lease | null = null;
  #flow: RowFlow | null = null;
  #writer = new ByteWriter();
  #rows = 0;
  #sinceWait = 0;
  #paused = false;
  #ended = false;
  /** The segment is full. */
  #full = false;
  /** The row after it: only with one in hand it is sure that another segment follows. */
  #held: Buffer | null = null;
  #place = 0;
  #failure: unknown = null;
  #enumErrors = false;
  #wake = (): void => {};

  constructor(context: ReadContext, plan: TablePlan, range: KeyRange) {
    this.#context = context;
    this.plan = plan;
    this.range = range;
    this.#row = new RowReader(plan);
    this.#cut = cutFor(context.sizes.segment);
  }

  /** Rows written since the segment began. */
  get rows(): number {
    return this.#rows;
  }

  /** After a segment: there are rows for another one. */
  get more(): boolean {
    return this.#held !== null;
  }

  /** After a segment: the hash of the key of its last row. */
  get place(): string {
    return hexHash(this.#place);
  }

  /** Yields one segment's worth of rows; ends at a row's end. Throws ServerError, E_DB_CHANGED and the signal's reason. */
  async *segment(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const lease = this.#lease ?? (await this.#context.lease(this.plan.locked));
    this.#lease = lease;
    const { session } = lease;
    const writer = new ByteWriter();
    this.#writer = writer;
    this.#rows = 0;
    this.#full = false;
    const drop = (): void => session.destroy();
    signal.addEventListener('abort', drop, { once: true });
    try {
      signal.throwIfAborted();
      const held = this.#held;
      this.#held = null;
      if (held) this.#take(held, 0, held.length);
      this.#flow ??= this.#start(lease);
      this.#context.openTables.add(this);
      for (;;) {
        let bytes = 0;
        for (let chunk = writer.take(); chunk; chunk = writer.take()) {
          bytes += chunk.length;
          yield chunk;
        }
        if (this.#ended || this.#held !== null) break;
        const wait = this.#context.pace?.spend(this.#sinceWait, bytes);
        this.#sinceWait = 0;
        if (wait) {
          await wait;
          // rows came meanwhile, and with the one after the segment in hand nothing may follow it
          continue;
        }
        if (this.#paused) {
          this.#paused = false;
          this.#flow.resume();
        }
        if (writer.readyBytes === 0 && !this.#ended && this.#held === null) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
      if (this.#failure) throw this.#failure;
      if (this.#ended) {
        // the metadata lock has been held since the first row, so one look is enough
        await this.#context.demandSameDefinition(session, this.plan);
        await this.#context.letGo(session);
      }
      writer.flush();
      for (let chunk = writer.take(); chunk; chunk = writer.take()) yield chunk;
    } finally {
      signal.removeEventListener('abort', drop);
      if (this.#ended || session.lost) {
        this.#context.openTables.delete(this);
        lease.release();
      }
    }
    if (this.#ended && this.#enumErrors) {
      const span = { plan: this.plan, range: this.range, after: null, onlyEnumErrors: true };
      const where = `${encodeURIComponent(this.plan.name)}/${this.range.low === null ? '' : `from-${this.range.low}/`}`;
      this.#context.find(new DataPart(this.#context, `data/${where}enum-errors`, [span]));
    }
  }

  #start({ session }: Lease): RowFlow {
    const { key } = this.plan;
    const conditions = rangeConditions(this.plan, this.range);
    const where = conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : '';
    const order = key ? ` ORDER BY ${keyNames(this.plan, key).join(', ')}` : '';
    const flow: RowFlow = session.flow(selectForReading(this.plan) + where + order, (bytes, from, to) => this.#onRow(bytes, from, to));
    const ended = (): void => {
      this.#ended = true;
      this.#wake();
    };
    flow.ended.then(ended, (error: unknown) => {
      this.#failure ??= error;
      ended();
    });
    return flow;
  }

  #onRow(bytes: Buffer, from: number, to: number): void {
    if (this.#failure) return;
    try {
      if (this.#held !== null) throw new CoffreError('E_INTERNAL', 'a row came while another one was kept for the next segment');
      if (this.#full) this.#held = Buffer.from(bytes.subarray(from, to));
      else this.#take(bytes, from, to);
    } catch (error) {
      this.#failure = error;
    }
    if ((this.#held !== null || this.#writer.readyBytes >= HIGH_WATER_BYTES) && !this.#paused) {
      this.#paused = true;
      this.#flow?.pause();
    }
    if (this.#held !== null || this.#writer.readyBytes > 0) this.#wake();
  }

  #take(bytes: Buffer, from: number, to: number): void {
    const row = this.#row;
    const writer = this.#writer;
    const before = writer.total;
    row.take(bytes, from, to);
    const wideBytes = row.wideBytes();
    const enumErrors = row.enumErrors();
    if (wideBytes > 0) {
      this.#context.find(new WideRowPart(this.#context, this.plan, { key: row.key(), place: row.keyHash(), estimatedBytes: wideBytes }));
    } else if (enumErrors) {
      // LOAD DATA warns about an ENUM's error value, and no warning is accepted: those rows go into INSERTs.
      this.#enumErrors = true;
    } else {
      writeTsvRow(writer, this.plan.columns, row.fields, from, to);
      this.#rows++;
      this.#sinceWait++;
    }
    this.#full = this.plan.key ? isCut(this.#cut, writer.total, writer.total - before, row) : writer.total >= this.#context.sizes.segment;
    if (this.#full && this.plan.key) this.#place = row.keyHash();
  }
}

/** One segment of a flow. The next one turns up when this one was read. */
export class FlowPart extends TsvPart {
  readonly #flow: TableFlow;
  readonly #number: number;

  constructor(context: ReadContext, flow: TableFlow, number = 1) {
    const { low } = flow.range;
    const keyed = number > 1 ? `after-${flow.place}` : low === null ? 'first' : `from-${low}`;
    const place = flow.plan.key ? keyed : String(number).padStart(4, '0');
    super(context, flow.plan, place, number === 1 ? Math.min(flow.plan.estimatedBytes, context.sizes.segment) : context.sizes.segment);
    this.#flow = flow;
    this.#number = number;
  }

  protected override async *content(_writer: ByteWriter, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.#flow.segment(signal);
    } catch (error) {
      signal.throwIfAborted();
      throw readError(error, `table ${this.plan.name}`, this.plan.name);
    }
    this.count(this.plan.name, this.#flow.rows);
    if (this.#flow.more) this.context.find(new FlowPart(this.context, this.#flow, this.#number + 1));
  }
}
