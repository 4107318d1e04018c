// What a SealPool and its threads say to each other. Memory is shared, not handed over: V8 counts what is handed over as new garbage each time.
import type { ErrorCode } from '../errors.ts';
import type { FrameSealerOptions } from './frame-sealer.ts';
import type { SealedFacts } from './manifest-types.ts';

/** Of one job in this order: begin, pack or not, any number of pieces, then end or drop. */
export type ToWorker =
  | { readonly type: 'begin'; readonly job: number; readonly options: FrameSealerOptions }
  /** `buffer` is the thread's alone until it comes back with `taken`. */
  | { readonly type: 'piece'; readonly job: number; readonly buffer: SharedArrayBuffer; readonly bytes: number }
  /** The module's `pack(input)` gives plaintext there, before any piece. */
  | { readonly type: 'pack'; readonly job: number; readonly module: string; readonly input: unknown }
  | { readonly type: 'end'; readonly job: number }
  | { readonly type: 'drop'; readonly job: number };

export type FromWorker =
  | { readonly type: 'taken'; readonly job: number; readonly buffer: SharedArrayBuffer }
  /** What `pack` returned. */
  | { readonly type: 'packed'; readonly job: number; readonly result: unknown }
  /** `stored`: the object is at its beginning, `facts.storedBytes` long; null when it is in the overflow file. */
  | {
      readonly type: 'sealed';
      readonly job: number;
      readonly stored: SharedArrayBuffer | null;
      readonly facts: SealedFacts;
    }
  /** After it the job must still be dropped. */
  | {
      readonly type: 'failed';
      readonly job: number;
      readonly code: ErrorCode | null;
      /** A system error's code (ENOSPC, …). */
      readonly system: string | null;
      readonly message: string;
    }
  /** The last word on a job that was dropped: its file, if it had begun one, is gone. */
  | { readonly type: 'dropped'; readonly job: number };
