// Where in the binary log a snapshot is: for replicas and the auditor. No proof that two snapshots are the same (ladder.ts).
import { quoteText } from '../../target/mariadb/names.ts';
import type { Session } from '../../target/mariadb/session.ts';
import type { Consistency } from '../source.ts';
import type { ServerInfo } from './schema.ts';

export type BinlogPosition = NonNullable<Consistency['binlog']>;

/**
 * Of the session's own open snapshot: MariaDB (and Percona Server) tell it to anyone. null elsewhere and without a binary log.
 * Throws ServerError.
 */
export async function snapshotPosition(session: Session): Promise<BinlogPosition | null> {
  const rows = await session.texts("SHOW STATUS LIKE 'binlog_snapshot_%'");
  const values = new Map(rows.map(([name, value]) => [(name ?? '').toLowerCase(), value ?? '']));
  const file = values.get('binlog_snapshot_file');
  const position = Number(values.get('binlog_snapshot_position'));
  return file && Number.isSafeInteger(position) && position > 0 ? { file, position } : null;
}

/** With the GTID, where the server knows it. Takes the server a look through the log file: not to be asked under a lock. */
export async function withGtid(session: Session, at: BinlogPosition): Promise<BinlogPosition> {
  const gtid = await session.text(`SELECT BINLOG_GTID_POS(${quoteText(at.file)}, ${at.position})`).catch(() => null);
  return gtid ? { ...at, gtid } : at;
}

/** The server's current position; null when there is no log or the user may not ask. */
export async function currentPosition(session: Session, server: ServerInfo): Promise<BinlogPosition | null> {
  const ask = (what: string): Promise<(string | null)[][] | null> => session.texts(`SHOW ${what} STATUS`).catch(() => null);
  // MySQL renamed it in 8.2 and dropped the old name in 8.4.
  const rows = (await ask('MASTER')) ?? (server.mariadb ? null : await ask('BINARY LOG'));
  const [file, position, , , gtids] = rows?.[0] ?? [];
  if (!file || !position) return null;
  const gtid = server.mariadb ? '' : (gtids ?? '').replaceAll('\n', '');
  return { file, position: Number(position), ...(gtid ? { gtid } : {}) };
}
