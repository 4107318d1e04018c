// Which step of the ladder a dump would take, and the grants with which it would take a better one.
import type { Consistency } from '../source.ts';
import type { Rights } from './privileges.ts';
import type { ServerInfo } from './schema.ts';

export interface Prospect {
  readonly method: Consistency['method'];
  /** What it means for the shop, printable. */
  readonly detail: string;
  /** Statements, best first, each of which leads to a better step; empty at the top. */
  readonly grants: readonly string[];
}

/** Pure. */
export function prospect(server: ServerInfo, rights: Rights): Prospect {
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
  if (rights.lockTables) {
    const detail = 'several connections, if all tables can be locked for a moment while they open (LOCK TABLES)';
    return { method: 'lock-tables', detail, grants: [reload] };
  }
  const detail = 'one connection alone: several cannot be brought to one moment';
  return { method: 'single-transaction', detail, grants: [reload, grant('LOCK TABLES', rights.on)] };
}
