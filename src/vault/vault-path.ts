// Where a key lies in a filesystem vault: keys become paths below the root and nowhere else.
import { join } from 'node:path';
import { CoffreError } from '../errors.ts';

/** Names with a leading dot are coffre's own (locks, marker, unfinished writes) and never keys. */
const TEMPORARY = /^\.tmp-([0-9a-f]{16})-(.+)$/;
/** Room for the temporary name's own part within the 255 bytes a file name may have. */
const LONGEST_NAME_BYTES = 220;
const LONGEST_KEY_BYTES = 1_000;

/** Throws E_INTERNAL unless every part of `key` is an ordinary file name that does not begin with a dot. */
export function checkKey(key: string): void {
  const bad = (why: string): never => {
    throw new CoffreError('E_INTERNAL', `not a key for a vault: ${JSON.stringify(key.slice(0, 200))}: ${why}`);
  };
  if (Buffer.byteLength(key) > LONGEST_KEY_BYTES) bad('too long');
  for (const name of key.split('/')) {
    if (name === '') bad('an empty name');
    if (name.startsWith('.')) bad('a name with a leading dot');
    // Control characters would break listings and logs; the backslash is a separator on file systems served to Windows.
    if (/[\p{Cc}\\]/u.test(name)) bad('a control character or backslash');
    if (Buffer.byteLength(name) > LONGEST_NAME_BYTES) bad('a name too long');
  }
}

export function objectPath(root: string, key: string): string {
  checkKey(key);
  return join(root, key);
}

export function lockPath(root: string, key: string): string {
  checkKey(key);
  return join(root, LOCKS_FOLDER, `${key}.json`);
}

/** The name of an unfinished write of `name`, made unique by 16 hex digits. */
export function temporaryName(name: string, unique: string): string {
  return `.tmp-${unique}-${name}`;
}

/** The name that an unfinished write was for; null when `name` is no such thing. */
export function nameOfTemporary(name: string): string | null {
  return TEMPORARY.exec(name)?.[2] ?? null;
}

export const LOCKS_FOLDER = '.locks';
/** Says that this folder is a vault and its disk is mounted: an empty mount point lacks it. */
export const MARKER_FILE = '.coffre-vault';
