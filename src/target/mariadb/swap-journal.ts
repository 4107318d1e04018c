// The journal of a swap: a table in the database that takes the old tables, written before each step, read by whoever repairs.
import { CoffreError } from '../../errors.ts';
import type { Phase } from '../../source/source.ts';
import { listContents } from './contents.ts';
import { quoteName, quoteText } from './names.ts';
import type { Session } from './session.ts';
import type { SwapNames } from './swap-names.ts';
import type { DatabaseProperties, OldProgram } from './swap-programs.ts';
import type { ForeignKey } from './swap-references.ts';

export const JOURNAL_TABLE = 'coffre_swap';
const COMMENT = 'coffre: a restore beside this database’s namesake';
/** Well below any max_allowed_packet, written as hex. */
const PIECE_BYTES = 256 * 1024;

/**
 * `loading`: nothing of the old database was touched. `swapping`: anything may be half done, and goes back or is finished.
 * `committed`: the new tables and programs are in; what is left to do is to clear away the old.
 */
export type SwapStep = 'loading' | 'swapping' | 'committed';

/** All that going back needs, and going on. */
export interface SwapPlan {
  readonly keepOld: boolean;
  /** Null: the whole database. */
  readonly tables: readonly string[] | null;
  /** Tables and sequences that leave the database, and those that come into it. */
  readonly away: readonly string[];
  readonly into: readonly string[];
  readonly programs: readonly OldProgram[];
  readonly oldProperties: DatabaseProperties;
  readonly newProperties: DatabaseProperties;
  /** Of tables that stay, to tables that are swapped. */
  readonly foreignKeys: readonly ForeignKey[];
}

/** A segment that is run once the tables were swapped: programs; of chosen tables their foreign keys too. */
export interface StagedSegment {
  readonly id: string;
  readonly phase: Phase;
  readonly only: readonly string[] | null;
  readonly except: readonly string[];
  readonly text: Buffer;
}

/** Methods throw ServerError. */
export class SwapJournal {
  readonly #session: Session;
  readonly #table: string;

  private constructor(session: Session, table: string) {
    this.#session = session;
    this.#table = table;
  }

  /** The journal that a restore left; null when there is none. */
  static async find(session: Session, names: SwapNames): Promise<SwapJournal | null> {
    const ours = await session.text(
      `SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA=${quoteText(names.old)} AND TABLE_NAME='${JOURNAL_TABLE}' AND TABLE_COMMENT=${quoteText(COMMENT)}`,
    );
    return ours === null ? null : new SwapJournal(session, SwapJournal.#name(names));
  }

  /** Without a journal whatever has one of the names is not ours. Throws E_TARGET_NOT_EMPTY. */
  static async refuseForeign(session: Session, names: SwapNames): Promise<void> {
    for (const name of [names.old, names.scratch]) {
      const { total, text } = await listContents(session, name);
      if (total === 0) continue;
      throw new CoffreError(
        'E_TARGET_NOT_EMPTY',
        `the database ${name}, whose name a restore beside ${names.database} needs, holds ${text}`,
        {
          hint: `nothing was touched; if it is what an earlier restore kept (--keep-old), drop it when it is not needed any more: DROP DATABASE ${quoteName(name)}`,
        },
      );
    }
  }

  /** Makes the table; the database is there. */
  static async create(session: Session, names: SwapNames): Promise<SwapJournal> {
    const table = SwapJournal.#name(names);
    await session.run(
      `CREATE TABLE ${table} (document INT NOT NULL, piece INT NOT NULL, what VARCHAR(16) NOT NULL, body MEDIUMBLOB NOT NULL,
       PRIMARY KEY (document, piece)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT=${quoteText(COMMENT)}`,
    );
    const journal = new SwapJournal(session, table);
    await journal.step('loading');
    return journal;
  }

  static #name(names: SwapNames): string {
    return `${quoteName(names.old)}.${quoteName(JOURNAL_TABLE)}`;
  }

  /** The same journal on another connection. */
  on(session: Session): SwapJournal {
    return new SwapJournal(session, this.#table);
  }

  /** Written before what it speaks of is done. */
  step(step: SwapStep): Promise<void> {
    return this.#append('step', Buffer.from(step));
  }

  async lastStep(): Promise<SwapStep> {
    const steps = await this.#documents('step');
    return (steps.at(-1)?.toString() ?? 'loading') as SwapStep;
  }

  writePlan(plan: SwapPlan): Promise<void> {
    return this.#append('plan', Buffer.from(JSON.stringify(plan)));
  }

  async plan(): Promise<SwapPlan> {
    const plan = (await this.#documents('plan')).at(-1);
    if (!plan) throw new CoffreError('E_TARGET_WRITE', `the journal ${this.#table} has no plan`);
    return JSON.parse(plan.toString()) as SwapPlan;
  }

  stage({ text, ...head }: StagedSegment): Promise<void> {
    return this.#append('segment', Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), text]));
  }

  async staged(): Promise<readonly StagedSegment[]> {
    return (await this.#documents('segment')).map((body) => {
      const end = body.indexOf('\n');
      return { ...(JSON.parse(body.toString('utf8', 0, end)) as Omit<StagedSegment, 'text'>), text: body.subarray(end + 1) };
    });
  }

  /** Back to the beginning: nothing is swapped, nothing staged. */
  async reset(): Promise<void> {
    await this.#session.run('START TRANSACTION');
    await this.#session.run(`DELETE FROM ${this.#table}`);
    await this.#insert('step', Buffer.from('loading'));
    await this.#session.run('COMMIT');
  }

  async drop(): Promise<void> {
    await this.#session.run(`DROP TABLE IF EXISTS ${this.#table}`);
  }

  /** Whole or not at all. */
  async #append(what: string, body: Buffer): Promise<void> {
    await this.#session.run('START TRANSACTION');
    try {
      await this.#insert(what, body);
      await this.#session.run('COMMIT');
    } catch (error) {
      if (!this.#session.lost) await this.#session.run('ROLLBACK');
      throw error;
    }
  }

  async #insert(what: string, body: Buffer): Promise<void> {
    const document = Number((await this.#session.text(`SELECT COALESCE(MAX(document), 0) + 1 FROM ${this.#table}`)) ?? 1);
    for (let piece = 0; piece * PIECE_BYTES < body.length; piece += 1) {
      const bytes = body.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
      await this.#session.run(`INSERT INTO ${this.#table} VALUES (${document}, ${piece}, '${what}', x'${bytes.toString('hex')}')`);
    }
  }

  async #documents(what: string): Promise<readonly Buffer[]> {
    const rows = await this.#session.cells(`SELECT document, body FROM ${this.#table} WHERE what='${what}' ORDER BY document, piece`);
    const documents = new Map<string, Buffer[]>();
    for (const [document, body] of rows) {
      const id = (document as Buffer).toString();
      const pieces = documents.get(id);
      if (pieces) pieces.push(body as Buffer);
      else documents.set(id, [body as Buffer]);
    }
    return [...documents.values()].map((pieces) => Buffer.concat(pieces));
  }
}
