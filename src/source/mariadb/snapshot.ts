// Opens the one consistent view of a database that everything of a reading comes from.
import type { Temporal } from 'temporal-polyfill';
import type { Clock } from '../../clock.ts';
import { quoteName, quoteText } from '../../target/mariadb/names.ts';
import { connect, type ServerAddress, type Session } from '../../target/mariadb/session.ts';
import type { Consistency } from '../source.ts';
import { type Programs, readPrograms } from './programs.ts';
import { readError, SAVEPOINT } from './reading.ts';
import { type DatabaseSchema, readSchema, readServer, type ServerInfo } from './schema.ts';

export interface Snapshot {
  readonly session: Session;
  readonly asOf: Temporal.Instant;
  readonly server: ServerInfo;
  readonly schema: DatabaseSchema;
  readonly programs: Programs;
  readonly consistency: Consistency;
}

/** Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE, E_DB_READ, E_DB_CHANGED. */
export async function openSnapshot(address: ServerAddress, database: string, clock: Clock): Promise<Snapshot> {
  const session = await connect(address, { localInfile: false });
  try {
    await session.run(`USE ${quoteName(database)}`);
    const server = await readServer(session);
    // WITH CONSISTENT SNAPSHOT is silently ignored at any other level.
    await session.run('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await session.run('START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */');
    const asOf = clock.now();
    await session.run(`SAVEPOINT ${SAVEPOINT}`);
    const binlog = await binlogPosition(session);
    // Definitions are not part of the snapshot: read at once, so that what differs shows up when the rows are read (1412).
    const schema = await readSchema(session, database, server);
    const programs = await readPrograms(session, database, schema);
    const notCovered = schema.tables.flatMap((table) => (table.transactional || table.definitionOnly ? [] : [table.name]));
    const consistency: Consistency = {
      method: 'single-transaction',
      acrossTables: notCovered.length === 0,
      notCovered,
      blockedMs: 0,
      ...(binlog ? { binlog } : {}),
    };
    return { session, asOf, server, schema, programs, consistency };
  } catch (error) {
    session.destroy();
    throw readError(error, `the definitions of ${database}`);
  }
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
