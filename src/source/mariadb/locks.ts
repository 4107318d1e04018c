// Holds tables of engines without transactions still until their rows were read, on a connection of its own.
import type { Clock } from '../../clock.ts';
import { quoteName } from '../../target/mariadb/names.ts';
import { connect, type ServerAddress, ServerError } from '../../target/mariadb/session.ts';

/** The site must not wait for us long while we wait for its slow query. */
const LOCK_WAIT_SECONDS = 10;

export interface TableLock {
  readonly tables: readonly string[];
  /** Lets them go; the time since they were locked, in milliseconds. Never throws. */
  release(): Promise<number>;
  /** The server has ended the connection, and so the lock. */
  lost(): boolean;
}

/**
 * LOCK TABLES … READ. Rows of these tables then stay as they are at any later moment, that of the snapshot included.
 * null when the user may not or a query holds them too long. Throws E_DB_CONNECT.
 */
export async function lockTables(
  address: ServerAddress,
  database: string,
  tables: readonly string[],
  clock: Clock,
): Promise<TableLock | null> {
  const session = await connect(address, { localInfile: false });
  try {
    await session.run(`USE ${quoteName(database)}`);
    await session.run(`SET SESSION lock_wait_timeout=${LOCK_WAIT_SECONDS}`);
    const since = clock.monotonicMs();
    await session.run(`LOCK TABLES ${tables.map((table) => `${quoteName(table)} READ`).join(', ')}`);
    let blockedMs: number | null = null;
    return {
      tables,
      lost: () => blockedMs === null && session.lost,
      async release() {
        blockedMs ??= Math.round(clock.monotonicMs() - since);
        await session.run('UNLOCK TABLES').catch(() => {});
        await session.end();
        return blockedMs;
      },
    };
  } catch (error) {
    session.destroy();
    if (error instanceof ServerError) return null;
    throw error;
  }
}
