// Writes a database back over several connections: definitions, rows by LOAD DATA, keys once a table's rows are in; each load proved.
import { CoffreError } from '../../errors.ts';
import type { LoadInstruction } from '../../source/source.ts';
import type { DatabaseTarget, IncomingSegment, LoadedTable, RestoreScope, TableChoice } from '../target.ts';
import { type Contents, dropContents, listContents } from './contents.ts';
import { type DefinerRule, KEEP_DEFINERS } from './definers.ts';
import { writeError } from './errors.ts';
import { addForeignKeys } from './foreign-keys.ts';
import { HeldKeys } from './held-keys.ts';
import { endJournal, forgetFinished, isSameScope, JOURNAL_TABLE, noteFinished, readJournal, startJournal } from './journal.ts';
import { REFUSED_LOCAL_INFILE } from './local-infile.ts';
import { quoteName } from './names.ts';
import { TargetOpener } from './open.ts';
import { SessionPool } from './pool.ts';
import { clearUnfinished } from './resume.ts';
import { loadRows } from './rows.ts';
import type { ServerAddress, Session } from './session.ts';
import { runSegment, splitStatements } from './sql-segment.ts';
import { statementSubject } from './statement-subject.ts';

export interface MariadbTargetOptions {
  /** Drop what the database holds first; else a database that is not empty is refused. */
  readonly overwrite: boolean;
  /** Connections that load at the same time; 2 when not given. */
  readonly connections?: number;
  /** What becomes of the definers of views, triggers, routines and events; kept when not given. */
  readonly definers?: DefinerRule;
  /** The database is taken as it is, with all that is in it, and others are kept out of it by the caller. */
  readonly adopt?: boolean;
  /** Told what was done otherwise than the segment says: definers left out, INSERTs instead of LOAD DATA. */
  readonly onWarning?: (message: string) => void;
}

/** Two keep two cores of a server busy that shares them with us; more help a server with more. */
const DEFAULT_CONNECTIONS = 2;

export class MariadbTarget implements DatabaseTarget {
  readonly connections: number;
  readonly #database: string;
  readonly #options: MariadbTargetOptions;
  readonly #opener: TargetOpener;
  readonly #pool: SessionPool;
  readonly #held = new HeldKeys();
  #scope: RestoreScope | null = null;
  #prepared = false;
  #localInfileRefused = false;
  #versioned: Promise<ReadonlySet<string>> | null = null;

  constructor(address: ServerAddress, database: string, options: MariadbTargetOptions) {
    this.#database = database;
    this.#options = options;
    this.connections = Math.max(1, options.connections ?? DEFAULT_CONNECTIONS);
    this.#opener = new TargetOpener(address, database, { alone: options.adopt !== true });
    this.#pool = new SessionPool(this.connections, () => this.#opener.open(false));
  }

