// Lands members whose path is too long for tar's system calls on another machine: a tar for each of their directories, started in there.
import { CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import { TarMembers } from '../../host/tar-members.ts';
import { BLOCK_BYTES, END_OF_ARCHIVE } from '../../host/ustar.ts';
import type { BytePath } from '../../source/source.ts';
import { extractArguments, type Place } from './place.ts';
import { runOn } from './remote-program.ts';

/** Of one directory's members, gathered before a tar gets them; a single one may be longer. */
const GATHERED_BYTES = 8 * 1024 * 1024;

/**
 * `down ROOT STEP… :` goes to a directory, made where it is missing (another segment's landing may be first); a step is escaped for printf, and
 * `/` ends it lest a newline be lost.
 */
const DOWN = `set -e
down() { cd -P "$1"; shift; while [ "$1" != : ]; do d=$(printf "%b/" "$1"); d=./\${d%/}; [ -d "$d" ] || mkdir -m 700 "$d" || [ -d "$d" ]; cd -P "$d"; shift; done; }
`;
const EXTRACT = `${DOWN}down "$@"; while [ "$1" != : ]; do shift; done; shift; exec "$@"`;
const LINK = `${DOWN}down "$@"; exec 3< .; while [ "$1" != : ]; do shift; done; shift
down "$@"; while [ "$1" != : ]; do shift; done; shift
from=$(printf "%b/" "$1"); to=$(printf "%b/" "$2"); exec ln -f -P -T "/proc/self/fd/3/\${from%/}" "./\${to%/}"`;

interface Batch {
  readonly directory: BytePath;
  readonly isDirectory: boolean;
  readonly bytes: Buffer[];
  size: number;
}

/** As DeepLanding, for a `place` on a host that programs are started on. */
export class RemoteDeepLanding {
  readonly #place: Place;
  readonly #signal: AbortSignal;
  readonly #members: TarMembers;
  #rest: Buffer = Buffer.alloc(0);
  #batch: Batch | null = null;
  #full: Batch | null = null;
  /** They are extracted last, those inside others first: what is made in a directory changes its time. */
  #directories: Batch[] = [];
  #links: { readonly path: BytePath; readonly carrier: BytePath }[] = [];

  constructor(place: Place, signal: AbortSignal) {
    this.#place = place;
    this.#signal = signal;
    this.#members = new TarMembers({
      member: ({ type, path, linkPath }) => {
        if (type === 'hardlink') {
          this.#links.push({ path, carrier: linkPath });
          return 'drop';
        }
        const { directory, name } = parted(path);
        this.#open(directory, type === 'directory');
        return { path: name };
      },
    });
  }

  async add(bytes: readonly Uint8Array[]): Promise<void> {
    for (const chunk of bytes) {
      const all = Buffer.concat([this.#rest, chunk]);
      const whole = all.length - (all.length % BLOCK_BYTES);
      // a block at a time: what comes out of it is of one member
      for (let at = 0; at < whole; at += BLOCK_BYTES) {
        for (const piece of this.#members.push(all.subarray(at, at + BLOCK_BYTES))) {
          this.#batch?.bytes.push(Buffer.from(piece));
          if (this.#batch) this.#batch.size += piece.length;
        }
        if (this.#full) await this.#extractFull();
      }
      this.#rest = all.subarray(whole);
    }
  }

  async settle(): Promise<void> {
    this.#open('', false);
    await this.#extractFull();
    this.#batch = null;
    for (const batch of this.#directories.reverse()) await this.#extract(batch);
    this.#directories = [];
  }

  /** Throws E_TARGET_WRITE, E_TARGET_SPACE, E_TOOL_MISSING, E_SSH_…, or the signal's reason. */
  async finish(): Promise<void> {
    await this.settle();
    for (const { path, carrier } of this.#links) {
      const [from, to] = [parted(carrier), parted(path)];
      const ways = [...this.#way(from.directory), ...this.#way(to.directory)];
      await this.#run(['sh', '-c', LINK, 'sh', ...ways, escaped(from.name), escaped(to.name)], [], path);
    }
    this.#links = [];
  }

  /** What was started has ended. */
  async close(): Promise<void> {}

  #open(directory: BytePath, isDirectory: boolean): void {
    const batch = this.#batch;
    if (batch && !isDirectory && !batch.isDirectory && batch.directory === directory && batch.size < GATHERED_BYTES) return;
    if (batch?.isDirectory) this.#directories.push(batch);
    else if (batch) this.#full = batch;
    this.#batch = { directory, isDirectory, bytes: [], size: 0 };
  }

  async #extractFull(): Promise<void> {
    const full = this.#full;
    this.#full = null;
    if (full && full.size > 0) await this.#extract(full);
  }

  async #extract({ directory, bytes }: Batch): Promise<void> {
    const argv = ['tar', ...extractArguments({ ...this.#place, directory: '.' }, true)];
    await this.#run(['sh', '-c', EXTRACT, 'sh', ...this.#way(directory), ...argv], [...bytes, END_OF_ARCHIVE], directory);
  }

  async #run(argv: readonly string[], input: readonly Buffer[], path: BytePath): Promise<void> {
    try {
      await runOn(this.#place.host, argv, { input, signal: this.#signal });
    } catch (error) {
      if (!(error instanceof CoffreError) || this.#signal.aborted) throw error;
      throw new CoffreError(error.code, `${printable(path)}: ${error.message}`, { cause: error, hint: error.hint });
    }
  }

  #way(directory: BytePath): string[] {
    return [this.#place.directory, ...(directory === '.' ? [] : directory.split('/').map(escaped)), ':'];
  }
}

function parted(path: BytePath): { readonly directory: BytePath; readonly name: BytePath } {
  const slash = path.lastIndexOf('/');
  return { directory: slash < 0 ? '.' : path.slice(0, slash), name: path.slice(slash + 1) };
}

/** For printf's `%b`; never `:`. */
function escaped(name: BytePath): string {
  return name.replace(/[^A-Za-z0-9._-]/g, (c) => `\\0${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
