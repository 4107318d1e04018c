// The lock of one shop, by which two writers of it exclude each other, in one process or in two; and the lock of the daemon itself.
import { Temporal } from 'temporal-polyfill';
import { type Clock, nextTurn } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { acquireLock, type LockHolder, lockHolder, type StateLock, wasEverTaken } from './state-lock.ts';

const DAEMON = 'daemon';
/** How often, and how long after one another, a daemon that starts tries to have its lock. */
const INSIST = 5;
const INSIST_EVERY_MS = 100;
/** How often a lock whose holder seems dead is asked for before somebody is believed to hold it. */
const MOST_ASKED = 20;

/**
 * What excludes what, on one state directory:
 * - `shop-SHOP`: whatever stores, deletes or decides for a shop by what it knows of it, one at a time: backup, prune, catch-up (and
 *   `verify --repair`), reconciliation, rotation of its identity, a disk that is replaced; `shop-_coffre` the same for the daemon's own
 *   objects (probes write keys of their own, and need none). Held by whoever does the work, the daemon or a command beside it, so that both may work, and never on
 *   the same shop. Restores, drills and verifications do not hold it: they store nothing in a vault.
 * - `run-ID`: held by the process that works on the run; a run without it is dead (catalog/runs.ts).
 * - `daemon`: one daemon, or one rebuild of the catalog, on a state directory.
 * - the catalog itself: single transactions, which SQLite puts one after the other; readers neither wait nor make anybody wait (WAL).
 * All of them end with the process, SIGKILL included.
 *
 * Takes the shop's lock. `doing`: what for, in words (`a backup of files`). Throws E_BUSY saying who is at it since when,
 * in `timezone` (left out: this machine's); E_STATE….
 */
export async function lockShop(stateDir: string, clock: Clock, shop: string, doing: string, timezone?: string): Promise<StateLock> {
  const name = `shop-${shop}`;
  const lock = await acquireLock(stateDir, name, { doing, clock });
  if (lock) return lock;
  const holder = await lockHolder(stateDir, name);
  if (!holder) throw new CoffreError('E_BUSY', `${shop}: something else is under way for this shop`);
  const daemon = await lockHolder(stateDir, DAEMON);
  const whose = daemon?.pid === holder.pid && daemon.doing !== holder.doing ? `${daemon.doing}, ` : '';
  throw new CoffreError('E_BUSY', `${shop}: ${holder.doing} is under way since ${since(holder, timezone)} (${whose}process ${holder.pid})`);
}

/**
 * Takes the lock of the one daemon, or of whatever must have the state for itself. `doing`: `the daemon`. Throws E_DAEMON_RUNNING, E_STATE….
 * Insists for a moment: a command that asks whether a daemon runs holds it just as long.
 */
export async function lockDaemon(stateDir: string, clock: Clock, doing: string, timezone?: string): Promise<StateLock> {
  for (let tries = 1; ; tries++) {
    const lock = await acquireLock(stateDir, DAEMON, { doing, clock });
    if (lock) return lock;
    if (tries === INSIST) break;
    await clock.sleep(INSIST_EVERY_MS);
  }
  const holder = await lockHolder(stateDir, DAEMON);
  const who = holder ? `${holder.doing} already runs on ${stateDir} since ${since(holder, timezone)} (process ${holder.pid})` : null;
  throw new CoffreError('E_DAEMON_RUNNING', who ?? `a daemon already runs on ${stateDir}`);
}

/** Whether a daemon, or a rebuild of the catalog, has this state for itself, and which. Throws E_STATE…. */
export async function daemonRunning(stateDir: string): Promise<LockHolder | null> {
  if (!(await wasEverTaken(stateDir, DAEMON))) return null;
  for (let asked = 1; ; asked++) {
    const lock = await acquireLock(stateDir, DAEMON);
    if (lock) {
      lock.release();
      return null;
    }
    const holder = await lockHolder(stateDir, DAEMON);
    // somebody else who asks holds it for a moment, and the holder that is told is long dead
    if (asked === MOST_ASKED || (holder !== null && isAlive(holder.pid))) return holder ?? { pid: 0, doing: 'the daemon', sinceMs: 0 };
    await nextTurn();
  }
}

/** Of this user or not. In another pid namespace it may live and not be seen. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** With its offset: whoever reads it compares it with what other screens say. */
function since({ sinceMs }: LockHolder, timezone: string = new Intl.DateTimeFormat().resolvedOptions().timeZone): string {
  return Temporal.Instant.fromEpochMilliseconds(sinceMs)
    .toZonedDateTimeISO(timezone)
    .toString({ smallestUnit: 'second', timeZoneName: 'never' });
}
