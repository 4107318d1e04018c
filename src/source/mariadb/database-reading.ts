// One reading of a database: its parts in the order in which they are read, and what it came to.
import type { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../../errors.ts';
import type { Consistency, Part, Reading, SourceSummary } from '../source.ts';
import { FlowPart, TableFlow } from './flow.ts';
import type { PlannedTable } from './measure.ts';
import { ChunkPart, DataPart, TextPart } from './parts.ts';
import type { TablePlan } from './plan.ts';
import type { ReadContext } from './reading.ts';
import { writeKeys, writePost, writePre } from './script.ts';
import type { Snapshot } from './snapshot.ts';

export class DatabaseReading implements Reading {
  readonly parallel = 1;
  readonly asOf: Temporal.Instant;
  readonly expectedBytes: number;
  readonly #snapshot: Snapshot;
  readonly #context: ReadContext;
  readonly #tables: readonly PlannedTable[];
  #blockedMs = 0;

  constructor(snapshot: Snapshot, context: ReadContext, tables: readonly PlannedTable[]) {
    this.#snapshot = snapshot;
    this.#context = context;
    this.#tables = tables;
    this.asOf = snapshot.asOf;
    this.expectedBytes = tables.reduce((sum, { plan }) => sum + plan.estimatedBytes, 0);
  }

  /**
   * The next item is sometimes only known, or only safe to read, when all before it were read: asking for it then waits
   * for them, so a consumer must read what it was given without asking for more first.
   */
  async *items(): AsyncGenerator<Part, void, undefined> {
    const { schema, programs, lock } = this.#snapshot;
    yield new TextPart(this.#context, 'pre', writePre(schema)).handOut();
    if (lock) {
      const locked = new Set(lock.tables);
      yield* this.#rows(
        this.#tables.filter(({ plan }) => locked.has(plan.name)),
        'locked',
      );
      yield* this.#found();
      if (lock.lost()) throw new CoffreError('E_DB_READ', 'the server ended the lock on tables without transactions before they were read');
      this.#blockedMs = await lock.release();
      yield* this.#rows(this.#tables.filter(({ plan }) => !locked.has(plan.name)));
    } else {
      yield* this.#rows(this.#tables);
    }
    yield* this.#found();
    yield new TextPart(this.#context, 'keys', writeKeys(schema)).handOut();
    yield new TextPart(this.#context, 'post', writePost(schema, programs)).handOut();
  }

  /** `set` tells parts of several groups apart by name. */
  async *#rows(tables: readonly PlannedTable[], set?: string): AsyncGenerator<Part, void, undefined> {
    const together = tables.filter(({ way }) => way === 'together').map(({ plan }) => plan);
    for (const part of this.#dataParts(together, set ? `data/${set}-` : 'data/')) yield part.handOut();
    for (const { plan, way } of tables) {
      if (way !== 'chunks') continue;
      yield new ChunkPart(this.#context, { plan, after: null, onlyEnumErrors: false }, plan.estimatedBytes).handOut();
      yield* this.#found();
    }
    for (const { plan, way } of tables) if (way === 'flow') yield* this.#flow(plan);
  }

  /** What turned up while the others were read. */
  async *#found(): AsyncGenerator<Part, void, undefined> {
    for (;;) {
      await this.#context.settled();
      const part = this.#context.nextFound();
      if (!part) return;
      yield part.handOut();
    }
  }

  #dataParts(plans: readonly TablePlan[], prefix: string): DataPart[] {
    const groups: TablePlan[][] = [];
    let bytes = Number.POSITIVE_INFINITY;
    for (const plan of plans) {
      // By estimates, so well below the size at which a part must be streamed.
      if (bytes + plan.estimatedBytes > this.#context.sizes.segment / 2) {
        groups.push([]);
        bytes = 0;
      }
      groups.at(-1)?.push(plan);
      bytes += plan.estimatedBytes;
    }
    return groups.map((group, index) => {
      const spans = group.map((plan) => ({ plan, after: null, onlyEnumErrors: false }));
      return new DataPart(this.#context, `${prefix}${String(index + 1).padStart(4, '0')}`, spans);
    });
  }

  /** The connection is the flow's alone until its last row: what was handed out before has to be read first. */
  async *#flow(plan: TablePlan): AsyncGenerator<Part, void, undefined> {
    await this.#context.settled();
    const release = await this.#context.takeTurn();
    const flow = new TableFlow(this.#context, plan);
    try {
      for (let number = 1; !flow.ended; number++) {
        yield new FlowPart(this.#context, flow, number).handOut();
        await this.#context.settled();
      }
    } finally {
      await flow.end();
      release();
    }
  }

  summary(): SourceSummary {
    const { schema, server, programs, method, acrossTables, binlog, notCovered } = this.#snapshot;
    const warnings = [...this.#context.warnings, ...programs.warnings];
    const consistency: Consistency = {
      method,
      acrossTables,
      notCovered,
      blockedMs: this.#blockedMs,
      ...(binlog ? { binlog } : {}),
    };
    return {
      complete: warnings.every((warning) => warning.kind !== 'unreadable'),
      warnings,
      counts: { tables: schema.tables.length, rows: this.#context.rows },
      server: { product: server.mariadb ? 'MariaDB' : 'MySQL', version: server.version },
      consistency,
    };
  }

  async close(): Promise<void> {
    this.#context.close();
    this.#snapshot.session.destroy();
    await this.#snapshot.lock?.release();
  }
}
