// Opens the one consistent view of a database that everything of a reading comes from.
import type { Temporal } from 'temporal-polyfill';
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import { quoteText } from '../../target/mariadb/names.ts';
import { connect, type ServerAddress, type Session } from '../../target/mariadb/session.ts';
import type { Consistency } from '../source.ts';
import { readRights, useDatabase } from './check.ts';
import { lockTables, type TableLock } from './locks.ts';
import { type Programs, readPrograms } from './programs.ts';
import { readError, SAVEPOINT } from './reading.ts';
import { type DatabaseSchema, readSchema, readServer, type ServerInfo } from './schema.ts';

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

/** Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE, E_DB_READ, E_DB_CHANGED. */
export async function openSnapshot(address: ServerAddress, database: string, options: SnapshotOptions): Promise<Snapshot> {
  const session = await connect(address, { localInfile: false });
  let lock: TableLock | null = null;
  try {
    await useDatabase(session, database);
    const server = await readServer(session);
    await demandRights(session, database, server);
    // First the lock, then the snapshot: the locked tables are then, at the snapshot's moment, what they will be when read.
    const loose = (await tablesWithoutTransactions(session, database)).filter((table) => !options.excludeData.includes(table));
    if (loose.length > 0) lock = await lockTables(address, database, loose, options.clock);
    // With a binary log, a savepoint lets go of metadata locks only in a session that does not write to it (tried on 10.11).
    // Without the right to say so (BINLOG ADMIN) an ALTER of a table that was read waits until the dump is over.
    await session.run('SET SESSION sql_log_bin=0').catch(() => {});
    // WITH CONSISTENT SNAPSHOT is silently ignored at any other level.
    await session.run('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await session.run('START TRANSACTION WITH CONSISTENT SNAPSHOT');
    const asOf = options.clock.now();
    await session.run(`SAVEPOINT ${SAVEPOINT}`);
    const binlog = await binlogPosition(session);
    // Definitions are not part of the snapshot: read at once, so that what differs shows up when the rows are read (1412).
    const schema = await readSchema(session, database, server);
    const programs = await readPrograms(session, database, schema);
    const covered = new Set(lock?.tables);
    const notCovered = schema.tables.flatMap((table) =>
      table.transactional || table.definitionOnly || covered.has(table.name) || options.excludeData.includes(table.name)
        ? []
        : [table.name],
    );
    return {
      sessions: [session],
      session,
      asOf,
      server,
      schema,
      programs,
      lock,
      method: lock ? 'lock-tables' : 'single-transaction',
      acrossTables: notCovered.length === 0,
      blockedMs: 0,
      binlog,
      notCovered,
    };
  } catch (error) {
    session.destroy();
    await lock?.release();
    throw readError(error, `the definitions of ${database}`);
  }
}

async function demandRights(session: Session, database: string, server: ServerInfo): Promise<void> {
  const { missing } = await readRights(session, database, server);
  if (missing.length === 0) return;
  throw new CoffreError(
    'E_DB_PRIVILEGE',
    `the database user lacks ${missing.map(({ privilege }) => privilege).join(', ')} on ${database}`,
    {
      hint: missing.map(({ grant }) => `${grant};`).join(' '),
    },
  );
}

async function tablesWithoutTransactions(session: Session, database: string): Promise<string[]> {
  const rows = await session.texts(
    `SELECT t.TABLE_NAME FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON e.ENGINE=t.ENGINE
     WHERE t.TABLE_SCHEMA=${quoteText(database)} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND e.TRANSACTIONS<>'YES'
     AND t.ENGINE NOT IN ('MRG_MYISAM', 'FEDERATED', 'CONNECT', 'SPIDER', 'BLACKHOLE', 'OQGRAPH', 'S3', 'PERFORMANCE_SCHEMA')`,
  );
  return rows.map(([name]) => name ?? '');
}

/** MariaDB tells the position of the snapshot itself, to anyone; elsewhere, or without a binary log, there is none. */
async function binlogPosition(session: Session): Promise<Consistency['binlog'] | null> {
  const rows = await session.texts("SHOW STATUS LIKE 'binlog_snapshot_%'");
  const values = new Map(rows.map(([name, value]) => [(name ?? '').toLowerCase(), value ?? '']));
  const file = values.get('binlog_snapshot_file');
  const position = Number(values.get('binlog_snapshot_position'));
  if (!file || !Number.isFinite(position)) return null;
  const gtid = await session.text(`SELECT BINLOG_GTID_POS(${quoteText(file)}, ${position})`).catch(() => null);
  return { file, position, ...(gtid ? { gtid } : {}) };
}
