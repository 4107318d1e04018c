// The source `database`: a MariaDB or MySQL database as schema, rows and programs, from one snapshot.
import type { Duplex } from 'node:stream';
import type { Temporal } from 'temporal-polyfill';
import type { Clock } from '../../clock.ts';
import type { DatabaseConfig } from '../../config/config.ts';
import type { ServerAddress } from '../../target/mariadb/session.ts';
import type { Finding, OpenOptions, Part, Reading, Source, SourceSummary } from '../source.ts';
import { checkDatabase } from './check.ts';
import { FlowPart, TableFlow } from './flow.ts';
import { measure, type PlannedTable } from './measure.ts';
import { DataPart, RangePart, TextPart } from './parts.ts';
import { DEFAULT_SIZES, planTable, type Sizes, type TablePlan } from './plan.ts';
import { ReadContext, readError } from './reading.ts';
import { writePost, writePre } from './script.ts';
import { openSnapshot, type Snapshot } from './snapshot.ts';

export interface DatabaseSourceOptions {
  readonly clock: Clock;
  /** A byte stream to the server, where it is reached through a tunnel. */
  readonly stream?: () => Duplex;
  readonly sizes?: Sizes;
}

export class DatabaseSource implements Source {
  readonly kind = 'database';
  readonly #config: DatabaseConfig;
  readonly #address: ServerAddress;
  readonly #clock: Clock;
  readonly #sizes: Sizes;

  constructor(config: DatabaseConfig, options: DatabaseSourceOptions) {
    this.#config = config;
    this.#clock = options.clock;
    this.#sizes = options.sizes ?? DEFAULT_SIZES;
    this.#address = {
      user: config.user,
      password: config.password,
      host: config.host,
      port: config.port,
      socketPath: config.socketPath,
      ...(options.stream ? { stream: options.stream } : {}),
    };
  }

  async open(options: OpenOptions): Promise<Reading> {
    options.signal.throwIfAborted();
    const snapshot = await openSnapshot(this.#address, this.#config.name, this.#clock);
    try {
      options.signal.throwIfAborted();
      const context = new ReadContext(snapshot.session, snapshot.server.maxAllowedPacket, this.#sizes);
      const tables: PlannedTable[] = [];
      for (const table of snapshot.schema.tables) {
        if (table.definitionOnly || this.#config.excludeData.includes(table.name)) continue;
        if (table.history === 'current') {
          const message = 'only its present rows are kept: this server cannot take history back';
          context.warnings.push({ kind: 'skipped', where: table.name, message });
        }
        tables.push(await measure(snapshot.session, planTable(table), this.#sizes));
      }
      return new DatabaseReading(snapshot, context, tables);
    } catch (error) {
      snapshot.session.destroy();
      throw readError(error, `the tables of ${this.#config.name}`);
    }
  }

  check(): Promise<readonly Finding[]> {
    return checkDatabase(this.#address, this.#config.name);
  }
}

class DatabaseReading implements Reading {
  readonly asOf: Temporal.Instant;
  readonly expectedBytes: number;
  readonly #snapshot: Snapshot;
  readonly #context: ReadContext;
  readonly #tables: readonly PlannedTable[];

  constructor(snapshot: Snapshot, context: ReadContext, tables: readonly PlannedTable[]) {
    this.#snapshot = snapshot;
    this.#context = context;
    this.#tables = tables;
    this.asOf = snapshot.asOf;
    this.expectedBytes = tables.reduce((sum, { plan }) => sum + plan.estimatedBytes, 0);
  }

  /** The phase post is asked for only after every part before it was handed out and read: some of them turn up on the way. */
  async *items(): AsyncGenerator<Part, void, undefined> {
    const { schema, programs } = this.#snapshot;
    const context = this.#context;
    yield new TextPart(context, 'pre', writePre(schema)).handOut();
    for (const part of this.#dataParts()) yield part.handOut();
    for (const { plan, ranges } of this.#tables) {
      const bytes = plan.estimatedBytes / Math.max(1, ranges.length);
      for (const range of ranges) {
        yield new RangePart(context, { plan, range, after: null, onlyEnumErrors: false }, bytes).handOut();
      }
    }
    for (const { plan, way } of this.#tables) if (way === 'flow') yield* this.#flowParts(plan);
    for (;;) {
      await context.settled();
      const part = context.nextFound();
      if (!part) break;
      yield part.handOut();
    }
    yield new TextPart(context, 'post', writePost(schema, programs)).handOut();
  }

  #dataParts(): DataPart[] {
    const groups: TablePlan[][] = [];
    let bytes = Number.POSITIVE_INFINITY;
    for (const { plan, way } of this.#tables) {
      if (way !== 'together') continue;
      if (bytes + plan.estimatedBytes > this.#context.sizes.segment / 2) {
        groups.push([]);
        bytes = 0;
      }
      groups.at(-1)?.push(plan);
      bytes += plan.estimatedBytes;
    }
    return groups.map((plans, index) => {
      const spans = plans.map((plan) => ({ plan, range: null, after: null, onlyEnumErrors: false }));
      return new DataPart(this.#context, `data/${String(index + 1).padStart(4, '0')}`, spans);
    });
  }

  /** The connection is the flow's alone until its last row: what was handed out before has to be read first. */
  async *#flowParts(plan: TablePlan): AsyncGenerator<Part, void, undefined> {
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
    const { schema, server, programs, consistency } = this.#snapshot;
    const warnings = [...this.#context.warnings, ...programs.warnings];
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
  }
}
