// Holds tables of engines without transactions still until their rows were read, on a connection of its own.
import type { Clock, Timer } from '../../clock.ts';
import { quoteName } from '../../target/mariadb/names.ts';
import { asServerError, type Session } from '../../target/mariadb/session.ts';
import type { ServerInfo } from './schema.ts';

/** If we are cut off, the server lets the tables go after this; until they are released, a sign of life comes thrice as often. */
const IDLE_SECONDS = 60;

export interface TableLock {
  readonly tables: readonly string[];
  /** Holds the lock, and is the one on which the tables are read: on any other a reader waits behind who waits to write, for ever. */
  readonly session: Session;
  /** Lets them go; the time since they were locked, in milliseconds. Never throws. */
  release(): Promise<number>;
  /** The server has ended the connection, and so the lock, as far as we know. */
  lost(): boolean;
  /** Asks the server: true is proof that the tables were held until now. Never throws. */
  held(): Promise<boolean>;
}

export type LockOutcome =
  | { readonly lock: TableLock }
  /** `busy`: somebody holds one of them; otherwise the user may not, or a table cannot be opened. */
  | { readonly lock: null; readonly busy: boolean; readonly why: string };

const LOCK_WAIT_TIMEOUT = 1205;
const DEADLOCK = 1213;
const TIME_EXCEEDED = 1969;

/**
 * LOCK TABLES … READ on `session`, which is the lock's from then on and no snapshot's (it would be committed).
 * `waitSeconds`: 0 does not wait, so that nobody waits behind us (MySQL waits a second at least).
 */
export async function lockTables(
  session: Session,
  tables: readonly string[],
  options: { readonly clock: Clock; readonly server: ServerInfo; readonly waitSeconds: number },
): Promise<LockOutcome> {
  const { clock, server, waitSeconds } = options;
  let since: number;
  try {
    await session.run(
      `SET SESSION lock_wait_timeout=${server.mariadb ? waitSeconds : Math.max(1, waitSeconds)}, wait_timeout=${IDLE_SECONDS}`,
    );
    since = clock.monotonicMs();
    await session.run(`LOCK TABLES ${readList(tables)}`);
  } catch (error) {
    const { errno, message } = asServerError(error);
    return { lock: null, busy: errno === LOCK_WAIT_TIMEOUT || errno === DEADLOCK || errno === TIME_EXCEEDED, why: message };
  }
  return { lock: hold(session, tables, clock, since) };
}

function hold(session: Session, tables: readonly string[], clock: Clock, since: number): TableLock {
  let blockedMs: number | null = null;
  let pulse: Timer;
  const held = (): Promise<boolean> =>
    session.run('DO 0').then(
      () => blockedMs === null,
      () => false,
    );
  const beat = (): void => {
    pulse = clock.after((IDLE_SECONDS * 1000) / 3, () => void held().then((alive) => alive && beat()), { unref: true });
  };
  beat();
  return {
    tables,
    session,
    held,
    lost: () => blockedMs === null && session.lost,
    async release() {
      pulse.cancel();
      blockedMs ??= Math.round(clock.monotonicMs() - since);
      await session.run('UNLOCK TABLES').catch(() => {});
      await session.end();
      return blockedMs;
    },
  };
}

/** What stands after LOCK TABLES. */
export function readList(tables: readonly string[]): string {
  return tables.map((table) => `${quoteName(table)} READ`).join(', ');
}
