// A table without a usable key: one query, held open while its rows fill one segment after the other.
import type { Cell, RowFlow } from '../../target/mariadb/session.ts';
import { ByteWriter, writeTsvRow } from './encode.ts';
import { DataPart, TsvPart } from './parts.ts';
import type { TablePlan } from './plan.ts';
import { type ReadContext, readError, SAVEPOINT } from './reading.ts';
import { markEnumErrors, selectForReading } from './table-cursor.ts';

const HIGH_WATER_BYTES = 2 * 1024 * 1024;

/** The open query. Its owner holds the connection's turn from before the first part until `end`. */
export class TableFlow {
  readonly plan: TablePlan;
  readonly #context: ReadContext;
  #flow: RowFlow | null = null;
  #writer = new ByteWriter();
  #rows = 0;
  #paused = false;
  #ended = false;
  #dropping = false;
  #failure: unknown = null;
  #enumErrors = false;
  #wake = (): void => {};

  constructor(context: ReadContext, plan: TablePlan) {
    this.#context = context;
    this.plan = plan;
  }

  /** The last row was read, or reading failed. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Rows written since the segment began. */
  get rows(): number {
    return this.#rows;
  }

  /** Yields one segment's worth of rows; ends at a row's end. Throws ServerError. */
  async *segment(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const writer = new ByteWriter();
    this.#writer = writer;
    this.#rows = 0;
    this.#flow ??= this.#start();
    const drop = (): void => this.#context.session.destroy();
    signal.addEventListener('abort', drop, { once: true });
    try {
      signal.throwIfAborted();
      for (;;) {
        for (let chunk = writer.take(); chunk; chunk = writer.take()) yield chunk;
        if (this.#ended || writer.total >= this.#context.sizes.segment) break;
        if (this.#paused) {
          this.#paused = false;
          this.#flow.resume();
        }
        if (writer.readyBytes === 0 && !this.#ended && writer.total < this.#context.sizes.segment) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
      if (this.#failure) throw this.#failure;
      if (this.#ended) await this.#context.demandSameDefinition(this.plan);
      writer.flush();
      for (let chunk = writer.take(); chunk; chunk = writer.take()) yield chunk;
    } finally {
      signal.removeEventListener('abort', drop);
    }
  }

  /** Drops what was not read and frees the connection for others. */
  async end(): Promise<void> {
    this.#dropping = true;
    if (this.#paused) this.#flow?.resume();
    await this.#flow?.ended.catch(() => {});
    if (!this.#context.session.lost) await this.#context.session.run(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`).catch(() => {});
    if (!this.#enumErrors) return;
    const span = { plan: this.plan, after: null, onlyEnumErrors: true };
    this.#context.find(new DataPart(this.#context, `data/${encodeURIComponent(this.plan.name)}/enum-errors`, [span]));
  }

  #start(): RowFlow {
    const flow: RowFlow = this.#context.session.flow(selectForReading(this.plan), (row) => this.#onRow(row));
    const ended = (): void => {
      this.#ended = true;
      this.#wake();
    };
    flow.ended.then(ended, (error: unknown) => {
      this.#failure = error;
      ended();
    });
    return flow;
  }

  #onRow(row: Cell[]): void {
    if (this.#dropping) return;
    const enumError = this.plan.enums.length > 0 && markEnumErrors(this.plan, row, row.pop());
    if (enumError) {
      this.#enumErrors = true;
    } else {
      writeTsvRow(this.#writer, this.plan.columns, row);
      this.#rows++;
    }
    const full = this.#writer.total >= this.#context.sizes.segment;
    if ((full || this.#writer.readyBytes >= HIGH_WATER_BYTES) && !this.#paused) {
      this.#paused = true;
      this.#flow?.pause();
    }
    if (full || this.#writer.readyBytes > 0) this.#wake();
  }
}

export class FlowPart extends TsvPart {
  readonly #flow: TableFlow;

  constructor(context: ReadContext, flow: TableFlow, number: number) {
    super(context, flow.plan, String(number).padStart(4, '0'), context.sizes.segment);
    this.#flow = flow;
  }

  protected override async *content(_writer: ByteWriter, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.#flow.segment(signal);
    } catch (error) {
      signal.throwIfAborted();
      throw readError(error, `table ${this.plan.name}`);
    }
    this.count(this.plan.name, this.#flow.rows);
  }
}
