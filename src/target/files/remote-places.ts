// Where a restore works beside a directory on a host, and the journal that says how far it came: pure.
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { CoffreError } from '../../errors.ts';

/** File names end at 255 bytes; ours are somewhat longer than the directory's. */
const LONGEST_NAME_BYTES = 200;

/**
 * All siblings of the directory, so on its file system: a rename of a directory that stays in its parent needs no right to write into it.
 * Without `work` none of the others is ours; it is made first and removed last.
 */
export interface Places {
  /** The directory itself, absolute, its symbolic links followed. */
  readonly directory: string;
  readonly parent: string;
  /** Ours alone: journal, locks, segments that are not proven yet. */
  readonly work: string;
  /** The tree that is to take the directory's place. */
  readonly tree: string;
  /** What an interrupted restore had written, while `tree` is made anew. */
  readonly previous: string;
  /** What the directory held, between the swap and its removal. */
  readonly old: string;
}

/** Throws E_USAGE for the root directory. */
export function placesFor(directory: string): Places {
  if (directory === '/')
    throw new CoffreError('E_USAGE', 'the root directory cannot be swapped for another', { hint: 'name a directory below it' });
  const parent = posix.dirname(directory);
  const name = posix.basename(directory);
  const short = Buffer.byteLength(name) <= LONGEST_NAME_BYTES ? name : createHash('sha256').update(name).digest('hex');
  const work = posix.join(parent, `.coffre-restore-${short}`);
  return { directory, parent, work, tree: `${work}.tree`, previous: `${work}.previous`, old: `${work}.old` };
}

export interface Journal {
  readonly format: 1;
  readonly snapshot: string;
  /** The directory holds something, which `tree` begins as a copy of. */
  readonly replace: boolean;
  readonly delete: boolean;
  /** Where what the directory held is to stay; null: it goes. */
  readonly keptOld: string | null;
  /**
   * `making`: `tree` is not whole in what it begins with. `filling`: what is in it was put there by segments, or was there before.
   * `swapping`: it was found right, and is taking the directory's place.
   */
  readonly step: 'making' | 'filling' | 'swapping';
  /** While it swaps: the inode of `tree` before, by which is known which of the two is which. */
  readonly incoming?: string;
}

export function encodeJournal(journal: Journal): Buffer {
  return Buffer.from(`${JSON.stringify(journal)}\n`);
}

/** Null: there is none, or it is none of ours. */
export function decodeJournal(text: string): Journal | null {
  try {
    const raw = JSON.parse(text) as Partial<Journal> | null;
    const whole =
      raw?.format === 1 &&
      typeof raw.snapshot === 'string' &&
      typeof raw.replace === 'boolean' &&
      typeof raw.delete === 'boolean' &&
      (raw.keptOld === null || typeof raw.keptOld === 'string') &&
      (raw.step === 'making' || raw.step === 'filling' || raw.step === 'swapping');
    return whole ? (raw as Journal) : null;
  } catch {
    return null;
  }
}

/** Whether a restore may go on with what another one left. */
export function isSameRestore(
  journal: Journal,
  wanted: Pick<Journal, 'snapshot' | 'replace' | 'delete'> & { readonly keepOld: boolean },
): boolean {
  return (
    journal.snapshot === wanted.snapshot &&
    journal.replace === wanted.replace &&
    journal.delete === wanted.delete &&
    (journal.keptOld !== null) === wanted.keepOld
  );
}
