// The facts about a machine as one part: a folder of small files, in a tar that is the same whenever they are.
import { createHash } from 'node:crypto';
import { CoffreError } from '../../errors.ts';
import { BLOCK_BYTES, END_OF_ARCHIVE, padding, ustarHeader } from '../../host/ustar.ts';
import type { FileEntry, Part, PartOutcome } from '../source.ts';
import { FACTS_FOLDER } from './excludes.ts';
import type { FactFile, Facts } from './facts.ts';

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
    yield ustarHeader({ name: `${FACTS_FOLDER}/`, flag: '5', mode: FOLDER_MODE });
    for (const { name, content } of this.#facts.files) {
      signal.throwIfAborted();
      yield ustarHeader({ name: `${FACTS_FOLDER}/${name}`, flag: '0', mode: FILE_MODE, sizeBytes: content.length });
      yield Buffer.concat([content, padding(content.length)]);
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
