// What an ExtractPool and its threads say to each other.
import type { ErrorCode } from '../errors.ts';
import type { SealedFacts } from '../segment/manifest-types.ts';
import type { Admission, WantedMember } from '../target/target.ts';
import type { Identities } from './fetch.ts';

export interface ThreadData {
  /** Exports `openWriter`. */
  readonly module: string;
  readonly data: unknown;
}

export interface ExtractJob {
  /** For messages. */
  readonly what: string;
  readonly expected: SealedFacts;
  readonly identities: Identities;
  /** The stored object, at its beginning, as long as `expected` says; not checked yet. The thread's until it says `opened` or the job's end. */
  readonly stored: SharedArrayBuffer;
  readonly wanted: readonly WantedMember[] | null;
}

/** How long a thread worked at one job: opening, and writing. */
export interface ThreadTimes {
  readonly openMs: number;
  readonly writeMs: number;
}

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | null;
}

/**
 * Of one job in this order: extract (or finish, which is a job too: everything extracted is written), any number of admitted, perhaps stop.
 * Nothing comes after close.
 */
export type ToExtractThread =
  | { readonly type: 'extract'; readonly job: number; readonly work: ExtractJob }
  | { readonly type: 'finish'; readonly job: number }
  | { readonly type: 'admitted'; readonly job: number; readonly refused: Failure | null }
  | { readonly type: 'stop'; readonly job: number }
  | { readonly type: 'close' };

export type FromExtractThread =
  | { readonly type: 'admit'; readonly job: number; readonly members: readonly Admission[] }
  /** `stored` is not needed any more. */
  | { readonly type: 'opened'; readonly job: number }
  | { readonly type: 'ended'; readonly job: number; readonly failure: Failure | null; readonly took: ThreadTimes }
  /** Nothing is written any more. */
  | { readonly type: 'closed' };
