// A tree that is there becomes equal to a snapshot: what differs is extracted beside it, proven, and only then put in its place.
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  createReadStream,
  createWriteStream,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { CoffreError } from '../../errors.ts';
import { Anchored, openBelow } from '../../host/anchored.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import type { FilesTarget, IncomingSegment, ThreadedTarget, WantedMember } from '../target.ts';
import { setDirectories } from './directory-metadata.ts';
import { stateDifferences, statOf } from './entry-state.ts';
import { MARKER_PREFIX, makeMarker, removeMarker, writeMarker } from './marker.ts';
import { Found, missingEntries } from './missing.ts';
import { Aside, enter, type Held, makeAbove, putInPlace, removeOthers, type Stays } from './put-in-place.ts';
import { copyFile, flush, setModified } from './times.ts';

/** Differences described; more are counted. */
const MOST_DIFFERENCES = 1000;

export interface DeltaOptions {
  readonly host: Host;
  /** For messages. */
  readonly directory: string;
  /** A fresh target for an empty directory. */
  readonly beside: (directory: string) => FilesTarget;
  /** The tree held something before; else an interrupted restore into a fresh directory is gone on with. */
  readonly overwrite: boolean;
  readonly checksum: boolean;
  /** Null: nothing is removed. Else what stays although the snapshot does not have it. */
  readonly removeAllBut: Stays | null;
  /** Name of the marker of an interrupted restore of the same snapshot; null: there is none. */
  readonly marker: string | null;
  /** Markers that mean nothing any more. */
  readonly stale: readonly string[];
}

/**
 * In the marker's folder: `tree` is what this run extracts; `kept` what an interrupted one had extracted, `ready` those of it that are as they
 * should be; `aside` what stood in the way. Crash order: until `ready` and `tree` are whole and on the disk, the tree is as it was; a kill
 * while they are put in place leaves old files and new ones, none of them half, and the same command again puts the rest in place;
 * what does not belong is removed last; the marker goes when everything was compared.
 */
export class DeltaTarget implements FilesTarget {
  /** From `prepare` on, where there are any. */
  threads?: ThreadedTarget;
  readonly #options: DeltaOptions;
  readonly #place: Anchored;
  readonly #root: Held;
  #marker: { name: string; fd: number } | null = null;
  #treeFd = -1;
  #inner: FilesTarget | null = null;
  #innerMarkers: ReadonlySet<string> = new Set();
  readonly #found = new Found();
  readonly #known = new Set<BytePath>();
  /** Of the root: what it was before the marker was made in it; null once the tail has set it, or when a killed run had made the marker. */
  #rootMtimeNs: bigint | null = null;
  #placed = false;
  #closed = false;
  #complete = false;
  #deleted = 0;

  /** `place` is the directory; this closes it. */
  constructor(place: Anchored, options: DeltaOptions) {
    this.#place = place;
    this.#options = options;
    this.#root = place.directory('.') as Held;
  }

  get landing() {
    const { overwrite } = this.#options;
    const { missing, missingBytes, inPlace, beside } = this.#found;
    return {
      written: missing,
      bytes: missingBytes,
      unchanged: overwrite ? inPlace : 0,
      resumed: beside.size + (overwrite ? 0 : inPlace),
      deleted: this.#deleted,
    };
  }

  get staged(): readonly string[] {
    return ['ready', 'tree'].map((name) => `${this.#options.directory}/${this.#marker?.name}/${name}`);
  }

