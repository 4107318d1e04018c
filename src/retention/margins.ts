// Every safety margin of locks and pruning, each with its why. Milliseconds. With a window of seconds they shrink with it, so that
// tests can watch locks end on a real store.
import { IN_FLIGHT_MARGIN_MS } from '../billing/resolve.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * Provisional lock of a segment that no manifest names yet, from the start of its run. The run may last until its deadline, and what
 * it stored must still be there when the next day's run adopts it. No longer: a killed run must not leave bytes locked for weeks.
 */
export function provisionalLockMs(runDeadlineMs: number, retentionMs: number): number {
  return runDeadlineMs + Math.min(DAY_MS, retentionMs);
}

/**
 * A lock lasts this much longer than the window it stands for. It covers a store whose clock runs ahead of ours (limits.clockSkew
 * refuses more) and the whole seconds that stores keep. Not more: prune finds the window over and the lock not, and every such
 * wait is storage that is paid for.
 */
export function horizonMarginMs(retentionMs: number): number {
  return Math.min(10 * MINUTE_MS, Math.ceil(retentionMs / 10));
}

/**
 * The first reuse locks a segment until the window of the last planned increment is over, counted from its slot and this much more: an
 * increment takes that long at most as a rule, and one that takes longer extends its locks once more, which costs requests and nothing else.
 */
export const INCREMENT_MARGIN_MS = 60 * MINUTE_MS;

/**
 * Where no vault has a clock of its own, ours may have jumped ahead when nothing ran for longer than this: then no snapshot is given up
 * until somebody says that it is right. Half the window and a day, because less leaves half the window in any case, and a shop that is
 * backed up once a week must not be asked each time.
 */
export function clockJumpMs(retentionMs: number): number {
  return Math.ceil(retentionMs / 2) + DAY_MS;
}

/**
 * The newest good snapshot's locks must never end sooner than this from now. Two days, because the task that sees to it runs daily
 * and one missed day must not matter.
 */
export function newestGoodMarginMs(retentionMs: number): number {
  return Math.min(2 * DAY_MS, Math.ceil(retentionMs / 2));
}

/** Where such a lock is moved to, from now: twice the margin, so that the store is asked every other day and not daily. */
export function newestGoodExtensionMs(retentionMs: number): number {
  return 2 * newestGoodMarginMs(retentionMs);
}

/**
 * So long the newest good backup of each source of a suspended shop is kept: a client who pays again within a month finds the shop as
 * it was. No longer, since nobody pays for it meanwhile.
 */
export const SUSPENDED_KEEP_MS = 30 * DAY_MS;

/**
 * An object that nothing references is left alone this long after it was written: the next run of its source may still adopt it, and
 * a catch-up may still commit the snapshot it belongs to.
 */
export function orphanMarginMs(retentionMs: number): number {
  return Math.min(DAY_MS, retentionMs);
}

/** An unfinished upload of a dead run is aborted when it is older than this: nobody can finish it, but its parts may still land. */
export function uploadMarginMs(retentionMs: number): number {
  return Math.min(DAY_MS, retentionMs);
}

/** How long after its intent a request of a dead process may still land in the store. */
export function inFlightMarginMs(retentionMs: number): number {
  return Math.min(IN_FLIGHT_MARGIN_MS, retentionMs);
}

/** A probe's objects are left alone this long: a probe that is under way in another process still needs them. Its locks last two minutes. */
export const PROBE_MARGIN_MS = 15 * MINUTE_MS;

/**
 * How long a checkpoint of the state is kept. Each tells the ledger's rows and the audit since the one before, so together they must
 * reach as far back as the detail that bills and auditors ask for: a year, the year's last month whole, and some days to notice.
 * Locked they are for the longest window only. The newest one is kept for ever.
 */
export const CHECKPOINT_KEEP_MS = 400 * DAY_MS;
