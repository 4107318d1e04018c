// One reading of a database: its parts in the order in which they are read, and what it came to.
import type { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../../errors.ts';
import type { Consistency, Part, Reading, SourceSummary, Warning } from '../source.ts';
import { FlowPart, TableFlow } from './flow.ts';
import type { Gentle } from './gentle.ts';
import type { PlannedTable } from './measure.ts';
import { DataPart, TextPart } from './parts.ts';
import type { TablePlan } from './plan.ts';
import { WHOLE_TABLE } from './ranges.ts';
import type { ReadContext } from './reading.ts';
import { writeKeys, writePost, writePre } from './script.ts';
import type { Snapshot } from './snapshot.ts';

/** A reading that the server's load held for longer than this in all says so: its snapshot was open for as long. */
const HELD_TELL_MS = 60_000;

export class DatabaseReading implements Reading {
  readonly asOf: Temporal.Instant;
  readonly expectedBytes: number;
  /** One part for each connection. */
  readonly parallel: number;
  readonly #snapshot: Snapshot;
  readonly #context: ReadContext;
  readonly #gentle: Pick<Gentle, 'heldMs' | 'close'>;
  /** Tables whose secondary keys are built when their rows are in. */
  readonly #keysLater: ReadonlySet<string>;
  /** How long the tables without transactions were locked; 0 before they are let go. */
  #lockedMs = 0;

  /** `gentle` ends with the reading. */
  constructor(snapshot: Snapshot, context: ReadContext, tables: readonly PlannedTable[], gentle: Pick<Gentle, 'heldMs' | 'close'>) {
    this.#snapshot = snapshot;
    this.#context = context;
    this.#gentle = gentle;
    this.asOf = snapshot.asOf;
    this.parallel = snapshot.sessions.length;
    this.expectedBytes = tables.reduce((sum, { plan }) => sum + plan.estimatedBytes, 0);
    const large = tables.filter(({ plan }) => plan.estimatedBytes >= context.sizes.smallTable);
    this.#keysLater = new Set(large.map(({ plan }) => plan.name));
    // locked ones first: the site waits for them
    for (const locked of [true, false]) this.#plan(tables.filter(({ plan }) => plan.locked === locked));
  }

  async *items(): AsyncGenerator<Part, void, undefined> {
    const { schema, programs } = this.#snapshot;
    yield new TextPart(this.#context, 'pre', writePre(schema, this.#keysLater)).handOut();
    for (;;) {
      await this.#unlockWhenRead();
      const part = this.#context.nextReady();
      if (part) yield part.handOut();
      else if (this.#context.busy) await this.#context.change();
      else break;
    }
    await this.#unlockWhenRead();
    yield new TextPart(this.#context, 'keys', writeKeys(schema, this.#keysLater)).handOut();
    yield new TextPart(this.#context, 'post', writePost(schema, programs)).handOut();
  }

  /** Largest tables first: the last connection to end should not be left alone with one. */
  #plan(tables: readonly PlannedTable[]): void {
    const flows = tables.filter(({ way }) => way === 'flow');
    flows.sort(({ plan: a }, { plan: b }) => b.estimatedBytes - a.estimatedBytes || (a.name < b.name ? -1 : 1));
    for (const { plan, ranges } of flows)
      for (const range of ranges) this.#context.add(new FlowPart(this.#context, new TableFlow(this.#context, plan, range)));
    const together = tables.filter(({ way }) => way === 'together').map(({ plan }) => plan);
    for (const part of this.#dataParts(together)) this.#context.add(part);
  }

  #dataParts(plans: readonly TablePlan[]): DataPart[] {
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
      const spans = group.map((plan) => ({ plan, range: WHOLE_TABLE, after: null, onlyEnumErrors: false }));
      const prefix = group.some((plan) => plan.locked) ? 'data/locked-' : 'data/';
      return new DataPart(this.#context, `${prefix}${String(index + 1).padStart(4, '0')}`, spans);
    });
  }

  async #unlockWhenRead(): Promise<void> {
    const { lock } = this.#snapshot;
    if (!lock || this.#context.lockedOpen > 0 || this.#lockedMs > 0) return;
    if (!(await lock.held()))
      throw new CoffreError('E_DB_READ', 'the server ended the lock on tables without transactions before they were read');
    this.#lockedMs = Math.max(1, await lock.release());
  }

  summary(): SourceSummary {
    const { schema, server, programs, method, acrossTables, binlog, notCovered } = this.#snapshot;
    const warnings = [...this.#context.warnings, ...programs.warnings, ...this.#conditions()];
    const consistency: Consistency = {
      method,
      acrossTables,
      notCovered,
      // who writes to a locked table waits, as who commits does at the moment of the snapshot
      blockedMs: Math.max(this.#snapshot.blockedMs, this.#lockedMs),
      ...(binlog ? { binlog } : {}),
    };
    return {
      complete: warnings.every((warning) => warning.kind !== 'unreadable'),
      warnings,
      counts: { tables: schema.tables.length, rows: this.#context.rows },
      server: {
        product: server.mariadb ? 'MariaDB' : 'MySQL',
        version: server.version,
        lowerCaseTableNames: server.lowerCaseTableNames,
      },
      consistency,
    };
  }

  /** What was worse than it need have been, though nothing is missing. */
  #conditions(): Warning[] {
    const { fellShort, method } = this.#snapshot;
    const messages: string[] = [];
    if (fellShort.length > 0)
      messages.push(`the snapshot was opened by ${method}, for a better way came to nothing: ${fellShort.join('; ')}`);
    const { heldMs } = this.#gentle;
    if (heldMs >= HELD_TELL_MS)
      messages.push(`reading was held for ${Math.round(heldMs / 1000)} s, for the server ran more queries than maxRunningQueries allows`);
    return messages.map((message) => ({ kind: 'other', where: 'database', message }));
  }

  async close(): Promise<void> {
    this.#context.close();
    await this.#snapshot.lock?.release();
    await this.#gentle.close();
  }
}
