// Until when objects must be locked. Pure: instants in, instants out.
import { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../errors.ts';
import { horizonMarginMs } from './margins.ts';

export interface LockNeed {
  /** What the snapshot needs: a lock that reads back shorter fails the run. */
  readonly atLeast: Temporal.Instant;
  /** Where a lock that falls short is moved to. */
  readonly extendTo: Temporal.Instant;
}

export interface SnapshotHorizonInput {
  /** When everything of the snapshot is, or will at the latest be, in place. */
  readonly completedAt: Temporal.Instant;
  readonly retentionMs: number;
  readonly now: Temporal.Instant;
  /** limits.lockCeiling. */
  readonly ceilingMs: number;
  /** End of a closing shop: no lock is given beyond it. null or left out: none is known. */
  readonly notAfter?: Temporal.Instant | null;
}

export interface SegmentHorizonInput extends SnapshotHorizonInput {
  /** null: stored by this very run, and only the runs after it will say whether it is worth keeping longer. */
  readonly reused: {
    /** When the last reading that is planned to reuse it is over; null when no full reading is scheduled. */
    readonly lastAt: Temporal.Instant | null;
    readonly createdAt: Temporal.Instant;
    /** Beyond this age it is not reused. */
    readonly maxAgeMs: number;
  } | null;
}

/** End of the window: N x 24 h from completion, whatever the calendar does; a closing shop's own end, if that comes first. */
export function keepUntil(completedAt: Temporal.Instant, retentionMs: number, notAfter: Temporal.Instant | null = null): Temporal.Instant {
  return capped(plus(completedAt, retentionMs), notAfter);
}

/**
 * Lock end of index, manifest and fresh segments: the window plus its margin, or a closing shop's end.
 * Throws E_LOCK_CEILING when that is later than the ceiling allows: a shorter lock would be a broken promise.
 */
export function snapshotHorizon(input: SnapshotHorizonInput): Temporal.Instant {
  const horizon = capped(plus(input.completedAt, input.retentionMs + horizonMarginMs(input.retentionMs)), input.notAfter);
  const ceiling = plus(input.now, input.ceilingMs);
  if (Temporal.Instant.compare(horizon, ceiling) > 0) {
    throw new CoffreError('E_LOCK_CEILING', `a lock until ${horizon} is needed, limits.lockCeiling allows ${ceiling}`);
  }
  return horizon;
}

/**
 * What a segment of this snapshot needs, and how far its lock is moved when it falls short. The first reuse moves a lock in one step
 * as far as the last increment that can reuse it will need (the last one before the next full reading, or the segment's maximum age), so that the
 * store is asked nothing more on most days. That step is a convenience: the ceiling shortens it, never below the need.
 * Throws E_LOCK_CEILING as snapshotHorizon does.
 */
export function segmentHorizon(input: SegmentHorizonInput): LockNeed {
  const atLeast = snapshotHorizon(input);
  if (input.reused === null) return { atLeast, extendTo: atLeast };
  const oldest = plus(input.reused.createdAt, input.reused.maxAgeMs);
  const lastReuse = input.reused.lastAt === null ? oldest : earlier(input.reused.lastAt, oldest);
  const comfort = capped(plus(lastReuse, input.retentionMs + horizonMarginMs(input.retentionMs)), input.notAfter);
  return { atLeast, extendTo: later(atLeast, earlier(comfort, plus(input.now, input.ceilingMs))) };
}

/** `instant`, or the end of the shop when that comes first. */
export function capped(instant: Temporal.Instant, notAfter: Temporal.Instant | null | undefined): Temporal.Instant {
  return notAfter ? earlier(instant, notAfter) : instant;
}

function plus(instant: Temporal.Instant, ms: number): Temporal.Instant {
  return instant.add({ milliseconds: ms });
}

function earlier(a: Temporal.Instant, b: Temporal.Instant): Temporal.Instant {
  return Temporal.Instant.compare(a, b) <= 0 ? a : b;
}

function later(a: Temporal.Instant, b: Temporal.Instant): Temporal.Instant {
  return Temporal.Instant.compare(a, b) >= 0 ? a : b;
}
