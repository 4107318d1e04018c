// Opens one snapshot over several connections, by the best way that this server and this user allow.
import type { Temporal } from 'temporal-polyfill';
import type { Clock } from '../../clock.ts';
import type { Session } from '../../target/mariadb/session.ts';
import type { Consistency } from '../source.ts';
import { type BinlogPosition, currentPosition, snapshotPosition, withGtid } from './binlog.ts';
import { BACKUP_STAGE, holdStill, READ_LOCK, tablesHold } from './hold.ts';
import { lockTables, readList, type TableLock } from './locks.ts';
import type { Rights } from './privileges.ts';
import { SAVEPOINT } from './reading.ts';
import type { ServerInfo } from './schema.ts';

export interface Climb {
  readonly clock: Clock;
  readonly server: ServerInfo;
  readonly rights: Pick<Rights, 'reload' | 'lockTables'>;
  /** One is there; the others are connected here. */
  readonly first: Session;
  /** Connects one more, in the database. */
  readonly connect: () => Promise<Session>;
  readonly connections: number;
  readonly maxBlockMs: number;
  /** Tables whose rows are read; `loose` are those of them that take no part in a snapshot. */
  readonly tables: readonly string[];
  readonly loose: readonly string[];
  readonly signal?: AbortSignal;
}

export interface Opened {
  /** All in the same snapshot, `first` first. */
  readonly sessions: readonly Session[];
  readonly asOf: Temporal.Instant;
  readonly method: Consistency['method'];
  /** On the loose tables; null when there are none or they could not be locked. */
  readonly lock: TableLock | null;
  readonly blockedMs: number;
  readonly binlog: BinlogPosition | null;
  /** Why better ways came to nothing, for whoever wonders. */
  readonly steppedDown: readonly string[];
  /** Those of them that no missing privilege or setting explains: another day, or at a quieter hour, it would have been better. */
  readonly fellShort: readonly string[];
}

type Step = Omit<Opened, 'blockedMs' | 'steppedDown' | 'fellShort' | 'binlog'> & { readonly binlog: BinlogPosition | null };

/** One way tried: `step` is null when it came to nothing, and then `why` says why. */
interface Tried {
  readonly step: Step | null;
  readonly why: string;
  readonly blockedMs: number;
  /** Privileges or settings rule this way out, every time: doctor's business. */
  readonly ruledOut?: true;
}

/** While somebody holds a loose table, or commits come between: how often and how long it is tried again. */
const BUSY_TRIES = 20;
const BUSY_PAUSE_MS = 50;

/** Throws ServerError of the sessions of the snapshot, E_DB_CONNECT, and the signal's reason. */
export async function openTogether(climb: Climb): Promise<Opened> {
  const { first, connections, server } = climb;
  const others = await connectSome(climb, connections - 1);
  const readers = [first, ...others];
  for (const session of readers) await prepare(session);
  const steppedDown: string[] = [];
  const fellShort: string[] = [];
  let blockedMs = 0;
  let step: Step | null = null;
  let lock: TableLock | null = null;
  const attempt = async (name: string, tried: Promise<Tried>): Promise<void> => {
    const result = await tried;
    step = result.step;
    blockedMs += result.blockedMs;
    if (step !== null) return;
    steppedDown.push(`${name}: ${result.why}`);
    if (!result.ruledOut) fellShort.push(`${name}: ${result.why}`);
  };
  if (readers.length > 1 && climb.maxBlockMs >= 1) await attempt(globalName(server), byGlobalHold(climb, readers));
  if (step === null) {
    // Without the server held still the lock comes first: the tables are then, at the snapshot's moment, what they will be when read.
    lock = await lockLoose(climb, steppedDown, fellShort);
    if (step === null && readers.length > 1 && climb.maxBlockMs >= 1) await attempt('LOCK TABLES', byTableLocks(climb, readers, lock));
    if (step === null) {
      await Promise.all(others.map((session) => session.end()));
      step = await alone(climb, lock);
    }
  }
  const opened: Step = step;
  for (const session of opened.sessions) await session.run(`SAVEPOINT ${SAVEPOINT}`);
  const binlog = opened.binlog && server.mariadb ? await withGtid(first, opened.binlog) : opened.binlog;
  return { ...opened, binlog, blockedMs, steppedDown, fellShort };
}