  async prepare(scope?: RestoreScope): Promise<readonly LoadedTable[]> {
    this.#pool.adopt(await this.#opener.open(true));
    this.#prepared = true;
    this.#scope = scope ?? null;
    if (this.#options.adopt) return [];
    return this.#use(undefined, (session) => this.#makeReady(session));
  }

  async #makeReady(session: Session): Promise<readonly LoadedTable[]> {
    const database = this.#database;
    try {
      const contents = await listContents(session, database);
      const journal = contents.tables.includes(JOURNAL_TABLE) ? await readJournal(session) : null;
      const mine = this.#scope !== null && journal?.scope != null && isSameScope(journal.scope, this.#scope);
      if (mine && this.#scope) {
        const finished = await this.#stillCounted(session, journal.finished);
        await clearUnfinished(session, contents, this.#scope, finished);
        return finished;
      }
      const inTheWay = await this.#inTheWay(session, contents);
      if (inTheWay === null) return [];
      if (!this.#options.overwrite) {
        throw new CoffreError('E_TARGET_NOT_EMPTY', `the database ${database} already holds ${inTheWay}`, {
          ...(journal?.scope
            ? { hint: `it is an unfinished restore of snapshot ${journal.scope.snapshot}: the command that began it goes on with it` }
            : {}),
        });
      }
      await dropContents(session, contents);
      return [];
    } catch (error) {
      throw writeError(error, `making ${database} ready`);
    }
  }

  markIncomplete(): Promise<void> {
    return this.#use(undefined, (session) => startJournal(session, this.#scope).catch(failed('beginning the journal of the restore')));
  }

  markComplete(): Promise<void> {
    return this.#use(undefined, (session) => endJournal(session).catch(failed('ending the journal of the restore')));
  }

  /** See HeldDatabase.willAlter. */
  willAlter(tables: readonly string[]): Promise<void> {
    return this.#use(undefined, (session) => forgetFinished(session, tables).catch(failed('noting what is about to be changed')));
  }

  loadSql(segment: IncomingSegment, signal: AbortSignal, choice?: TableChoice): Promise<void> {
    return this.#use(signal, async (session) => {
      const rows = segment.phase === 'data';
      // Definitions cannot be rolled back: what is not checked yet is read to its end first. Rows have their transaction.
      const plaintext = segment.unverified && !rows ? await wholeOf(segment.plaintext) : segment.plaintext;
      try {
        if (rows) await session.run('START TRANSACTION');
        await runSegment(session, plaintext, {
          inTransaction: rows,
          choice: choice ?? null,
          definers: this.#options.definers ?? KEEP_DEFINERS,
          onWarning: (text) => this.#warn(text),
        });
        if (rows) await session.run('COMMIT');
      } catch (error) {
        if (!session.lost) await session.run('ROLLBACK').catch(() => session.destroy());
        throw writeError(error, `loading segment ${segment.id}`);
      }
    });
  }

  loadRows(segment: IncomingSegment, load: LoadInstruction, signal: AbortSignal): Promise<LoadedTable> {
    return this.#use(signal, async (session) => {
      const rows = await loadRows(session, segment.plaintext, load, {
        refused: this.#localInfileRefused,
        onRefused: () => {
          if (!this.#localInfileRefused) this.#warn(`${REFUSED_LOCAL_INFILE}: rows are loaded as INSERTs`);
          this.#localInfileRefused = true;
        },
      });
      return { table: load.table, rows };
    });
  }

  async listTables(segment: IncomingSegment): Promise<readonly string[]> {
    const tables: string[] = [];
    for await (const statement of splitStatements(segment.plaintext)) {
      const { kind, table } = statementSubject(statement);
      if (kind === 'table' && table !== null) tables.push(table);
    }
    return tables;
  }

  holdKeys(segment: IncomingSegment): Promise<readonly string[]> {
    return this.#held.read(segment.plaintext);
  }

  finishTables(tables: readonly LoadedTable[], signal: AbortSignal): Promise<void> {
    return this.#use(signal, async (session) => {
      try {
        const keyed = tables.filter(({ table }) => this.#held.keysOf(table).length > 0);
        if (keyed.length > 0) for (const setting of this.#held.settings) await session.run(setting);
        for (const { table } of keyed) {
          for (const statement of this.#held.keysOf(table)) {
            await session.run(statement).catch(failed(`building the keys of ${table}`));
          }
        }
        // Without it the server plans the shop's first queries by what it knew of empty tables.
        await session.texts(`ANALYZE LOCAL TABLE ${tables.map(({ table }) => quoteName(table)).join(', ')}`);
        const wrong = differences(
          tables,
          await this.#count(
            session,
            tables.map(({ table }) => table),
          ),
        );
        if (wrong.length > 0)
          throw new CoffreError('E_LOAD_MISMATCH', `the restored database differs from the manifest: ${wrong.join('; ')}`);
        // Last: what is noted as finished is not looked at again after an interruption but for its count.
        if (this.#scope) await noteFinished(session, tables);
      } catch (error) {
        throw writeError(error, `finishing ${tables.length === 1 ? (tables[0] as LoadedTable).table : `${tables.length} tables`}`);
      }
    });
  }

  addForeignKeys(signal: AbortSignal, choice?: TableChoice): Promise<void> {
    return this.#use(signal, (session) => addForeignKeys(session, this.#held, choice ?? null, (text) => this.#warn(text)));
  }

  async publish(): Promise<void> {}

  async countRows(tables: readonly string[]): Promise<readonly LoadedTable[]> {
    const lanes = Array.from({ length: this.connections }, (_, lane) => tables.filter((_table, at) => at % this.connections === lane));
    const counted = await Promise.all(lanes.map((lane) => this.#use(undefined, (session) => this.#count(session, lane))));
    const rows = new Map(counted.flat().map((one) => [one.table, one.rows]));
    return tables.map((table) => ({ table, rows: rows.get(table) as number }));
  }

  async close(): Promise<void> {
    await this.#pool.close();
    await this.#opener.close();
  }

  /** What of the contents keeps this restore from beginning, printable; null: nothing. */
  async #inTheWay(session: Session, contents: Contents): Promise<string | null> {
    // A journal alone: whoever began here had made nothing yet.
    if (
      contents.total === 0 ||
      (contents.total === 1 && contents.tables[0] === JOURNAL_TABLE && (await readJournal(session))?.scope === null)
    ) {
      return null;
    }
    const chosen = this.#scope?.tables;
    if (!chosen || contents.tables.includes(JOURNAL_TABLE)) return contents.text;
    const relations = new Set([...contents.tables, ...contents.views, ...contents.sequences]);
    const there = chosen.filter((table) => relations.has(table));
    return there.length === 0 ? null : `${there.length === 1 ? 'the table' : 'the tables'} ${there.join(', ')}`;
  }

  /** A table that was noted as finished and does not have its rows any more is loaded again. */
  async #stillCounted(session: Session, finished: readonly LoadedTable[]): Promise<readonly LoadedTable[]> {
    const still: LoadedTable[] = [];
    for (const each of finished) {
      const [counted] = await this.#count(session, [each.table]).catch(() => []);
      if (counted?.rows === each.rows) still.push(each);
    }
    // Tables are made from here on: which of them have history is to be asked again.
    this.#versioned = null;
    return still;
  }

  async #count(session: Session, tables: readonly string[]): Promise<LoadedTable[]> {
    this.#versioned ??= versionedTables(session);
    const versioned = await this.#versioned;
    const counts: LoadedTable[] = [];
    for (const table of tables) {
      const history = versioned.has(table) ? ' FOR SYSTEM_TIME ALL' : '';
      const rows = await session.text(`SELECT COUNT(*) FROM ${quoteName(table)}${history}`).catch(failed(`counting the rows of ${table}`));
      counts.push({ table, rows: Number(rows) });
    }
    return counts;
  }

  #use<T>(signal: AbortSignal | undefined, work: (session: Session) => Promise<T>): Promise<T> {
    if (!this.#prepared) return Promise.reject(new CoffreError('E_INTERNAL', 'the database target was not prepared'));
    return this.#pool.use(signal, work);
  }

  #warn(message: string): void {
    this.#options.onWarning?.(message);
  }
}

const failed =
  (what: string) =>
  (error: unknown): never => {
    throw writeError(error, what);
  };

function differences(expected: readonly LoadedTable[], counted: readonly LoadedTable[]): string[] {
  return expected.flatMap(({ table, rows }, at) => {
    const found = counted[at]?.rows;
    return found === rows ? [] : [`${table}: ${found} rows, ${rows} expected`];
  });
}

async function versionedTables(session: Session): Promise<ReadonlySet<string>> {
  const found = await session.texts(
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE='SYSTEM VERSIONED'",
  );
  return new Set(found.map(([name]) => name as string));
}

async function* wholeOf(plaintext: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of plaintext) chunks.push(chunk);
  yield* chunks;
}
