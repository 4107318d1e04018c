// Directories as members of an archive: a tar that gets them before what lies in them need not make them itself.
import { NAME_BYTES, padding, paxRecord, ustarHeader } from '../../host/ustar.ts';
import type { BytePath } from '../../source/source.ts';
import { ancestors } from './remote-scan.ts';

/**
 * For one tar process: GNU tars that make the same missing directory by themselves at once race, and the loser says `Cannot open: No such
 * file or directory` (seen with 1.34); directories that are members of their own are made by whoever comes first.
 */
export class DirectoriesAhead {
  readonly #sent = new Set<BytePath>();

  /** Members for the directories above `paths` that were not sent yet, parents first; null: there are none. */
  for(paths: readonly BytePath[]): Buffer | null {
    const members: Buffer[] = [];
    for (const path of paths) {
      const slash = path.lastIndexOf('/');
      if (slash < 0 || this.#sent.has(path.slice(0, slash))) continue;
      for (const directory of [...ancestors(path)].reverse()) {
        if (this.#sent.has(directory)) continue;
        this.#sent.add(directory);
        members.push(directoryMember(directory));
      }
    }
    return members.length === 0 ? null : Buffer.concat(members);
  }
}

/** Closed to others until the tail sets its mode. */
export function directoryMember(path: BytePath): Buffer {
  const own = ustarHeader({ name: `${path}/`, flag: '5', mode: 0o700 });
  if (path.length < NAME_BYTES) return own;
  const record = Buffer.from(paxRecord('path', path), 'latin1');
  const extended = ustarHeader({ name: './PaxHeaders/member', flag: 'x', mode: 0o644, sizeBytes: record.length });
  return Buffer.concat([extended, record, padding(record.length), own]);
}
