// The target `--to-dir`: a fresh directory, filled by parallel GNU tar processes with what was checked before.
import { randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, renameSync } from 'node:fs';
import { mkdir, open, readdir, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CoffreError } from '../../errors.ts';
import { Anchored } from '../../host/anchored.ts';
import { isDeep } from '../../host/deep-path.ts';
import { gnuTarVersion, printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { makeDirectory } from '../../host/make-directory.ts';
import { END_OF_ARCHIVE, ustarHeader } from '../../host/ustar.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import type { Admission, FilesTarget, IncomingSegment, ThreadedTarget, WantedMember } from '../target.ts';
import { compareTree } from './compare.ts';
import { makeDirectories } from './deep-landing.ts';
import { type Extracted, extractTar } from './extract.ts';
import { MemberGuard } from './member-guard.ts';
import { writeFailed } from './place.ts';
import { removeTree } from './put-in-place.ts';
import type { WriterData } from './segment-writer.ts';

export class DirectoryTarget implements FilesTarget {
  readonly dropsPrivileges: boolean;
  readonly #host: Host;
  readonly #directory: string;
  /**
   * Holds what is not proven yet, inside the target: on the same file system, so that a rename brings it out. It is there
   * until everything but the directories is: by its name a restore that was killed cannot pass for a whole one.
   */
  readonly #staging: string;
  /** Absent when this machine's programs cannot be run from other threads. */
  readonly threads?: ThreadedTarget;
  #prepared = false;
  #complete = false;
  readonly #guard = new MemberGuard();
  readonly #made = new Set<BytePath>();
  readonly #directoryBytes: number;

  /**
   * `directory` is an absolute path of this machine, which `host` is. `hostModule` exports the same as `localHost`, for other threads;
   * without it this thread does it all.
   */
  constructor(directory: string, host: Host, hostModule?: URL, { dropsPrivileges = false }: Pick<FilesTarget, 'dropsPrivileges'> = {}) {
    this.dropsPrivileges = dropsPrivileges;
    this.#host = host;
    this.#directory = directory;
    this.#directoryBytes = Buffer.byteLength(directory);
    if (hostModule) {
      const data: WriterData = { directory, hostModule: hostModule.href, dropsPrivileges };
      this.threads = { module: new URL('./segment-writer.ts', import.meta.url), data, admit: this.#admit };
    }
    this.#staging = join(directory, `.coffre-restore-incomplete-${randomBytes(6).toString('hex')}`);
  }

  missing(entries: AsyncIterable<FileEntry>): AsyncIterable<FileEntry> {
    return entries;
  }

  async prepare(_snapshot: string): Promise<{ readonly everythingMissing: boolean }> {
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
      await this.#forgetDefaultAcl();
      await mkdir(this.#staging, { mode: 0o700 });
      this.#prepared = true;
      return { everythingMissing: true };
    } catch (cause) {
      throw cause instanceof CoffreError ? cause : writeFailed(this.#directory, cause);
    }
  }

  async extract(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!segment.unverified) {
      // gone before the directories get their times
      if (segment.phase === 'tail') await removeTree(this.#staging);
      await this.#extractInto(this.#directory, segment.plaintext, members, this.#admit, signal);
    } else if (segment.phase === 'tail') {
      await this.#extractSpooled(segment, members, signal);
    } else {
      await this.#extractStaged(segment, members, signal);
    }
  }

  #extractInto(
    directory: string,
    plaintext: AsyncIterable<Uint8Array>,
    wanted: readonly WantedMember[] | null,
    admit: (members: readonly Admission[]) => void,
    signal: AbortSignal,
  ): Promise<readonly Extracted[]> {
    const place = { host: this.#host, directory, dropsPrivileges: this.dropsPrivileges };
    return extractTar(plaintext, { place, wanted, admit, signal });
  }

  /**
   * Directories are made here, each once, before anything comes into them: GNU tars that make the same missing directory at once
   * race, and the loser says `Cannot open: No such file or directory` (seen with 1.34).
   */
  readonly #admit = (members: readonly Admission[]): void => {
    for (const member of members) {
      this.#guard.admit(member);
      this.#makeParent(member.path);
    }
  };

  /** Closed to others until the tail sets its mode. */
  #makeParent(path: BytePath): void {
    const slash = path.lastIndexOf('/');
    if (slash <= 0) return;
    const parent = path.slice(0, slash);
    if (this.#made.has(parent)) return;
    this.#makeParent(parent);
    try {
      // whoever lands what is so deep makes its directories
      if (!isDeep(this.#directoryBytes, parent)) mkdirSync(at(this.#directory, parent), { mode: 0o700 });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw writeFailed(printable(parent), cause);
    }
    this.#made.add(parent);
  }

  /**
   * A default ACL above the target would be inherited by every file: an archive of the root alone, extracted with ACLs, takes it away, and
   * what has no ACL then needs none of tar's attention.
   */
  async #forgetDefaultAcl(): Promise<void> {
    const root = rootArchive();
    const never = new AbortController().signal;
    await extractTar([root], { place: { host: this.#host, directory: this.#directory }, wanted: null, admit: () => {}, signal: never });
  }

  async compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
    const differences = await compareTree(this.#directory, entries);
    this.#complete = differences.length === 0;
    return differences;
  }

  /** What was written stays for a look, marked as what it is, unless `compare` found it complete. */
  async close(): Promise<void> {
    if (!this.#prepared) return;
    for (const name of await readdir(this.#staging).catch(() => [])) await removeTree(join(this.#staging, name));
    const written = (await readdir(this.#directory)).some((name) => name !== basename(this.#staging));
    if (this.#complete || !written) {
      await removeTree(this.#staging);
      return;
    }
    // Best effort: on a full disk the folder's name alone must say it.
    await mkdir(this.#staging, { recursive: true, mode: 0o700 })
      .then(() => writeFile(join(this.#staging, 'README'), 'coffre: this restore failed, the tree around this folder is not complete\n'))
      .catch(() => {});
  }

  /** Directories cannot be renamed over those that are there: their archive is kept aside until its end proved it. */
  async #extractSpooled(segment: IncomingSegment, wanted: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    const spool = join(this.#staging, `${segment.id}.tar`);
    try {
      await mkdir(this.#staging, { recursive: true, mode: 0o700 });
      await pipeline(segment.plaintext, createWriteStream(spool, { mode: 0o600 }), { signal }).catch((cause) => {
        signal.throwIfAborted();
        throw cause instanceof CoffreError ? cause : writeFailed(this.#directory, cause);
      });
      // Staging must be gone before the directories get their times.
      const file = await open(spool);
      await removeTree(this.#staging);
      const archive = file.createReadStream({ highWaterMark: 256 * 1024 });
      await this.#extractInto(this.#directory, archive, wanted, this.#admit, signal);
    } finally {
      await removeTree(this.#staging);
    }
  }

  async #extractStaged(segment: IncomingSegment, wanted: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    const stage = join(this.#staging, segment.id);
    try {
      await mkdir(stage, { recursive: true, mode: 0o700 });
      // Their directories are made when they are proven: nothing of it may be seen before.
      const admit = (members: readonly Admission[]): void => {
        for (const member of members) this.#guard.admit(member);
      };
      const extracted = await this.#extractInto(stage, segment.plaintext, wanted, admit, signal);
      for (const { path, type } of extracted) {
        if (type === 'directory') continue;
        this.#makeParent(path);
        // the stage's own name is the longer one
        const moved = isDeep(Buffer.byteLength(stage), path)
          ? renameDeep(stage, this.#directory, path)
          : rename(at(stage, path), at(this.#directory, path));
        await moved.catch((cause) => {
          throw writeFailed(printable(path), cause);
        });
      }
    } catch (cause) {
      throw cause instanceof CoffreError || signal.aborted ? cause : writeFailed(this.#directory, cause);
    } finally {
      await removeTree(stage);
    }
  }
}

async function renameDeep(from: string, to: string, path: BytePath): Promise<void> {
  const [source, target] = [new Anchored(from), new Anchored(to)];
  try {
    makeDirectories(target, path.slice(0, Math.max(0, path.lastIndexOf('/'))) || '.');
    renameSync(source.at(path) as Buffer, target.at(path) as Buffer);
  } finally {
    source.close();
    target.close();
  }
}

/** One member: `./`, mode 0700. */
function rootArchive(): Buffer {
  const header = ustarHeader({ name: './', flag: '5', mode: 0o700, uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 });
  return Buffer.concat([header, END_OF_ARCHIVE]);
}

function at(directory: string, path: BytePath): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, 'latin1')]);
}