  async prepare(snapshot: string): Promise<{ readonly everythingMissing: boolean }> {
    const { marker, stale, overwrite, beside } = this.#options;
    return await this.#guarded(async () => {
      if (marker === null) this.#rootMtimeNs = this.#mtimeOfRoot();
      const fd = marker === null ? null : openBelow(this.#root, marker);
      this.#marker = marker !== null && fd !== null ? { name: marker, fd } : makeMarker(this.#root);
      const folder = this.#folder();
      writeMarker(folder, snapshot, overwrite);
      // Only now: a kill between the two must leave one that says what this tree is.
      for (const name of stale) removeMarker(this.#root, name);
      this.#clear(['restore.json', 'README', 'kept', 'ready', 'tree', 'aside']);
      for (const name of ['kept', 'aside']) mkdirSync(`${folder}/${name}`, { recursive: true, mode: 0o700 });
      for (const name of ['ready', 'tree']) await this.#keep(name);
      this.#clear(['restore.json', 'kept', 'aside']);
      mkdirSync(`${folder}/ready`, { mode: 0o700 });
      mkdirSync(`${folder}/tree`, { mode: 0o700 });
      this.#treeFd = openBelow(folder, 'tree') as number;
      this.#inner = beside(`/proc/${process.pid}/fd/${this.#treeFd}`);
      await this.#inner.prepare(snapshot);
      this.#innerMarkers = new Set(readdirSync(`${folder}/tree`));
      if (this.#inner.threads) this.threads = this.#inner.threads;
      return { everythingMissing: false };
    });
  }

  async *missing(entries: AsyncIterable<FileEntry>): AsyncGenerator<FileEntry> {
    const folder = this.#folder();
    const kept = new Anchored(`${folder}/kept`);
    const { checksum, marker } = this.#options;
    const looking = { tree: this.#place, beside: kept, checksum, interrupted: marker !== null };
    try {
      yield* missingEntries(this.#noted(entries), looking, this.#found);
      for (const path of this.#found.beside) {
        const to = makeAbove(`${folder}/ready`, path);
        try {
          renameSync(kept.at(path) as Buffer, to.name);
        } finally {
          to.close();
        }
      }
    } finally {
      kept.close();
    }
  }

  async extract(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    await this.#guarded(async () => {
      if (segment.phase !== 'tail') await this.#inside().extract(segment, members, signal);
      else await this.#extractTail(segment, members, signal);
    });
  }

  async compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
    return await this.#guarded(async () => {
      await this.#putAllInPlace();
      const differences = await this.#differences(entries);
      if (differences.length > 0) return differences;
      await this.#removeOthers();
      await flush(this.#options.host, this.#treeFd);
      this.#complete = true;
      return [];
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#inner?.close();
      if (this.#marker) await this.#leave(this.#marker.name);
    } finally {
      for (const fd of [this.#treeFd, this.#marker?.fd ?? -1]) if (fd >= 0) closeSync(fd);
      this.#place.close();
    }
  }

  async #leave(marker: string): Promise<void> {
    const untouched = !this.#placed && this.#options.marker === null && !this.#holdsFiles();
    if (this.#complete || untouched) {
      const mtimeNs = this.#rootMtimeNs ?? this.#mtimeOfRoot();
      await this.#guarded(async () => {
        removeMarker(this.#root, marker);
        const fd = this.#place.hold('.') as number;
        await setModified(this.#options.host, fd, mtimeNs).finally(() => closeSync(fd));
      });
      return;
    }
    const state = this.#placed ? 'the tree around this folder is partly the snapshot’s' : 'the tree around this folder is as it was';
    // Best effort: on a full disk the folder's name alone must say it.
    try {
      writeFileSync(`${this.#folder()}/README`, `coffre: this restore failed, ${state}; the same command again goes on with it\n`);
    } catch {}
  }

  async #extractTail(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    const wanted = members && new Set(members.map((member) => (typeof member === 'string' ? member : member.path)));
    let plaintext = segment.plaintext;
    if (segment.unverified) {
      // Kept aside until its end proved it; nothing is in place yet.
      const spool = `${this.#folder()}/directories.tar`;
      await pipeline(plaintext, createWriteStream(spool, { mode: 0o600 }), { signal });
      plaintext = createReadStream(spool, { highWaterMark: 256 * 1024 });
    }
    await this.#putAllInPlace();
    await setDirectories(this.#options.host, plaintext, wanted, (path) => this.#hold(path), signal);
  }

  /** Once: everything but directories is extracted and was proven. */
  async #putAllInPlace(): Promise<void> {
    if (this.#placed) return;
    const folder = this.#folder();
    await flush(this.#options.host, this.#treeFd);
    this.#placed = true;
    const aside = new Aside(`${folder}/aside`);
    await putInPlace(`${folder}/ready`, this.#root, aside, this.#copy);
    await putInPlace(`${folder}/tree`, this.#root, aside, this.#copy, this.#innerMarkers);
  }

  readonly #copy = (from: string, to: string): Promise<void> => copyFile(this.#options.host, from, to);

  /** Opens the directory `path` of the tree, made where it is missing. The caller closes it. */
  #hold(path: BytePath): number {
    if (path === '.') this.#rootMtimeNs = null;
    const fd = this.#place.hold(path);
    if (fd !== null) return fd;
    const slash = path.lastIndexOf('/');
    const above = this.#hold(slash < 0 ? '.' : path.slice(0, slash));
    try {
      return enter(`/proc/self/fd/${above}`, path.slice(slash + 1), new Aside(`${this.#folder()}/aside`));
    } finally {
      closeSync(above);
    }
  }

  async #differences(entries: AsyncIterable<FileEntry>): Promise<string[]> {
    const differences: string[] = [];
    let more = 0;
    for await (const entry of entries) {
      const stats = statOf(this.#place, entry.path);
      const wrong = stats === null ? ['ENOENT'] : stateDifferences(entry, stats, this.#place);
      if (entry.type === 'hardlink' && stats !== null) {
        const carrier = statOf(this.#place, entry.target ?? entry.path);
        if (carrier?.ino !== stats.ino || carrier.dev !== stats.dev) wrong.push(`no hard link to ${printable(entry.target ?? '')}`);
      }
      if (wrong.length === 0) continue;
      if (differences.length < MOST_DIFFERENCES) differences.push(`${printable(entry.path)}: ${wrong.join(', ')}`);
      else more += 1;
    }
    if (more > 0) differences.push(`${more} more differences`);
    return differences;
  }

  async #removeOthers(): Promise<void> {
    const stays = this.#options.removeAllBut;
    if (stays === null) return;
    const changed = new Map<BytePath, BigIntStats>();
    const marker = this.#marker?.name;
    this.#deleted = removeOthers(this.#root, {
      belongs: (path) => this.#known.has(path),
      stays: (path, isDirectory) => (path === marker ? 'whole' : stays(path, isDirectory)),
      dry: false,
      onChange: (path) => {
        // what is not of the snapshot goes itself, or holds something that stays: its time is nobody's
        if (this.#known.has(path)) changed.set(path, lstatSync(`${this.#place.directory(path)}/.`, { bigint: true }));
      },
    });
    for (const [path, { mode, mtimeNs }] of changed) {
      const fd = this.#place.hold(path);
      if (fd === null) continue;
      try {
        if (process.geteuid?.() !== 0) chmodSync(`/proc/self/fd/${fd}/.`, Number(mode) & 0o7777);
        await setModified(this.#options.host, fd, mtimeNs);
      } finally {
        closeSync(fd);
      }
    }
  }

  async *#noted(entries: AsyncIterable<FileEntry>): AsyncGenerator<FileEntry> {
    const remember = this.#options.removeAllBut !== null;
    for await (const entry of entries) {
      if (remember) this.#known.add(entry.path);
      yield entry;
    }
  }

  /** What an interrupted run had extracted joins what earlier ones had; the later one counts. */
  async #keep(name: string): Promise<void> {
    const folder = this.#folder();
    const fd = openBelow(folder, name);
    if (fd === null) return;
    try {
      const markers = readdirSync(`/proc/self/fd/${fd}/.`).filter((inner) => inner.startsWith(MARKER_PREFIX));
      await putInPlace(`/proc/self/fd/${fd}`, `${folder}/kept`, new Aside(`${folder}/aside`), this.#copy, new Set(markers));
    } finally {
      closeSync(fd);
    }
  }

  /** Removes what is in the marker's folder but for these names. */
  #clear(names: readonly string[]): void {
    removeOthers(this.#folder(), { belongs: () => false, stays: (path) => (names.includes(path) ? 'whole' : 'no'), dry: false });
  }

  #holdsFiles(): boolean {
    const folder = this.#folder();
    return ['tree', 'ready', 'kept'].some((name) => {
      const fd = openBelow(folder, name);
      if (fd === null) return false;
      closeSync(fd);
      return readdirSync(`${folder}/${name}`).some((inner) => !inner.startsWith(MARKER_PREFIX));
    });
  }

  #mtimeOfRoot(): bigint {
    return lstatSync(`${this.#root}/.`, { bigint: true }).mtimeNs;
  }

  #folder(): Held {
    if (!this.#marker) throw new CoffreError('E_INTERNAL', 'a target was used before it was prepared');
    return `/proc/self/fd/${this.#marker.fd}`;
  }

  #inside(): FilesTarget {
    if (!this.#inner) throw new CoffreError('E_INTERNAL', 'a target was used before it was prepared');
    return this.#inner;
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw targetError(this.#options.directory, cause);
    }
  }
}

/** A file system's error by the name that the user gave, and one of ours without the names that only this process knows. */
export function targetError(directory: string, cause: unknown): unknown {
  const plain = (message: string): string => message.replace(/\/proc\/(?:self|\d+)\/fd\/\d+(?:\/\.(?=[/':\s]|$))?/g, directory);
  if (cause instanceof CoffreError) {
    const message = plain(cause.message);
    return message === cause.message ? cause : new CoffreError(cause.code, message, { hint: cause.hint, cause });
  }
  const { code, syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return cause;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new CoffreError(full ? 'E_TARGET_SPACE' : 'E_TARGET_WRITE', `${directory} cannot be written: ${plain((cause as Error).message)}`, {
    cause,
  });
}
