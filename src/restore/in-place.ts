// The restore of a running shop into its own place, files and database together, as whoever orders it sees it: the order, what it tells, how it ends.
import { asCoffreError, CoffreError, type ErrorCode } from '../errors.ts';
import type { SourceKind } from '../source/source.ts';
import type { DamagedCopy } from './damaged-copy.ts';
import type { RestoredSource } from './execute.ts';
import type { RestoreProgress } from './progress.ts';

/**
 * In this order; clients see them. `preflight`: nothing is touched. `safety`: a backup of the present state. `maintenance`: the shop's
 * maintenance page is on from its end. `load`: the database beside the old one, what differs of the files beside the tree; all of it
 * checked. `swap`: both take their places. `finish`: secrets, caches, addresses, owners. `check`: the shop is asked for a page, then opened.
 */
export const IN_PLACE_STEPS = ['preflight', 'safety', 'maintenance', 'load', 'swap', 'finish', 'check'] as const;
export type InPlaceStep = (typeof IN_PLACE_STEPS)[number];

/** Snapshots of the present state, to go back to; null: that source is not restored, or no snapshot of it was wanted. */
export interface SafetySnapshots {
  readonly database: string | null;
  readonly files: string | null;
}

/** What is restored, and how. Where to stands in the configuration: the shop's own tree and database, on its own host. */
export interface InPlaceOrder {
  /** An id that stays the same over interruptions: the same order goes on where a killed one stopped. */
  readonly request: string;
  readonly shop: string;
  /** At least one of them. `tables` null: all. */
  readonly database: { readonly snapshot: string; readonly tables: readonly string[] | null } | null;
  /** `paths`: patterns; none: all of it. `remove`: what the snapshot does not have goes, but for what the configuration excludes. */
  readonly files: { readonly snapshot: string; readonly paths: readonly string[]; readonly remove: boolean } | null;
  /** The vault to read from; null: the nearest whose copy is right. */
  readonly from: string | null;
  /** Contents of files that are there are compared too, not size and time alone. */
  readonly checksum: boolean;
  /** With setuid bits and devices; only root may ask for it. */
  readonly keepSetuid: boolean;
  /** `keep`: app/config/parameters.php and its like stay the running shop's, where there are some; `archive`: they come from the snapshot. */
  readonly secrets: 'keep' | 'archive';
  /** The shop's address becomes this host name (`www.example.fr`), without scheme and path; null: it stays as the snapshot has it. */
  readonly domain: string | null;
  /**
   * `at-once`: the maintenance page is on before anything is loaded, so no order is taken that the restore would lose. `at-swap`: the shop
   * stays open while all is loaded; orders taken meanwhile are lost but in the old tables and, if it is taken then, no safety snapshot.
   */
  readonly maintenance: 'at-once' | 'at-swap';
  /** `take`: a backup of the present state of what is restored comes first. */
  readonly safety: 'take' | 'skip';
}

/** What goes to the restore unit, as its request of kind `in-place` (request.ts checks it). */
export type InPlaceRequest = Omit<InPlaceOrder, 'safety'> & {
  readonly kind: 'in-place';
  /**
   * `look`: says what is open (InPlaceLook), touches nothing. `preflight`: the same, and throws what would keep the order from
   * succeeding. `restore`: all from `maintenance` on. `rollback`: back to the safety copy of the open restore.
   */
  readonly action: 'look' | 'preflight' | 'restore' | 'rollback';
  /** Null: none was taken. Of an open restore the journal's count. */
  readonly safety: SafetySnapshots | null;
};

/** A restore of this shop that began and did not end. */
export interface OpenRestore {
  readonly order: Omit<InPlaceOrder, 'safety'>;
  readonly safety: SafetySnapshots | null;
  /** The step that it was at. */
  readonly step: InPlaceStep;
  /** The old state is not whole any more: going on or going back are the only ways. */
  readonly swapped: boolean;
  /** It was being rolled back. */
  readonly goingBack: boolean;
}

export interface InPlaceLook {
  readonly open: OpenRestore | null;
  /** A process is at work on it now: what is open may have ended a moment later. */
  readonly atWork?: boolean;
  /** What a sysadmin should know beforehand. */
  readonly notes: readonly string[];
}