function globalName(server: ServerInfo): string {
  return server.mariadb ? 'BACKUP STAGE' : 'FLUSH TABLES WITH READ LOCK';
}

/** As many as the server gives: an account may be limited. */
async function connectSome({ connect, signal }: Climb, count: number): Promise<Session[]> {
  const results = await Promise.allSettled(Array.from({ length: Math.max(0, count) }, () => connect()));
  signal?.throwIfAborted();
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

async function prepare(session: Session): Promise<void> {
  // With a binary log, a savepoint lets go of metadata locks only in a session that does not write to it (tried on 10.11).
  // Without the right to say so (BINLOG ADMIN) an ALTER of a table that was read waits until the dump is over.
  await session.run('SET SESSION sql_log_bin=0').catch(() => {});
  // WITH CONSISTENT SNAPSHOT is silently ignored at any other level.
  await session.run('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
}

async function start(sessions: readonly Session[]): Promise<void> {
  await Promise.all(sessions.map((session) => session.run('START TRANSACTION WITH CONSISTENT SNAPSHOT')));
}

/** Step 1: nothing commits while the snapshots are opened. */
async function byGlobalHold(climb: Climb, readers: readonly Session[]): Promise<Tried> {
  const { clock, server, loose, maxBlockMs } = climb;
  let blockedMs = 0;
  const nothing = (why: string): Tried => ({ step: null, why, blockedMs });
  if (!climb.rights.reload) return { ...nothing('RELOAD is missing'), ruledOut: true };
  const [control, guard] = await connectSome(climb, 2);
  let [locker] = loose.length > 0 ? await connectSome(climb, 1) : [];
  let lock: TableLock | null = null;
  try {
    if (!control || !guard || (loose.length > 0 && !locker)) return nothing('the server gave no further connection');
    for (let tries = 1; tries <= BUSY_TRIES && blockedMs + 1 < maxBlockMs; tries++) {
      const leftMs = Math.floor(maxBlockMs - blockedMs);
      const limits = { clock, maxBlockMs: leftMs, waitSeconds: Math.ceil(leftMs / 1000) };
      const held = await holdStill(control, guard, server, server.mariadb ? BACKUP_STAGE : READ_LOCK, limits, async () => {
        // Under the hold, not before it: a writer that waits for a locked table keeps the hold from being reached (tried on
        // 10.11). And without waiting: whoever holds one in a transaction cannot end it while we hold commits.
        const locked = locker ? await lockTables(locker, loose, { clock, server, waitSeconds: 0 }) : null;
        if (locked && !locked.lock && locked.busy) return null;
        lock = locked?.lock ?? null;
        await start(readers);
        return { asOf: clock.now(), position: server.mariadb ? null : await currentPosition(guard, server) };
      });
      blockedMs += held.blockedMs;
      if (!held.held) return nothing(held.why);
      if (held.value) {
        const { asOf, position } = held.value;
        const { same, at } = await commonPosition(readers);
        if (!same) return nothing('the snapshots differ in their binary log position');
        const method = server.mariadb ? 'backup-stage' : 'read-lock';
        const kept: TableLock | null = lock;
        lock = null;
        if (kept) locker = undefined;
        return { step: { sessions: readers, asOf, method, lock: kept, binlog: position ?? at }, why: '', blockedMs };
      }
      await clock.sleep(BUSY_PAUSE_MS, climb.signal);
    }
    return nothing('tables without transactions were in use');
  } finally {
    await (lock as TableLock | null)?.release();
    for (const session of [control, guard, locker]) await session?.end();
  }
}

// Opened without holding anybody up until all happen to stand at the same place of the binary log: that way is not there, for it is
// not true. Measured on MariaDB 10.11 (25 rounds of ladder.test.ts beside four busy loops, once in five runs): sessions
// that told the same Binlog_snapshot_position saw three different states, within one group commit.

/** Step 2: nobody can have written to any of our tables, and left it open, while they are all locked. */
async function byTableLocks(climb: Climb, readers: readonly Session[], lock: TableLock | null): Promise<Tried> {
  const { clock, server, tables, maxBlockMs } = climb;
  let blockedMs = 0;
  const nothing = (why: string): Tried => ({ step: null, why, blockedMs });
  if (!climb.rights.lockTables) return { ...nothing('the privilege is missing'), ruledOut: true };
  if (tables.length === 0) return { ...nothing('there are no tables'), ruledOut: true };
  const [control, guard] = await connectSome(climb, 2);
  try {
    if (!control || !guard) return nothing('the server gave no further connection');
    let why = '';
    for (let tries = 1; tries <= BUSY_TRIES && blockedMs + 1 < maxBlockMs && !control.lost; tries++) {
      // Not waiting: the shop's writers would queue behind us, and of a deadlock with us the server would make them the victim.
      const limits = { clock, maxBlockMs: Math.floor(maxBlockMs - blockedMs), waitSeconds: 0 };
      const held = await holdStill(control, guard, server, tablesHold(readList(tables)), limits, async () => {
        await start(readers);
        return clock.now();
      });
      blockedMs += held.blockedMs;
      if (held.held) {
        const binlog = await snapshotPosition(climb.first);
        return { step: { sessions: readers, asOf: held.value, method: 'lock-tables', lock, binlog }, why, blockedMs };
      }
      why = held.why;
      await clock.sleep(BUSY_PAUSE_MS, climb.signal);
    }
    return nothing(why);
  } finally {
    await control?.end();
    await guard?.end();
  }
}

/** Step 4: one connection is one snapshot by itself. */
async function alone({ clock, first }: Climb, lock: TableLock | null): Promise<Step> {
  await start([first]);
  const asOf = clock.now();
  const binlog = await snapshotPosition(first);
  return { sessions: [first], asOf, method: lock ? 'lock-tables' : 'single-transaction', lock, binlog };
}

/** null when there is nothing to lock or it cannot be had; the reason goes to `steppedDown`. */
async function lockLoose(climb: Climb, steppedDown: string[], fellShort: string[]): Promise<TableLock | null> {
  const { clock, server, loose, maxBlockMs, signal } = climb;
  if (loose.length === 0) return null;
  const session = await climb.connect();
  let why = '';
  let busy = true;
  // At last the site may have to wait behind us, while we wait for its slow query: not long.
  const patience = [...Array<number>(BUSY_TRIES - 1).fill(0), Math.floor(maxBlockMs / 1000)];
  for (const waitSeconds of patience) {
    const outcome = await lockTables(session, loose, { clock, server, waitSeconds });
    if (outcome.lock) return outcome.lock;
    ({ why, busy } = outcome);
    if (!busy) break;
    await clock.sleep(BUSY_PAUSE_MS, signal);
  }
  await session.end();
  steppedDown.push(`tables without transactions: ${why}`);
  if (busy) fellShort.push(`tables without transactions: ${why}`);
  return null;
}

/** Of several snapshots; `at` is null where the server tells none, and then they are the same as far as this goes. */
async function commonPosition(sessions: readonly Session[]): Promise<{ same: boolean; at: BinlogPosition | null }> {
  const positions = await Promise.all(sessions.map(snapshotPosition));
  const [at = null] = positions;
  return { same: positions.every((each) => each?.file === at?.file && each?.position === at?.position), at };
}
