// Before a manifest may enter a vault, every segment it names is locked there until the horizon, and read back.
import { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import { type Clock, withDeadline } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { LockNeed } from '../retention/horizon.ts';
import { inParallel } from '../vault/in-parallel.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { Lock, Vault } from '../vault/vault.ts';
import type { RunSegment } from './store-part.ts';

/** Lock requests under way at once in one vault. */
const LOCKS_IN_FLIGHT = 8;

export interface LockingContext {
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** How long one vault may take over one lock. */
  readonly vaultDeadlineMs: number;
  readonly signal: AbortSignal;
}

/**
 * Extends what falls short and requires what was read back: mode of the vault, end not before `atLeast`.
 * A lock that the catalog already knows to be long enough, from an earlier read-back, is not asked for again.
 * Throws E_LOCK_DROPPED, E_OBJECT_MISSING, E_VAULT_TIMEOUT beyond the vault's deadline, or what the vault throws.
 */
export async function lockSegments(
  context: LockingContext,
  vault: Vault,
  segments: readonly RunSegment[],
  needOf: (segment: RunSegment) => LockNeed,
): Promise<void> {
  const { ledger, clock, vaultDeadlineMs, signal } = context;
  const read = new Map<number, Lock>();
  const extend = async (segment: RunSegment): Promise<void> => {
    signal.throwIfAborted();
    const copy = segment.copies.get(vault.name);
    if (!copy) throw new CoffreError('E_OBJECT_MISSING', `${vault.name}: ${segment.row.key} has no copy here`);
    const need = needOf(segment);
    if (copy.lock && holds(vault, copy.lock, need.atLeast)) return;
    const { key } = segment.row;
    const late = (): CoffreError =>
      new CoffreError('E_VAULT_TIMEOUT', `vault ${vault.name}: took longer than ${vaultDeadlineMs / 1000} s to lock ${key}`, {
        hint: 'look at the store and the line to it; limits.vaultDeadline says how long a vault may take',
      });
    const move = (within: AbortSignal): Promise<Lock> => vault.extendLock(key, copy.versionId, need.extendTo, within);
    const lock = await withDeadline(clock, vaultDeadlineMs, late, move, signal);
    if (!holds(vault, lock, need.atLeast)) {
      throw new CoffreError(
        'E_LOCK_DROPPED',
        `${vault.name}: ${key} is locked ${lock.mode} until ${lock.retainUntil}, needed ${vault.lockMode} until ${need.atLeast}`,
      );
    }
    read.set(copy.objectId, lock);
    copy.lock = lock;
  };
  try {
    await inParallel(segments, LOCKS_IN_FLIGHT, extend);
  } finally {
    // A crash before this loses nothing: a lock that the catalog does not know is asked for again.
    await ledger.locksRead(read);
  }
}

/** Whether a lock as read back is what this vault promises, until `atLeast`. A vault that keeps whole seconds rounds them up. */
export function holds(vault: Vault, lock: Lock, atLeast: Temporal.Instant): boolean {
  return isAsStrong(lock.mode, vault.lockMode) && Temporal.Instant.compare(lock.retainUntil, atLeast) >= 0;
}
