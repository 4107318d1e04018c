// Which step of the ladder a dump would take, and the grants with which it would take a better one.
import type { Session } from '../../target/mariadb/session.ts';
import type { Consistency } from '../source.ts';
import { positionTellsAll } from './binlog.ts';
import type { Rights } from './privileges.ts';
import type { ServerInfo } from './schema.ts';

export interface Prospect {
  readonly method: Consistency['method'];
  /** What it means for the shop, printable. */
  readonly detail: string;
  /** Statements, best first, each of which leads to a better step; empty at the top. */
  readonly grants: readonly string[];
}

/** Throws ServerError. */
export async function prospect(session: Session, server: ServerInfo, rights: Rights): Promise<Prospect> {
  const grant = (privilege: string, on = '*.*'): string => `GRANT ${privilege} ON ${on} TO ${rights.user};`;
  if (rights.reload) {
    return server.mariadb
      ? { method: 'backup-stage', detail: 'several connections, commits wait some milliseconds while they open (BACKUP STAGE)', grants: [] }
      : {
          method: 'read-lock',
          detail: 'several connections, writes wait a moment while they open (FLUSH TABLES WITH READ LOCK)',
          grants: [],
        };
  }
  const reload = grant('RELOAD');
  const log = await tellsSnapshots(session);
  if (log && (await positionTellsAll(session, server))) {
    return { method: 'binlog-position', detail: 'several connections, opened until all are at one binary log position', grants: [reload] };
  }
  const monitor = log && !rights.binlogMonitor ? [grant(server.number < 100_502 ? 'REPLICATION CLIENT' : 'BINLOG MONITOR')] : [];
  if (rights.lockTables) {
    const detail = 'several connections, if all tables can be locked for a moment while they open (LOCK TABLES)';
    return { method: 'lock-tables', detail, grants: [reload, ...monitor] };
  }
  const detail = 'one connection alone: several cannot be brought to one moment';
  return { method: 'single-transaction', detail, grants: [reload, ...monitor, grant('LOCK TABLES', rights.on)] };
}

/** The server logs, and says where in its log a snapshot is. */
async function tellsSnapshots(session: Session): Promise<boolean> {
  const logged = (await session.text('SELECT @@global.log_bin')) === '1';
  return logged && (await session.texts("SHOW STATUS LIKE 'binlog\\_snapshot\\_file'")).length > 0;
}
