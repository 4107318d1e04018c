// Holds a server still for a moment, and never longer than was agreed: whatever happens, the shop goes on.
import type { Clock, Timer } from '../../clock.ts';
import { asServerError, type Session } from '../../target/mariadb/session.ts';
import type { ServerInfo } from './schema.ts';

/** How the server is held, and let go. */
export interface Hold {
  /** Hold nobody up while they wait, or while they are held. */
  readonly before: readonly string[];
  /** From here on others may wait. */
  readonly take: string;
  readonly release: string;
}

/**
 * START alone blocks no one but other backups. The server runs through the stages in between by itself: one round trip under
 * the block instead of three.
 */
export const BACKUP_STAGE: Hold = {
  before: ['BACKUP STAGE START'],
  take: 'BACKUP STAGE BLOCK_COMMIT',
  release: 'BACKUP STAGE END',
};

/** MySQL has nothing weaker that stops commits. No definition can change under it: LOCK INSTANCE FOR BACKUP adds nothing. */
export const READ_LOCK: Hold = { before: [], take: 'FLUSH TABLES WITH READ LOCK', release: 'UNLOCK TABLES' };

/** LOCK TABLES … READ of all of them. */
export function tablesHold(list: string): Hold {
  return { before: [], take: `LOCK TABLES ${list}`, release: 'UNLOCK TABLES' };
}

export interface HoldLimits {
  readonly clock: Clock;
  /** From asking for the hold to its release: others may wait behind the one that waits. */
  readonly maxBlockMs: number;
  /** Whole seconds; 0 asks without waiting, where the server can (MySQL: at least 1). */
  readonly waitSeconds: number;
}

/** `blockedMs`: how long others may have waited, also when it came to nothing. */
export type Held<T> =
  | { readonly held: true; readonly value: T; readonly blockedMs: number }
  | { readonly held: false; readonly why: string; readonly blockedMs: number };

/**
 * Runs `work` while `control` holds the server. Held only if the hold lasted from before `work` to after it: what `work` opened
 * otherwise is worth nothing. `guard` ends the control connection when time is over (ending our side of it alone may go
 * unnoticed); if we are cut off altogether, the server ends it by its own time limits. Throws what `work` throws.
 */
export async function holdStill<T>(
  control: Session,
  guard: Session,
  server: ServerInfo,
  hold: Hold,
  limits: HoldLimits,
  work: () => Promise<T>,
): Promise<Held<T>> {
  const { clock, maxBlockMs, waitSeconds } = limits;
  let since: number | null = null;
  let late = false;
  let watchdog: Timer | null = null;
  let outcome: { readonly value: T } | { readonly error: unknown } | null = null;
  let why: string | null = null;
  try {
    // Not the number of the handshake: a proxy gives its own.
    const id = Number(await control.text('SELECT CONNECTION_ID()'));
    await control.run(`SET SESSION lock_wait_timeout=${server.mariadb ? waitSeconds : Math.max(1, waitSeconds)}`);
    await control.run(`SET SESSION wait_timeout=${Math.ceil(maxBlockMs / 1000) + 1}`);
    if (server.mariadb) await control.run(`SET SESSION max_statement_time=${maxBlockMs / 1000}`);
    for (const statement of hold.before) await control.run(statement);
    watchdog = clock.after(maxBlockMs, () => {
      late = true;
      guard.run(`KILL ${id}`).catch(() => {});
      control.destroy();
    });
    since = clock.monotonicMs();
    await control.run(hold.take);
    outcome = await work().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    // Only this answer proves that the server was held until now.
    await control.run(hold.release);
  } catch (error) {
    why = late ? `not within ${maxBlockMs} ms` : asServerError(error).message;
    // A stage that was not reached leaves those before it: END is allowed in any.
    if (!control.lost) await control.run(hold.release).catch(() => control.destroy());
  } finally {
    watchdog?.cancel();
  }
  const blockedMs = since === null ? 0 : clock.monotonicMs() - since;
  if (outcome && 'error' in outcome) throw outcome.error;
  if (why !== null || outcome === null) return { held: false, why: why ?? 'it did not begin', blockedMs };
  return { held: true, value: outcome.value, blockedMs };
}
