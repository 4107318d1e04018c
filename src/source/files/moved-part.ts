// For a restore by hand: each file that was moved since its segment was made, as a hard link to the name it has there.
import { END_OF_ARCHIVE } from '../../host/ustar.ts';
import type { Part, PartOutcome } from '../source.ts';
import { MOST_HEADER_BYTES, writeHeaders } from './pax-header.ts';
import type { Scratch } from './scratch.ts';

const HEADERS_BYTES = 1536;

/**
 * Extracted behind the segments that hold the contents, it makes the new names; the directories' own archive, extracted with `tar -x -G`, then
 * removes the old ones. coffre itself reads the index instead, which this part adds nothing to.
 */
export class MovedPart implements Part {
  readonly type = 'part';
  readonly kind = 'tar';
  readonly phase = 'files';
  readonly name = 'moved';
  readonly estimatedBytes: number;
  readonly #scratch: Scratch;

  constructor(scratch: Scratch) {
    this.#scratch = scratch;
    this.estimatedBytes = scratch.moved * HEADERS_BYTES;
  }

  async *read(signal: AbortSignal): AsyncGenerator<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(8 * MOST_HEADER_BYTES);
    let used = 0;
    for (const { path, member } of this.#scratch.listMoved()) {
      if (buffer.length - used < MOST_HEADER_BYTES + path.length + member.length) {
        signal.throwIfAborted();
        yield buffer.subarray(0, used);
        used = 0;
      }
      used = writeHeaders(buffer, used, {
        ...{ type: 'hardlink', path, target: member, sizeBytes: 0, mode: 0o600, uid: 0, gid: 0, mtimeNs: 0n },
      });
    }
    yield buffer.subarray(0, used);
    yield END_OF_ARCHIVE;
  }

  outcome(): PartOutcome {
    return { entries: [], warnings: [] };
  }
}
