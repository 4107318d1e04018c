// Directories as members of an archive: a tar that gets them before what lies in them need not make them itself.
import { paxRecord } from '../../host/tar-headers.ts';
import type { BytePath } from '../../source/source.ts';
import { ancestors } from './remote-scan.ts';

const BLOCK_BYTES = 512;
/** What a header's name field holds. */
const NAME_BYTES = 100;

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
  const own = header(`${path}/`, '5', 0o700, 0);
  if (path.length < NAME_BYTES) return own;
  const record = paxRecord('path', Buffer.from(path, 'latin1'));
  const padding = Buffer.alloc((BLOCK_BYTES - (record.length % BLOCK_BYTES)) % BLOCK_BYTES);
  return Buffer.concat([header('./PaxHeaders/member', 'x', 0o644, record.length), record, padding, own]);
}

function header(name: BytePath, typeFlag: string, mode: number, sizeBytes: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name.slice(0, NAME_BYTES), 0, 'latin1');
  const field = (value: number, offset: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  };
  field(mode, 100, 8);
  field(0, 108, 8);
  field(0, 116, 8);
  field(sizeBytes, 124, 12);
  field(0, 136, 12);
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(typeFlag, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
