// The facts about a machine as one part: a folder of small files, in a tar that is the same whenever they are.
import { createHash } from 'node:crypto';
import { CoffreError } from '../../errors.ts';
import { END_OF_ARCHIVE } from '../../host/tar-headers.ts';
import type { FileEntry, Part, PartOutcome } from '../source.ts';
import { FACTS_FOLDER } from './excludes.ts';
import type { FactFile, Facts } from './facts.ts';

const BLOCK_BYTES = 512;
/** Crontabs may hold passwords. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export class FactsPart implements Part {
  readonly type = 'part';
  readonly kind = 'tar';
  readonly phase = 'files';
  readonly name = FACTS_FOLDER;
  readonly estimatedBytes: number;
  readonly #facts: Facts;
  #read = false;

  constructor(facts: Facts) {
    this.#facts = facts;
    this.estimatedBytes = facts.files.reduce((sum, { content }) => sum + 2 * BLOCK_BYTES + content.length, 4 * BLOCK_BYTES);
  }

  async *read(signal: AbortSignal): AsyncGenerator<Buffer> {
    signal.throwIfAborted();
    yield header(`${FACTS_FOLDER}/`, '5', FOLDER_MODE, 0);
    for (const { name, content } of this.#facts.files) {
      signal.throwIfAborted();
      yield header(`${FACTS_FOLDER}/${name}`, '0', FILE_MODE, content.length);
      yield Buffer.concat([content, Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES)]);
    }
    yield END_OF_ARCHIVE;
    this.#read = true;
  }

  outcome(): PartOutcome {
    if (!this.#read) throw new CoffreError('E_INTERNAL', `part ${this.name} was not read to its end`);
    return { entries: [entryOf(null), ...this.#facts.files.map(entryOf)], warnings: [] };
  }
}

/** null: of the folder. Times are 0, so that nothing but the content says whether something changed. */
function entryOf(file: FactFile | null): FileEntry {
  return {
    type: file ? 'file' : 'directory',
    path: file ? `${FACTS_FOLDER}/${file.name}` : FACTS_FOLDER,
    sizeBytes: file?.content.length ?? 0,
    mode: file ? FILE_MODE : FOLDER_MODE,
    uid: 0,
    gid: 0,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 0n,
    ...(file ? { sha256: createHash('sha256').update(file.content).digest('hex') } : {}),
  };
}

/** A ustar header; its names fit (ASCII, below 100 bytes). */
function header(path: string, type: '0' | '5', mode: number, sizeBytes: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, offset: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  };
  block.write(path, 0, 100, 'latin1');
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(sizeBytes, 124, 12);
  octal(0, 136, 12);
  block.fill(' ', 148, 156);
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  block[154] = 0;
  return block;
}
