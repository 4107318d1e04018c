// The target `--to-dir`: a fresh directory, filled by parallel GNU tar processes with what was checked before.
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CoffreError } from '../../errors.ts';
import { gnuTarVersion, printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { makeDirectory } from '../../host/make-directory.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import type { FilesTarget, IncomingSegment } from '../target.ts';
import { compareTree } from './compare.ts';
import { extractTar, writeFailed } from './extract.ts';
import { MemberGuard } from './member-guard.ts';

export class DirectoryTarget implements FilesTarget {
  readonly #host: Host;
  readonly #directory: string;
  /**
   * Holds what is not proven yet, inside the target: on the same file system, so that a rename brings it out. It is there
   * until everything but the directories is: by its name a restore that was killed cannot pass for a whole one.
   */
  readonly #staging: string;
  #prepared = false;
  #turn: Promise<void> = Promise.resolve();
  #complete = false;
  readonly #guard = new MemberGuard();

  /** `directory` is an absolute path of this machine, which `host` is. */
  constructor(directory: string, host: Host) {
    this.#host = host;
    this.#directory = directory;
    this.#staging = join(directory, `.coffre-restore-incomplete-${randomBytes(6).toString('hex')}`);
  }

  missing(entries: AsyncIterable<FileEntry>): AsyncIterable<FileEntry> {
    return entries;
  }

  async prepare(_snapshot: string): Promise<void> {
    await gnuTarVersion(this.#host);
    try {
      // Closed until the last segment sets the root's own mode: directories above a secret get theirs only then.
      await makeDirectory(this.#directory, 0o700);
      const [first] = await readdir(this.#directory);
      if (first !== undefined) {
        throw new CoffreError('E_TARGET_NOT_EMPTY', `${this.#directory} is not empty: it holds ${first}`, {
          hint: 'name a directory that is empty or not there yet; --overwrite is for databases only',
        });
      }
      await mkdir(this.#staging, { mode: 0o700 });
      this.#prepared = true;
    } catch (cause) {
      throw cause instanceof CoffreError ? cause : writeFailed(this.#directory, cause);
    }
  }

  /**
   * One at a time, whoever calls: two GNU tars that make the same missing directory at once race, and the loser says
   * `Cannot open: No such file or directory` (seen with 1.34). What is fetched and checked meanwhile waits here.
   */
  extract(segment: IncomingSegment, members: readonly BytePath[] | null, signal: AbortSignal): Promise<void> {
    const extracted = this.#turn.then(() => this.#extract(segment, members, signal));
    this.#turn = extracted.catch(() => {});
    return extracted;
  }

  async #extract(segment: IncomingSegment, members: readonly BytePath[] | null, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const wanted = members && new Set(members);
    if (!segment.unverified) {
      // gone before the directories get their times
      if (segment.phase === 'tail') await rm(this.#staging, { recursive: true, force: true });
      await extractTar({ host: this.#host, directory: this.#directory }, segment.plaintext, wanted, this.#guard, signal);
    } else if (segment.phase === 'tail') {
      await this.#extractSpooled(segment, wanted, signal);
    } else {
      await this.#extractStaged(segment, wanted, signal);
    }
  }

  async compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
    const differences = await compareTree(this.#directory, entries);
    this.#complete = differences.length === 0;
    return differences;
  }

  /** What was written stays for a look, marked as what it is, unless `compare` found it complete. */
  async close(): Promise<void> {
    if (!this.#prepared) return;
    for (const name of await readdir(this.#staging).catch(() => [])) await rm(join(this.#staging, name), { recursive: true, force: true });
    const written = (await readdir(this.#directory)).some((name) => name !== basename(this.#staging));
    if (this.#complete || !written) {
      await rm(this.#staging, { recursive: true, force: true });
      return;
    }
    // Best effort: on a full disk the folder's name alone must say it.
    await mkdir(this.#staging, { recursive: true, mode: 0o700 })
      .then(() => writeFile(join(this.#staging, 'README'), 'coffre: this restore failed, the tree around this folder is not complete\n'))
      .catch(() => {});
  }

  /** Directories cannot be renamed over those that are there: their archive is kept aside until its end proved it. */
  async #extractSpooled(segment: IncomingSegment, wanted: ReadonlySet<BytePath> | null, signal: AbortSignal): Promise<void> {
    const spool = join(this.#staging, `${segment.id}.tar`);
    try {
      await mkdir(this.#staging, { recursive: true, mode: 0o700 });
      await pipeline(segment.plaintext, createWriteStream(spool, { mode: 0o600 }), { signal }).catch((cause) => {
        signal.throwIfAborted();
        throw cause instanceof CoffreError ? cause : writeFailed(this.#directory, cause);
      });
      // Staging must be gone before the directories get their times.
      const file = await open(spool);
      await rm(this.#staging, { recursive: true, force: true });
      await extractTar(
        { host: this.#host, directory: this.#directory },
        file.createReadStream({ highWaterMark: 256 * 1024 }),
        wanted,
        this.#guard,
        signal,
      );
    } finally {
      await rm(this.#staging, { recursive: true, force: true });
    }
  }

  async #extractStaged(segment: IncomingSegment, wanted: ReadonlySet<BytePath> | null, signal: AbortSignal): Promise<void> {
    const stage = join(this.#staging, segment.id);
    try {
      await mkdir(stage, { recursive: true, mode: 0o700 });
      const extracted = await extractTar({ host: this.#host, directory: stage }, segment.plaintext, wanted, this.#guard, signal);
      const made = new Set<BytePath>();
      for (const { path, type } of extracted) {
        if (type === 'directory') continue;
        const slash = path.lastIndexOf('/');
        const parent = path.slice(0, Math.max(0, slash));
        if (slash > 0 && !made.has(parent)) {
          await mkdir(at(this.#directory, parent), { recursive: true });
          made.add(parent);
        }
        await rename(at(stage, path), at(this.#directory, path)).catch((cause) => {
          throw writeFailed(printable(path), cause);
        });
      }
    } catch (cause) {
      throw cause instanceof CoffreError || signal.aborted ? cause : writeFailed(this.#directory, cause);
    } finally {
      await rm(stage, { recursive: true, force: true });
    }
  }
}

function at(directory: string, path: BytePath): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, 'latin1')]);
}
