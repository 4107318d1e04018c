// What of a file gives rights to whoever can start or open it: setuid and setgid bits, file capabilities, device nodes.
import { type BytePath, type FileEntry, type IndexEntry, isFileEntry } from '../source/source.ts';

/** Setuid and setgid. Of directories setgid is how a group shares them, and is no privilege. */
const PRIVILEGED_BITS = 0o6000;

export function modeWithoutPrivileges(type: FileEntry['type'], mode: number): number {
  return type === 'directory' || type === 'symlink' ? mode : mode & ~PRIVILEGED_BITS;
}

/** What a restore did not bring back, in entries. */
export interface Withheld {
  bits: number;
  devices: number;
}

/** The entries of an index as they are without their privileges: devices, and hard links to them, are missing. `count` hears of each. */
export async function* withoutPrivileges<E extends IndexEntry>(
  entries: AsyncIterable<E>,
  count: Withheld = { bits: 0, devices: 0 },
): AsyncGenerator<E> {
  const devices = new Set<BytePath>();
  for await (const entry of entries) {
    if (!isFileEntry(entry)) {
      yield entry;
    } else if (entry.type === 'device' || (entry.type === 'hardlink' && devices.has(entry.target ?? ''))) {
      devices.add(entry.path);
      count.devices += 1;
    } else {
      const mode = modeWithoutPrivileges(entry.type, entry.mode);
      if (mode !== entry.mode) count.bits += 1;
      yield mode === entry.mode ? entry : { ...entry, mode };
    }
  }
}
