// The names of the two databases beside one that is overwritten.
import { createHash } from 'node:crypto';

const LONGEST_NAME = 64;

export interface SwapNames {
  readonly database: string;
  /** Loaded beside the old tables. */
  readonly scratch: string;
  /** Takes the old tables, and holds the journal. */
  readonly old: string;
}

/** Where a restore into `database` loads and moves things. Names too long for a suffix are cut, with a hash of the whole. */
export function swapNames(database: string): SwapNames {
  const named = (suffix: string): string => {
    if (Array.from(database + suffix).length <= LONGEST_NAME) return database + suffix;
    const hash = createHash('sha256').update(database).digest('hex').slice(0, 8);
    const room = LONGEST_NAME - suffix.length - hash.length - 1;
    return `${Array.from(database).slice(0, room).join('')}_${hash}${suffix}`;
  };
  return { database, scratch: named('_coffre_new'), old: named('_coffre_old') };
}