export interface InPlaceResult {
  readonly outcome: 'restored' | 'rolled back';
  /** Clients were seen to get in, or nothing of coffre's keeps them out; false: its owner's own maintenance is on, as it was. */
  readonly open?: boolean;
  /** One for each source; none of the database when its old tables were put back. */
  readonly restored: readonly RestoredSource[];
  readonly safety: SafetySnapshots | null;
  /** How long each step took in the call that ended it, in ms. */
  readonly steps: readonly { readonly step: InPlaceStep; readonly durationMs: number }[];
  /** How long the maintenance page was on; null: the shop has none that coffre knows. */
  readonly maintenanceMs: number | null;
  /** What was looked at before the shop was opened, in words. */
  readonly checks: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Who orders it: the daemon for an approved request, or root's command. It holds the shop's lock (catalog/shop-lock.ts) but for the time of
 * `takeSafety`, has the order's snapshots pinned, and keeps the run.
 */
export interface InPlaceCaller {
  /** Has the restore unit do one action (ask-unit.ts). Throws what the unit says, E_RESTORE_UNIT. */
  ask(request: InPlaceRequest, hear: InPlaceEvents): Promise<object>;
  /**
   * Backs these sources of the shop up now, as any backup, and returns the snapshots, pinned until the restore is done. Throws what makes
   * a backup fail; a snapshot that is not complete is none.
   */
  takeSafety(sources: readonly SourceKind[], signal: AbortSignal): Promise<SafetySnapshots>;
  /** The shop may be closed and half restored from here on (true), or is known to be open and whole (false): kept beyond this process. */
  touches(mayBeClosed: boolean): Promise<void>;
  /** Ends what is under way; the same order goes on later. */
  readonly signal: AbortSignal;
  onStep(step: InPlaceStep): void;
  onProgress(progress: RestoreProgress): void;
  onDamaged(problem: DamagedCopy): void;
}

export type InPlaceEvents = Pick<InPlaceCaller, 'onStep' | 'onProgress' | 'onDamaged' | 'signal'>;

/**
 * Restores the shop, or goes on with the same order. Until the swap a failure leaves the shop as it was, and open; from then on it throws
 * E_SHOP_CLOSED, and the shop keeps its maintenance page until the same order ends or `rollBackInPlace`. Throws also what keeps it from
 * beginning: E_BUSY for another restore that is open, E_TARGET_SPACE, E_DB_PRIVILEGE …, and what a backup throws.
 */
export async function restoreInPlace(order: InPlaceOrder, caller: InPlaceCaller): Promise<InPlaceResult> {
  if (order.database === null && order.files === null) throw new CoffreError('E_INTERNAL', 'a restore of nothing was ordered');
  const { safety: wanted, ...rest } = order;
  const ask = (action: InPlaceRequest['action'], safety: SafetySnapshots | null): Promise<object> =>
    caller.ask({ kind: 'in-place', ...rest, action, safety }, caller);
  caller.onStep('preflight');
  const { open } = await preflightInPlace(order, caller);
  let safety = open?.safety ?? null;
  // What is half restored is nothing to go back to: of an open restore the first safety snapshot counts, or none.
  if (open === null) await caller.touches(false);
  if (open === null && wanted === 'take') {
    caller.onStep('safety');
    const sources: SourceKind[] = [];
    if (order.database) sources.push('database');
    if (order.files) sources.push('files');
    safety = await caller.takeSafety(sources, caller.signal);
  }
  caller.signal.throwIfAborted();
  return await touching(caller, () => ask('restore', safety));
}

/** What is open for this shop; nothing is touched. `request`: any id. */
export async function lookInPlace(shop: string, request: string, caller: Pick<InPlaceCaller, 'ask'> & InPlaceEvents): Promise<InPlaceLook> {
  const nothing = { database: null, files: null, from: null, checksum: false, keepSetuid: false, domain: null, safety: null } as const;
  const asked = { kind: 'in-place', action: 'look', request, shop, ...nothing, secrets: 'keep', maintenance: 'at-once' } as const;
  return (await caller.ask(asked, caller)) as InPlaceLook;
}

/** What would keep the order from succeeding is thrown; nothing is touched. */
export async function preflightInPlace(order: InPlaceOrder, caller: InPlaceCaller): Promise<InPlaceLook> {
  const { safety: _, ...rest } = order;
  return (await caller.ask({ kind: 'in-place', ...rest, action: 'preflight', safety: null }, caller)) as InPlaceLook;
}

/**
 * Back to the safety copy of the restore that is open: the old tables where they are still beside, else the safety snapshot; files by what
 * differs from the safety snapshot. Can be killed and called again. Throws E_NOT_FOUND when none is open (one that ended is gone back from by
 * a restore of its safety snapshots), E_SHOP_CLOSED.
 */
export async function rollBackInPlace(open: OpenRestore, caller: InPlaceCaller): Promise<InPlaceResult> {
  return await touching(caller, () => caller.ask({ kind: 'in-place', ...open.order, action: 'rollback', safety: open.safety }, caller));
}

/** After these nobody knows how the shop stands, or it is known to be closed. */
const NOT_KNOWN: readonly ErrorCode[] = [
  'E_SHOP_CLOSED',
  'E_BUSY',
  'E_INTERRUPTED',
  'E_CANCELLED',
  'E_DEADLINE',
  'E_RESTORE_UNIT',
  'E_INTERNAL',
];

async function touching(caller: InPlaceCaller, work: () => Promise<object>): Promise<InPlaceResult> {
  await caller.touches(true);
  let result: object;
  try {
    result = await work();
  } catch (error) {
    // what cannot be written down stays marked as open, which is red; why the restore failed is what has to be told
    if (!NOT_KNOWN.includes(asCoffreError(error).code) && !caller.signal.aborted) await caller.touches(false).catch(() => {});
    throw error;
  }
  await caller.touches(false);
  return result as InPlaceResult;
}
