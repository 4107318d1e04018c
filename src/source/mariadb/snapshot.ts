// Opens the one consistent view of a database that everything of a reading comes from.
import type { Temporal } from 'temporal-polyfill';
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import { quoteText } from '../../target/mariadb/names.ts';
import { connect, type ServerAddress, type Session } from '../../target/mariadb/session.ts';
import type { Consistency } from '../source.ts';
import { readRights, useDatabase } from './check.ts';
import { openTogether } from './ladder.ts';
import type { TableLock } from './locks.ts';
import { changedBetween, outlineOf, readOutline } from './outline.ts';
import type { Rights } from './privileges.ts';
import { type Programs, readPrograms } from './programs.ts';
import { readError, SAVEPOINT } from './reading.ts';
import { type DatabaseSchema, isDefinitionOnly, readSchema, readServer, type ServerInfo } from './schema.ts';

/** The longest that commits of the shop may wait for the moment at which all sessions open their snapshot, where nobody says otherwise. */
export const MAX_BLOCK_MS = 3000;

export interface Snapshot {
  /** At least one, all in one snapshot, each with the savepoint set. */
  readonly sessions: readonly Session[];
  /** The first of them. */
  readonly session: Session;
  readonly asOf: Temporal.Instant;
  readonly server: ServerInfo;
  readonly schema: DatabaseSchema;
  readonly programs: Programs;
  /** On tables that the snapshot itself does not hold still; to be released when their rows were read. */
  readonly lock: TableLock | null;
  /** Which step of the ladder was used. */
  readonly method: Consistency['method'];
  readonly acrossTables: boolean;
  /** How long commits of the shop were held up while the sessions were opened. */
  readonly blockedMs: number;
  readonly binlog: Consistency['binlog'] | null;
  /** Why better steps came to nothing, printable. */
  readonly steppedDown: readonly string[];
  /** Those of them that no missing privilege or setting explains. */
  readonly fellShort: readonly string[];
  /** Base tables outside of both snapshot and lock. */
  readonly notCovered: readonly string[];
}

export interface SnapshotOptions {
  readonly clock: Clock;
  /** Tables whose rows are not read: not locked either. */
  readonly excludeData: readonly string[];
  /** Sessions wanted, at least 1; there may come fewer. */
  readonly connections: number;
  /** Commits of the shop are never held up longer; 0: not at all. */
  readonly maxBlockMs: number;
  readonly signal?: AbortSignal;
}

/** Definitions that change while it is opened make it worthless: a migration is given this many chances to be over. */
const TRIES = 3;

/** Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE, E_DB_READ, E_DB_CHANGED, and the signal's reason. */
export async function openSnapshot(address: ServerAddress, database: string, options: SnapshotOptions): Promise<Snapshot> {
  for (let tries = 1; ; tries++) {
    try {
      return await openOnce(address, database, options);
    } catch (error) {
      if (tries === TRIES || !(error instanceof CoffreError) || error.code !== 'E_DB_CHANGED') throw error;
    }
  }
}

async function openOnce(address: ServerAddress, database: string, options: SnapshotOptions): Promise<Snapshot> {
  const { clock, excludeData, connections, maxBlockMs, signal } = options;
  const open = new Set<Session>();
  const dropAll = (): void => {
    for (const session of open) session.destroy();
  };
  signal?.throwIfAborted();
  signal?.addEventListener('abort', dropAll, { once: true });
  const connectOne = async (): Promise<Session> => {
    const session = await connect(address, { localInfile: false });
    open.add(session);
    if (signal?.aborted) dropAll();
    await useDatabase(session, database);
    return session;
  };
  try {
    const first = await connectOne();
    const server = await readServer(first);
    const rights = await demandRights(first, database, server);
    const before = await readOutline(first, database);
    const { tables, loose } = await tablesToRead(first, database, excludeData);
    const climb = { clock, server, rights, first, connect: connectOne, connections, maxBlockMs, tables, loose };
    const opened = await openTogether(signal ? { ...climb, signal } : climb);
    // After the snapshot, for sequences and counters are in none: later ones are higher, and so right.
    const schema = await readSchema(first, database, server);
    const programs = await readPrograms(first, database, schema);
    const changed = changedBetween(before, await outlineOf(first, database, schema));
    if (changed !== null) throw new CoffreError('E_DB_CHANGED', `${changed} was altered while the snapshot was opened`, { where: changed });
    // Lets go of the metadata locks that looking took.
    await first.run(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`);
    const covered = new Set(opened.lock?.tables);
    const read = schema.tables.filter((table) => !table.definitionOnly && !excludeData.includes(table.name));
    const notCovered = read.flatMap((table) => (table.transactional || covered.has(table.name) ? [] : [table.name]));
    return {
      ...opened,
      session: first,
      server,
      schema,
      programs,
      method: read.length > 0 && notCovered.length === read.length ? 'none' : opened.method,
      acrossTables: notCovered.length === 0,
      blockedMs: Math.ceil(opened.blockedMs),
      notCovered,
    };
  } catch (error) {
    dropAll();
    signal?.throwIfAborted();
    throw readError(error, `the definitions of ${database}`);
  } finally {
    signal?.removeEventListener('abort', dropAll);
  }
}

async function demandRights(session: Session, database: string, server: ServerInfo): Promise<Rights> {
  const rights = await readRights(session, database, server);
  const { missing } = rights;
  if (missing.length === 0) return rights;
  throw new CoffreError(
    'E_DB_PRIVILEGE',
    `the database user lacks ${missing.map(({ privilege }) => privilege).join(', ')} on ${database}`,
    {
      hint: missing.map(({ grant }) => `${grant};`).join(' '),
    },
  );
}

interface TablesToRead {
  readonly tables: readonly string[];
  /** Of engines without transactions. */
  readonly loose: readonly string[];
}

async function tablesToRead(session: Session, database: string, excludeData: readonly string[]): Promise<TablesToRead> {
  const rows = await session.texts(
    `SELECT t.TABLE_NAME, e.TRANSACTIONS, t.ENGINE FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE=t.ENGINE
     WHERE t.TABLE_SCHEMA=${quoteText(database)} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
     AND t.ENGINE IS NOT NULL`,
  );
  const own = rows.filter(([name, , engine]) => name && !excludeData.includes(name) && !isDefinitionOnly(engine ?? null));
  const names = (kept: readonly (string | null)[][]): string[] => kept.map(([name]) => name ?? '');
  return { tables: names(own), loose: names(own.filter(([, transactions]) => transactions !== 'YES')) };
}
